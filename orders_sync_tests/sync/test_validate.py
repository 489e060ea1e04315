"""The record check, and records made to break it."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.records import ItemKind, Order, OrderItem, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.rules import ITEM_RULES, ORDER_RULES, Rule
from orders_sync.sync.validate import flawed_orders, mend_order
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import reject_row
from orders_sync_tests.sync.right_order import RIGHT

UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"date_creation": None}, "created_at"),
    ({"date_creation": "yesterday"}, "created_at"),
    ({"date_creation": "9999-12-31T23:59:59-12:00"}, "created_at"),
    ({"orderlines": []}, "items"),
    ({"orderlines": "none"}, "items"),
    ({"order_id": None}, "order_id"),
    ({"order_id": "x" * 201}, "order_id"),
]
UNUSABLE_LINES: list[tuple[dict[str, Any], str]] = [
    ({"quantity": -3}, "items[0].quantity"),
    ({"quantity": 10**10}, "items[0].quantity"),
    ({"quantity": 1.5}, "items[0].quantity"),
    ({"quantity": None}, "items[0].quantity"),
    ({"listing": ""}, "items[0].sku"),
    ({"listing": None}, "items[0].sku"),
    ({"listing": "x" * 500}, "items[0].sku"),
    ({"id": None}, "items[0].item_id"),
]


@pytest.mark.parametrize(
    ("fields", "line", "where"),
    [*((fields, {}, where) for fields, where in UNUSABLE), *(({}, line, where) for line, where in UNUSABLE_LINES)],
    ids=lambda value: str(value)[:40],
)
def test_a_record_without_what_is_needed_to_ship_it_is_rejected_alone(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    fields: dict[str, Any],
    line: dict[str, Any],
    where: str,
) -> None:
    an_order(marketplace, 1)
    order = an_order(marketplace, 2)
    order["orderlines"][0].update(line)
    order.update(fields)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (1, 1)
    reasons = connection.execute("SELECT reasons FROM rejected_records").fetchone()
    assert reasons is not None
    assert where in {reason["where"] for reason in reasons[0]}
    assert all(reason["what"] and reason["allowed"] for reason in reasons[0])
    check_invariants(connection)


WEIRD = st.text(min_size=1, max_size=40)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(texts=st.lists(st.tuples(WEIRD, WEIRD, WEIRD), min_size=1, max_size=8))
def test_any_text_is_stored_as_it_came_or_made_right(connection: Connection, texts: list[tuple[str, str, str]]) -> None:
    """Quotes, SQL, slashes, tabs, NUL, emoji, lone surrogates: through COPY and back. Only an empty SKU rejects."""
    connection.execute("TRUNCATE orders, order_items, order_events, rejected_records, record_flaws, lanes")
    with Marketplace() as shop:
        for number, (sku, product, city) in enumerate(texts, 1):
            order = an_order(shop, number, skus=(sku,), shipping_address={"city": city, "street2": product})
            order["orderlines"][0]["product"] = product
        sync(sandbox_account(shop))
        every_listed_order_is_stored_or_rejected(connection, "shop", list(shop.world.scripted.values()))
    stored = connection.execute(
        "SELECT order_id::int, sku, product, shipping_city, shipping_street2, raw FROM orders JOIN order_items USING (order_id)"
    ).fetchall()
    assert len(stored) == sum(bool(storable(sku).strip()) for sku, _, _ in texts)
    for number, sku, product, city, street2, raw in stored:
        texts_of_order = tuple(map(storable, texts[number - 1]))
        assert (sku, product, city, street2) == (
            texts_of_order[0].strip(), texts_of_order[1], texts_of_order[2], texts_of_order[1],
        )  # fmt: skip
        assert raw["orderlines"][0]["product"] == product
    check_invariants(connection)


def storable(text: str) -> str:
    """The text as PostgreSQL can store it: NUL and halves of surrogate pairs are replaced."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


IDS = st.sampled_from(["1", "abc", "", "  ", "x" * 200, "x" * 201])
TIMES = st.none() | st.datetimes(timezones=st.none() | st.just(UTC)) | st.just(datetime(2026, 11, 24, tzinfo=UTC))
AMOUNTS = st.none() | st.sampled_from(
    [
        "229.00",
        "0",
        "-1",
        "1e3",
        "1e400",
        "NaN",
        "",
        "12,5",
        " 1",
        "1_0",
        "１２",
        "1.0000001",
        Decimal("2.50"),
        Decimal("1"),
        Decimal("1.0000000"),
        Decimal("NaN"),
        Decimal("sNaN"),
    ]
)
CURRENCY = st.sampled_from([None, "EUR", "EURO", "eur"])
QUANTITY = st.integers(-1, 10_001)
ITEMS = st.builds(
    OrderItem, IDS, IDS, QUANTITY, st.just(Status.PENDING),
    created_at=TIMES, currency=CURRENCY, price=AMOUNTS, shipping_price=AMOUNTS, fee=AMOUNTS,
)  # fmt: skip
ORDERS = st.builds(
    Order, IDS, st.just(Status.PENDING), st.none() | st.lists(ITEMS, max_size=3),
    created_at=TIMES, modified_at=TIMES, paid_at=TIMES, shipped_at=TIMES, dispatch_due_at=TIMES,
    currency=CURRENCY, items_total=AMOUNTS, shipping_total=AMOUNTS, sales_taxes=AMOUNTS,
)  # fmt: skip


@st.composite
def nearly_right_orders(draw: st.DrawFn) -> Order:
    """A right order with up to two fields, and up to one of its item, replaced: so that each rule alone decides."""
    order = RIGHT
    weird = draw(ORDERS)
    for name in draw(st.lists(st.sampled_from(Order.__struct_fields__[:13]), max_size=2)):
        order = msgspec.structs.replace(order, **{name: getattr(weird, name)})
    if order.items and draw(st.booleans()):
        name = draw(st.sampled_from(OrderItem.__struct_fields__[:10]))
        other = draw(ITEMS)
        item = msgspec.structs.replace(order.items[0], **{name: getattr(other, name)})
        order = msgspec.structs.replace(order, items=[item, *order.items[1:]])
    return order


def _is_right(order: Order) -> bool:
    """Whether the order is stored as it is."""
    try:
        mended, flaws = mend_order(order)
    except RecordRejectedError:
        return False
    assert bool(flaws) or _without_kinds(mended) == _without_kinds(order)
    return not flaws and mended == order


def _without_kinds(order: Order) -> Order:
    items = [msgspec.structs.replace(item, kind=ItemKind.GOODS) for item in order.items or []]
    return msgspec.structs.replace(order, items=items)


@settings(max_examples=500, deadline=None)
@given(order=nearly_right_orders() | ORDERS)
def test_the_check_of_a_batch_agrees_with_the_check_of_its_only_record(order: Order) -> None:
    found = flawed_orders(OrderColumns([order]))
    assert found == set() if _is_right(order) else found <= {0}
    assert found or _is_right(order)


@settings(max_examples=500, deadline=None)
@given(orders=st.lists(nearly_right_orders(), max_size=4))
def test_the_check_of_a_batch_finds_exactly_the_records_that_are_not_right(orders: list[Order]) -> None:
    """The items' ids are made distinct between orders, but for the ids that are wrong by themselves."""
    distinct = [
        order
        if order.items is None
        else msgspec.structs.replace(
            order,
            items=[
                msgspec.structs.replace(item, item_id=f"{position} {item.item_id}" if item.item_id.strip() else "")
                for item in order.items
            ],
        )
        for position, order in enumerate(orders)
    ]
    wrong = {position for position, order in enumerate(distinct) if not _is_right(order)}
    found = flawed_orders(OrderColumns(distinct))
    assert wrong <= found
    assert all(_may_look_wrong(distinct[position]) for position in found - wrong)


def _may_look_wrong(order: Order) -> bool:
    """An item that is 0 pieces or has a negative price is looked at again, and can be right all the same."""
    return any(item.quantity == 0 or str(item.price).startswith("-") for item in order.items or [])


@settings(max_examples=500, deadline=None)
@given(order=nearly_right_orders() | ORDERS)
def test_a_mended_order_is_right(order: Order) -> None:
    try:
        mended, _ = mend_order(order)
    except RecordRejectedError:
        return
    left = [flaw for flaw in mend_order(mended)[1] if flaw.found != "is negative" and flaw.field != "items"]
    assert left == []  # a negative total and an empty list of items are stored as they are


@pytest.mark.parametrize(("kind", "rules"), [(Order, ORDER_RULES), (OrderItem, ITEM_RULES)])
def test_every_time_amount_and_currency_has_a_rule(kind: type[msgspec.Struct], rules: dict[str, Rule]) -> None:
    fields = {field.name: str(field.type) for field in msgspec.structs.fields(kind)}
    assert rules.keys() <= fields.keys()
    need_one = {name for name, its_type in fields.items() if "datetime" in its_type or "Decimal" in its_type}
    assert len(need_one) >= 4
    assert need_one | {"currency"} <= rules.keys()


def test_a_reason_says_what_the_record_has_where_that_can_not_be_read(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, date_creation="2026-02-30T10:00:00Z")
    an_order(marketplace, 2, orderlines="none")
    an_order(marketplace, 3)["orderlines"][0]["listing"] = {"sku": "PHONE"}
    an_order(marketplace, 4, date_creation=None)
    sync(account)
    rows = connection.execute("SELECT record_id, reasons->0->>'where', reasons->0->>'what' FROM rejected_records")
    assert sorted(rows.fetchall()) == [
        ("1", "created_at", "can't be read as a time: '2026-02-30T10:00:00Z'"),
        ("2", "items", "is a text"),
        ("3", "items[0].sku", "is an object"),
        ("4", "created_at", "is missing"),
    ]


def test_a_right_batch_passes_and_one_with_a_shared_item_does_not() -> None:
    assert flawed_orders(OrderColumns([RIGHT])) == set()
    assert flawed_orders(OrderColumns([])) == set()
    assert flawed_orders(OrderColumns([RIGHT, msgspec.structs.replace(RIGHT, order_id="2")])) == {1}, "shares an item"


def test_a_record_that_only_postgresql_rejects_is_found_among_a_thousand(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """A poison record must not block its batch: here a trigger, as an operator may have one, rejects one order."""
    reject_row(connection, "orders", "order_id", "500")
    for number in range(1, 1_001):
        an_order(marketplace, number)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (999, 1)
    what = connection.execute("SELECT reasons->0->>'what' FROM rejected_records").fetchone()
    assert what is not None
    assert "PostgreSQL can't store it" in what[0]
    check_invariants(connection)
