"""Lanes: never over themselves, whoever holds them, and free the moment their holder dies."""

import os
import signal
import subprocess
import sys

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import LaneBusyError, hold, holder
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.row_faults import stop_at_row
from orders_sync.testing.waiting import limit, wait_for

LANE = Lane("shop", SyncType.NEW)


def test_a_busy_lane_refuses_and_names_the_run(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    with hold(LANE, "run-1") as holding:
        started(holding, LANE, "run-1")
        with pytest.raises(LaneBusyError, match="Lane shop/new is busy: run run-1 works on it"):
            sync(account)
        sync(account, "modified")  # another lane of the account goes on
    sync(account)


def test_a_lane_is_waited_for(connection: Connection) -> None:
    said: list[str] = []
    with (
        hold(LANE, "one"),
        pytest.raises(LaneBusyError),
        hold(LANE, "two", wait_seconds=0.3, report=said.append),
    ):
        pass
    assert "waiting up to" in said[0]


def test_a_killed_run_frees_its_lane_at_once(database_url: str, connection: Connection) -> None:
    """Laravel's lock stays for 24 hours."""
    program = (
        "import time\n"
        "from orders_sync.lanes.history import started\n"
        "from orders_sync.lanes.lock import hold\n"
        "from orders_sync.model.lane import Lane, SyncType\n"
        "with hold(Lane('shop', SyncType.NEW), 'doomed') as c:\n"
        "    started(c, Lane('shop', SyncType.NEW), 'doomed'); print('held', flush=True); time.sleep(3600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    process.stdout.readline()
    assert holder(connection, LANE) == "run doomed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: holder(connection, LANE) is None, seconds=5, what="the free lane")
    with hold(LANE, "next") as held:
        started(held, LANE, "next")
    rows = connection.execute("SELECT run_id, outcome, problem FROM lane_runs ORDER BY 1").fetchall()
    assert rows[0] == ("doomed", "failed", "its process died")


@pytest.mark.parametrize("table", ["orders", "order_items", "order_events"])
def test_a_run_killed_while_it_writes_leaves_whole_orders_only(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, table: str
) -> None:
    """Order, items and event stand or fall together: the first V2 left orders whose stock was never locked."""
    for number in range(1, 401):
        an_order(marketplace, number)
    program = f"""
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.sync.pass_request import PassRequest
from orders_sync.passes.run_pass import run_pass
from orders_sync.model.lane import SyncType
settings = {account.settings.model_dump()!r}
run_pass(PassRequest(account_from("shop", settings, "f"), SyncType.NEW, "doomed"))
"""
    with stop_at_row(connection, table, 300) as is_reached:
        doomed = subprocess.Popen([sys.executable, "-c", program])
        wait_for(is_reached, seconds=60, what="the 300th row")
        doomed.kill()
        doomed.wait(limit(10))
    wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the free lane")
    stored = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert stored is not None
    assert 0 < stored[0] < 300
    check_invariants(connection)
    sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (400,)
    check_invariants(connection)
