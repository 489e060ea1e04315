"""The whole history of an order, in the order of time, without buyer's data."""

from datetime import timedelta

import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.history.timeline import Source, facts_of, timeline
from orders_sync.passes.waiting_lines import hold_back
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.subscriptions.deliveries import acknowledge, claim
from orders_sync.subscriptions.registration import register
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.subscriptions.conftest import settings


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    return sandbox_account(marketplace, accept_orderlines=True)


def texts(stock: StockConnection, source: Source, order_id: str = "1") -> list[str]:
    return [each.text for each in timeline(stock, "shop", order_id) if each.source is source]


def test_an_order_from_its_first_version_to_its_return(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 5})
    address = {"first_name": "Victor", "last_name": "Hugo", "street": "Place des Vosges"}
    an_order(marketplace, 1, state=1, line_state=1, age=timedelta(hours=2), shipping_address=address, sales_taxes="abc")
    sync(account)
    apply_pending(stock)
    hold_back(stock, "shop", "1", By("anna@desk", "the last one"), holds=True)
    sync(account)
    marketplace.pass_time(minutes=5)
    marketplace.set_states(1, 9, 3)
    marketplace.change(1, tracking_number="TRACK-1", shipper_display="Some carrier")
    sync(account, "modified")
    apply_pending(stock)
    marketplace.put_folder(900, 100, "REFUND", messages=[{"message": "Victor here"}])
    sync(account, "care")
    entries = timeline(stock, "shop", "1")
    assert [each.at for each in entries] == sorted(each.at for each in entries)
    assert {each.source for each in entries} == set(Source) - {Source.DOCUMENT, Source.REJECTED}
    assert texts(stock, Source.ORDER)[0] == "ordered by the buyer"
    assert texts(stock, Source.EVENT)[0] == "event OrderCreated: pending"
    assert "event OrderStatusChanged: accepted → shipped" in texts(stock, Source.EVENT)
    assert texts(stock, Source.STOCK)[0] == "lock of item 100, SKU PHONE: locked"
    assert texts(stock, Source.STOCK)[-1].endswith("→ consumed")
    assert texts(stock, Source.ACCEPTANCE) == ["request to accept item 100: accepted"] or texts(
        stock, Source.ACCEPTANCE
    ) == ["request to accept SKU PHONE: accepted"]
    assert texts(stock, Source.CARE) == ["care record 900 (refund) about items 100: opened"]
    assert texts(stock, Source.BY_HAND) == ["anna@desk: hold back"]
    assert texts(stock, Source.FLAW)[0].startswith("flaw in ")
    shown = str(entries)
    assert "Some carrier" in shown
    assert "tracking_number" in shown
    assert [each for each in ("Victor", "Hugo", "Vosges", "TRACK-1") if each in shown] == []
    facts = facts_of(stock, "shop", "1")
    assert facts is not None
    order, (item,) = facts
    assert (order.status, item.status, item.locks, item.care_id) == ("shipped", "shipped", "consumed 1 of 1", "900")


def test_an_order_that_was_only_ever_rejected_has_a_history(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    stock = StockConnection(connection)
    an_order(marketplace, 7, skus=("",))
    sync(account)
    (entry,) = (each for each in timeline(stock, "shop", "7") if each.source is Source.REJECTED)
    assert entry.text.startswith("a version was rejected: ")
    assert entry.is_wrong
    assert facts_of(stock, "shop", "7") is None
    connection.execute(
        "UPDATE rejected_records SET dismissed_at = now(), dismissed_by = 'anna@desk', dismissed_reason = 'a test order'"
    )
    rejected, dismissed = (each for each in timeline(stock, "shop", "7") if each.source is Source.REJECTED)
    assert not rejected.is_wrong
    assert (dismissed.text, dismissed.detail) == ("the rejected version was dismissed by anna@desk", "a test order")


def test_what_needs_a_look_is_marked(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 0})
    an_order(marketplace, 1, age=timedelta(hours=2))
    sync(account)
    apply_pending(stock)
    connection.execute("UPDATE order_events SET applied_at = NULL, attempts = 5, problem = 'no such SKU'")
    wrong = [each for each in timeline(stock, "shop", "1") if each.is_wrong]
    assert [each.source for each in wrong] == [Source.EVENT, Source.STOCK]
    assert wrong[0].detail == "could not be applied 5 times: no such SKU"


def test_of_an_unknown_order_nothing_is_known(connection: Connection) -> None:
    assert timeline(StockConnection(connection), "shop", "nothing") == []


def test_an_event_says_who_has_got_it(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    register(connection, {name: settings(kinds=["OrderCreated", "OrderChanged"]) for name in ("bi", "erp")})
    order = an_order(marketplace, 1)
    sync(account)
    (claimed,) = claim(connection, "erp", 1)
    acknowledge(connection, "erp", [claimed.event_id])
    marketplace.pass_time(minutes=5)
    marketplace.change(1, orderlines=[{**order["orderlines"][0], "quantity": 2}])
    sync(account, "modified")
    stock = StockConnection(connection)
    apply_pending(stock)
    created, changed = [each for each in timeline(stock, account.name, "1") if each.source is Source.EVENT]
    assert created.detail.endswith("; bi waiting, erp delivered")
    assert (changed.text, changed.detail) == ("event OrderChanged", "bi waiting, erp waiting")
