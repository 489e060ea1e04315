"""What an event says: everything as it was when the event was written, however late somebody reads it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.statuses import Status
from orders_sync.subscriptions.event import OrderEvent, event_from
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.subscriptions.conftest import Subscribe, event_ids

ALL_KINDS = ["OrderCreated", "OrderStatusChanged", "OrderChanged"]


def contents(connection: Connection) -> dict[int, dict[str, Any]]:
    """Each stored event, as its consumers get it."""
    rows = connection.execute("SELECT event_id, order_event(event_id) FROM order_events ORDER BY event_id")
    return dict(rows.fetchall())


def events(connection: Connection) -> list[OrderEvent]:
    return [event_from(content) for content in contents(connection).values()]


def test_an_event_names_its_items_their_quantities_and_amounts(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"), quantity=2)
    sync(account)
    (created,) = events(connection)
    assert (created.kind, created.account, created.order_id, created.item_id, created.revision) == (
        "OrderCreated", account.name, "1", None, 1,
    )  # fmt: skip
    assert (created.old_status, created.new_status) == (None, Status.ACCEPTED)
    assert created.order is not None
    assert (created.order.currency, created.order.items_total) == ("EUR", Decimal("200.00"))
    assert created.order.created_at is not None
    assert created.recorded_at - created.order.created_at < timedelta(hours=1)
    phone, case = created.items
    assert (phone.item_id, phone.sku, phone.kind, phone.quantity, phone.price) == (
        "100", "PHONE", "goods", 2, Decimal("100.00"),
    )  # fmt: skip
    assert case.sku == "CASE"
    assert (created.changed.order, created.changed.items) == ([], {})


def test_an_event_has_no_buyers_data(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    an_order(marketplace, 1, delivery_note="https://x.example.com/1.pdf?signature=a", tracking_number="TRACK-1")
    sync(account)
    marketplace.change(1, state=9, shipping_address={"firstName": "Jean", "city": "Lyon"}, tracking_number="TRACK-2")
    sync(account, "modified")
    text = msgspec.json.encode(list(contents(connection).values())).decode()
    for secret in ("Hugo", "Victor", "Paris", "Jean", "Lyon", "signature", "TRACK-1", "TRACK-2"):
        assert secret not in text
    *_, last = events(connection)
    assert "shipping_city" in last.changed.order, "that it has changed is known"


def test_amounts_are_exact(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    an_order(marketplace, 1, price="12345678.99")
    sync(account)
    (content,) = contents(connection).values()
    assert content["items"][0]["price"] == "12345678.99"


def test_each_event_keeps_what_it_said_whatever_changes_later(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(kinds=ALL_KINDS)
    order = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    said = contents(connection)
    phone, case = order["orderlines"]
    for lines, fields in (
        ([{**phone, "quantity": 3}, case], {"price": "300.00"}),
        ([phone], {"state": 3}),
        ([phone, case, {**case, "id": 199, "listing": "CABLE"}], {}),
        ([{**phone, "state": 3}, {**case, "listing": "OTHER"}], {"state": 9}),
    ):
        marketplace.pass_time(minutes=5)
        marketplace.change(1, orderlines=lines, **fields)
        sync(account, "modified")
        now = contents(connection)
        assert {event_id: now[event_id] for event_id in said} == said
        said = now
    assert [event.kind for event in events(connection)].count("OrderChanged") == 1
    assert any(item.status is Status.REMOVED for event in events(connection) for item in event.items)


def test_an_item_that_moves_to_another_order_stays_in_the_events_of_before(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    first = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    second = an_order(marketplace, 2)
    sync(account)
    said = contents(connection)
    marketplace.pass_time(minutes=5)
    marketplace.change(2, orderlines=[*second["orderlines"], first["orderlines"][1]])
    sync(account, "modified")
    now = contents(connection)
    assert {event_id: now[event_id] for event_id in said} == said
    moved = [event_from(now[event_id]) for event_id in now.keys() - said.keys()]
    assert {(event.order_id, event.item_id) for event in moved} == {("1", "101"), ("2", "101")}
    assert {event.order_id: [item.item_id for item in event.items] for event in moved}["2"] == ["101", "200"]


@pytest.mark.parametrize("lists_it_no_more", [True, False])
def test_whatever_becomes_of_an_item_that_moved_the_events_of_before_stay(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, lists_it_no_more: bool
) -> None:
    """It moves with another quantity, changes in its new order, moves back, and away again."""
    first = an_order(marketplace, 1, skus=("PHONE", "CASE"))
    second = an_order(marketplace, 2)
    sync(account)
    said = contents(connection)
    phone, case = first["orderlines"]
    without = [phone] if lists_it_no_more else [phone, case]
    for of_first, of_second in (
        (without, [*second["orderlines"], {**case, "quantity": 5, "price": "500.00", "orderline_fee": "7.00"}]),
        (without, [*second["orderlines"], {**case, "quantity": 7, "listing": "OTHER"}]),
        ([phone, {**case, "quantity": 2}], second["orderlines"]),
        ([phone, {**case, "quantity": 3, "state": 3}], second["orderlines"]),
        ([phone], [*second["orderlines"], case]),
    ):
        marketplace.pass_time(minutes=5)
        marketplace.change(1, orderlines=of_first)
        sync(account, "modified")
        marketplace.pass_time(minutes=5)
        marketplace.change(2, orderlines=of_second)
        sync(account, "modified")
        now = contents(connection)
        assert {event_id: now[event_id] for event_id in said} == said
        said = now
        for content in now.values():
            event = event_from(content)
            assert event.item_id is None or event.item_id in [item.item_id for item in event.items]


def test_what_changes_no_status_is_an_event_only_if_somebody_subscribes_to_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
) -> None:
    order = an_order(marketplace, 1)
    sync(account)
    (line,) = order["orderlines"]

    def change(quantity: int) -> None:
        marketplace.pass_time(minutes=5)
        marketplace.change(1, orderlines=[{**line, "quantity": quantity}])
        sync(account, "modified")

    change(2)
    assert [event.kind for event in events(connection)] == ["OrderCreated"]
    subscribe(kinds=["OrderChanged"])
    change(3)
    _, changed = events(connection)
    assert (changed.kind, changed.revision, changed.old_status, changed.new_status) == (
        "OrderChanged", 3, Status.ACCEPTED, Status.ACCEPTED,
    )  # fmt: skip
    assert changed.changed.items == {"100": ["quantity"]}
    assert changed.items[0].quantity == 3
    pending = connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL AND kind = 'OrderChanged'")
    assert pending.fetchone() == (0,), "stock has nothing to apply"


def test_a_changed_record_without_a_changed_value_is_no_event(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
) -> None:
    subscribe(kinds=ALL_KINDS)
    order = an_order(marketplace, 1, tracking_number="TRACK-1")
    sync(account)
    sparse = {name: order[name] for name in ("order_id", "date_creation", "date_modification")}
    marketplace.put({**sparse, "something_new": 1})
    sync(account, "modified", reread=True)
    assert len(event_ids(connection)) == 1


def test_an_event_of_an_order_that_was_deleted_says_so(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    for table in ("order_items", "orders"):
        connection.execute(f"DELETE FROM {table}".encode())
    (event,) = events(connection)
    assert (event.order, event.items, event.order_id) == (None, [], "1")


LINE = st.fixed_dictionaries(
    {
        "quantity": st.integers(1, 3), "state": st.sampled_from([2, 3, 4]), "listing": st.sampled_from(["PHONE", "CASE"]),
        "price": st.sampled_from(["1.10", "20.00", "300.5"]),
    }
)  # fmt: skip
CHANGE = st.fixed_dictionaries(
    {"state": st.sampled_from([3, 9]), "price": st.sampled_from(["1", "2.50"]),
     "lines": st.dictionaries(st.sampled_from([100, 101, 102]), LINE, min_size=1)}
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(CHANGE, min_size=1, max_size=5))
def test_whatever_changes_no_event_changes(
    changes: list[dict[str, Any]], connection: Connection, subscribe: Subscribe
) -> None:
    connection.execute(
        "TRUNCATE orders, order_items, order_events, order_changes, lanes, event_deliveries, subscriptions"
    )
    subscribe(kinds=ALL_KINDS)
    with Marketplace() as marketplace:
        account = sandbox_account(marketplace)
        line = an_order(marketplace, 1)["orderlines"][0]
        sync(account)
        said = contents(connection)
        for change in changes:
            marketplace.pass_time(minutes=5)
            lines = [{**line, "id": item_id, **fields} for item_id, fields in change["lines"].items()]
            marketplace.change(1, state=change["state"], price=change["price"], orderlines=lines)
            sync(account, "modified")
            now = contents(connection)
            assert {event_id: now[event_id] for event_id in said} == said
            said = now
        for content in said.values():
            event_from(content)


def test_what_is_no_event_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        event_from({"version": 1})
