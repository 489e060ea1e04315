"""A pass that has lost its lane while it waited writes nothing to the marketplace: another pass may have done so."""

import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder
from orders_sync.lanes.progress import end_stalled_passes
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit, wait_for

LANE = Lane("shop", SyncType.NEW)
PASS = """
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.passes.run_pass import run_pass
from orders_sync.sync.pass_request import PassRequest
run_pass(PassRequest(account_from("shop", {settings!r}, "f"), SyncType.NEW, "first"))
"""
LOST = "the connection to the orders database was lost, and with it the lane; the next run goes on"
CUT = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'orders_sync shop/new first%'"
)


@pytest.mark.parametrize("fault", ["connection cut", "worker frozen"])
@pytest.mark.parametrize("enforced", [False, True])
def test_a_line_is_accepted_once(marketplace: Marketplace, connection: Connection, fault: str, enforced: bool) -> None:
    limits = {"enforced": enforced, "connections": 4, "outage_minutes": 2}
    account = sandbox_account(marketplace, accept_orderlines=True, limits=limits)
    an_order(marketplace, 1, state=1, line_state=1)
    pause = marketplace.fault("status", status=429, method="POST", path="/ws/orders/1", headers={"Retry-After": "8"})
    first = subprocess.Popen([sys.executable, "-c", PASS.format(settings=account.settings.model_dump())])
    wait_for(lambda: pause.used, seconds=60, what="the pause before the second try")
    if fault == "connection cut":
        connection.execute(CUT)
    else:
        first.send_signal(signal.SIGSTOP)
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert end_stalled_passes(connection, timedelta(minutes=10))
    wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the end of the first pass's session")
    assert sync(account).accepted == 1
    first.send_signal(signal.SIGCONT)
    assert first.wait(limit(60)) == 1
    assert len(marketplace.sandbox.writes) == 1
    assert connection.execute("SELECT count(*) FROM acceptances WHERE state = 'accepted'").fetchone() == (1,)


def test_a_pass_reads_no_further_documents(marketplace: Marketplace, connection: Connection) -> None:
    """What goes wrong with the documents of one order stops no other; the loss of the lane stops all of them."""
    limits = {"enforced": False, "connections": 1, "outage_minutes": 2}
    account = sandbox_account(marketplace, limits=limits)
    for number in range(1, 6):
        an_order(marketplace, number)
    sync(account)
    marketplace.sandbox.seen.clear()
    pause = marketplace.fault("status", status=429, method="GET", path="/", headers={"Retry-After": "3"})
    settings = account.settings.model_dump()
    program = PASS.replace("SyncType.NEW", "SyncType.INCOMPLETE").format(settings=settings)
    reader = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: pause.used, seconds=60, what="the pause before the second try")
    connection.execute(CUT.replace(b"shop/new", b"shop/incomplete"))
    _, said = reader.communicate(timeout=limit(60))
    assert reader.returncode == 1
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/incomplete: {LOST}")
    assert marketplace.calls() == 1


def test_pages_that_are_fetched_ahead_are_not_tried_again(marketplace: Marketplace, connection: Connection) -> None:
    """The threads that fetch them work for the same lane."""
    limits = {"enforced": False, "connections": 4, "outage_minutes": 15}
    account = sandbox_account(marketplace, limits=limits, page_size=10)
    for number in range(1, 201):
        an_order(marketplace, number)
    marketplace.fault("delay", seconds=1, times=3)  # pages that take long make several connections worth it
    outage = marketplace.fault("status", status=503, times=0, headers={"Retry-After": "9"})
    settings = account.settings.model_dump()
    program = PASS.format(settings=settings)
    reader = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: outage.used >= 4, seconds=60, what="the pause before the second tries")
    connection.execute(CUT)
    _, said = reader.communicate(timeout=limit(60))
    assert reader.returncode == 1
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/new: {LOST}")
