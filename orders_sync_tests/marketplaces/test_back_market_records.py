"""Back Market's odd records over real HTTP: a commission given back, and texts that become empty."""

from decimal import Decimal

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync

TRACKING = "https://carrier.example.com/T1"


def test_a_commission_given_back_is_stored_as_it_is(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order = an_order(marketplace, 1)
    marketplace.change(1, orderlines=[{**order["orderlines"][0], "orderline_fee": "-1.50"}])
    an_order(marketplace, 2)
    summary = sync(account)
    assert (summary.created, summary.rejected, summary.flawed) == (2, 0, 0)
    fees = connection.execute("SELECT fee FROM order_items ORDER BY order_id").fetchall()
    assert fees == [(Decimal("-1.50"),), (Decimal("10.00"),)]
    check_invariants(connection)


def test_a_tracking_that_becomes_empty_stays_known(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, tracking_number="T1", tracking_url=TRACKING)
    sync(account)
    marketplace.pass_time(minutes=5)
    marketplace.change(1, tracking_number="", tracking_url="", payment_method="PAYPAL")
    assert sync(account, "modified").changed == 1
    row = connection.execute("SELECT tracking_number, tracking_url, payment_method FROM orders").fetchone()
    assert row == ("T1", TRACKING, "PAYPAL")
