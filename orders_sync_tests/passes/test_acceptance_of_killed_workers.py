"""A worker is killed while its acceptance is under way: no request stays without what became of it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import holder
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit, wait_for

ON_RECORD = "SELECT order_id, state FROM acceptances ORDER BY acceptance_id"
PASS = """
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.sync.pass_request import PassRequest
from orders_sync.passes.run_pass import run_pass
from orders_sync.model.lane import SyncType
run_pass(PassRequest(account_from("shop", {settings!r}, "f"), SyncType.NEW, "doomed"))
"""


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    return sandbox_account(marketplace, accept_orderlines=True)


@pytest.fixture
def killed(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> Iterator[None]:
    """A worker was killed with SIGKILL after it had stored its request, before the marketplace got it."""
    an_order(marketplace, 1, state=1, line_state=1)
    with marketplace.closed_gate("/ws/orders/1") as gate:
        worker = subprocess.Popen([sys.executable, "-c", PASS.format(settings=account.settings.model_dump())])
        wait_for(lambda: gate.reached, seconds=60, what="the request of the worker")
        worker.kill()
        worker.wait(limit(10))
        # What the worker had sent is lost on its way.
        lost = marketplace.fault("status", method="POST", path="/ws/orders/1", status=503)
    wait_for(lambda: lost.used, seconds=10, what="the end of the worker's request")
    wait_for(lambda: holder(connection, Lane("shop", SyncType.NEW)) is None, seconds=10, what="the free lane")
    assert connection.execute(ON_RECORD).fetchall() == [("1", "requested")]
    assert marketplace.sandbox.writes == []
    yield
    check_invariants(connection)


@pytest.mark.usefixtures("killed")
def test_the_request_is_settled_by_the_pass_whose_own_request_succeeds(
    account: SellerAccount, connection: Connection, marketplace: Marketplace
) -> None:
    assert sync(account).accepted == 1
    assert connection.execute(ON_RECORD).fetchall() == [("1", "left"), ("1", "accepted")]
    assert len(marketplace.sandbox.writes) == 1


@pytest.mark.usefixtures("killed")
def test_of_several_killed_workers_each_request_is_settled(account: SellerAccount, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO acceptances (account, order_id, sku, item_id, state, request) "
        "SELECT account, order_id, sku, item_id, state, request FROM acceptances"
    )
    assert sync(account).accepted == 1
    assert connection.execute(ON_RECORD).fetchall() == [("1", "left"), ("1", "left"), ("1", "accepted")]


@pytest.mark.usefixtures("killed")
def test_it_is_settled_if_another_sync_stored_the_status_first(
    account: SellerAccount, connection: Connection, marketplace: Marketplace
) -> None:
    marketplace.pass_time(minutes=1)
    marketplace.set_states(1, 3, 2)
    sync(account, "modified")
    assert sync(account).accepted == 0
    assert connection.execute(ON_RECORD).fetchall() == [("1", "left")]
    assert marketplace.sandbox.writes == []


@pytest.mark.usefixtures("killed")
def test_it_is_settled_if_the_account_accepts_no_lines_any_more(
    connection: Connection, marketplace: Marketplace
) -> None:
    by_hand = sandbox_account(marketplace)
    assert sync(by_hand).accepted == 0
    assert connection.execute(ON_RECORD).fetchall() == [("1", "lost")], "the line still waits"
    marketplace.pass_time(minutes=1)
    marketplace.set_states(1, 3, 2)
    sync(by_hand)
    assert connection.execute(ON_RECORD).fetchall() == [("1", "left")]
