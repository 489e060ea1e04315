"""One order, fetched by its id and stored as a pass would store it."""

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import LaneBusyError, hold
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.sync_order import sync_order
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.invariants import check_invariants, nothing_changed
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync


def test_an_order_is_created_and_then_changed_with_one_call_each(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    an_order(marketplace, 2)
    summary = sync_order(account, "1", "test")
    assert (summary.fetched, summary.created, summary.events, summary.api_calls) == (1, 1, 1, 1)
    marketplace.set_states(1, 3, 2)
    summary = sync_order(account, "1", "test")
    assert (summary.changed, summary.events, summary.api_calls) == (1, 2, 1)
    nothing_changed(sync_order(account, "1", "test"))
    assert connection.execute("SELECT order_id, status FROM orders").fetchall() == [("1", "accepted")]
    assert connection.execute("SELECT count(*) FROM lane_runs").fetchone() == (0,)
    assert sync(account).created == 1  # it moved no watermark
    check_invariants(connection)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_an_order_that_a_pass_has_stored_is_unchanged(fake: type[FakeMarketplace], connection: Connection) -> None:
    with Marketplace(fake, orders=30, days=5) as marketplace:
        account = sandbox_account(marketplace)
        sync(account)
        for (order_id,) in connection.execute("SELECT order_id FROM orders ORDER BY 1 LIMIT 3").fetchall():
            summary = sync_order(account, order_id, "test")
            nothing_changed(summary)
            assert (summary.unchanged, summary.rejected) == (1, 0)


def test_a_damaged_order_is_mended_if_it_is_reread(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    connection.execute("UPDATE orders SET currency = 'USD'")
    nothing_changed(sync_order(account, "1", "test"))
    assert sync_order(account, "1", "test", reread=True).changed == 1
    assert connection.execute("SELECT currency FROM orders").fetchone() == ("EUR",)


def test_an_order_that_cannot_be_stored_is_kept_among_the_rejected_ones_until_it_can(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, orderlines=[])
    summary = sync_order(account, "1", "test")
    assert (summary.rejected, summary.problems) == (
        1,
        ["order 1 rejected: items are missing, and the order is not stored yet"],
    )
    an_order(marketplace, 1)
    assert sync_order(account, "1", "test").created == 1
    assert connection.execute("SELECT resolved_at IS NULL FROM rejected_records").fetchall() == [(False,)]


def test_what_the_marketplace_does_not_have_or_cannot_give_changes_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    with pytest.raises(UserFacingError, match="account shop has no order 7"):
        sync_order(account, "7", "test")
    marketplace.fault("status", status=500, times=0)
    with pytest.raises(MarketplaceError):
        sync_order(account, "7", "test")
    assert connection.execute("SELECT count(*) FROM rejected_records").fetchone() == (0,)


def test_it_waits_for_the_lane_of_new_orders(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    with hold(Lane("shop", SyncType.NEW), "other"), pytest.raises(LaneBusyError, match="shop/new is busy"):
        sync_order(account, "1", "test", wait_seconds=0.1)
    assert marketplace.calls() == 0
