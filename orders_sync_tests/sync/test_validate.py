"""The record check, and records made to break it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.records import Order, OrderItem, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.validate import ITEM_RULES, ORDER_RULES, Rule, batch_is_valid, check_order
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

BAD: list[tuple[dict[str, Any], str]] = [
    ({"price": "12,50"}, "items_total"),
    ({"price": "１２"}, "items_total"),
    ({"price": "1_000"}, "items_total"),
    ({"price": ["12.50"]}, "price"),
    ({"price": "-1.00"}, "items_total"),
    ({"price": "1.00000000001"}, "items_total"),
    ({"price": "NaN"}, "items_total"),
    ({"currency": "EURO"}, "currency"),
    ({"date_creation": "2099-01-01T00:00:00"}, "created_at"),
    ({"date_creation": None}, "created_at"),
    ({"date_payment": "1970-01-01T00:00:00Z"}, "paid_at"),
    ({"date_modification": "2999-01-01T00:00:00Z"}, "modified_at"),
    ({"orderlines": []}, "items"),
    ({"orderlines": "none"}, "orderlines"),
    ({"state": "three"}, "state"),
    ({"delivery_note": "a\u0000b"}, "record"),
    ({"surprise": {"deep": ["\u0000"]}}, "record"),
    ({"order_id": None}, "order_id"),
]


@pytest.mark.parametrize(("fields", "where"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_record_is_kept_with_its_place_and_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fields: dict[str, Any], where: str
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2)
    marketplace.world.scripted[2].update(fields)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (1, 1)
    reasons = connection.execute("SELECT reasons FROM rejected_records").fetchone()
    assert reasons is not None
    assert where in {reason["where"] for reason in reasons[0]}
    assert all(reason["what"] and reason["allowed"] for reason in reasons[0])
    check_invariants(connection)


LINES: list[tuple[dict[str, Any], str]] = [
    ({"quantity": 0}, "items[0].quantity"),
    ({"quantity": -3}, "items[0].quantity"),
    ({"quantity": 10**9}, "items[0].quantity"),
    ({"quantity": "2"}, "orderlines[0].quantity"),
    ({"listing": ""}, "items[0].sku"),
    ({"listing": "x" * 500}, "items[0].sku"),
    ({"price": "1e400"}, "items[0].price"),
]


@pytest.mark.parametrize(("fields", "where"), LINES, ids=lambda value: str(value)[:40])
def test_a_bad_line_rejects_its_order(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fields: dict[str, Any], where: str
) -> None:
    an_order(marketplace, 1)["orderlines"][0].update(fields)
    assert sync(account).rejected == 1
    reasons = connection.execute("SELECT reasons FROM rejected_records").fetchone()
    assert reasons is not None
    assert where in {reason["where"] for reason in reasons[0]}


def test_two_lines_or_two_orders_with_one_id_are_rejected_with_a_reason(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    twice = an_order(marketplace, 1)
    twice["orderlines"].append(dict(twice["orderlines"][0]))
    an_order(marketplace, 2)
    an_order(marketplace, 3)["orderlines"][0]["id"] = 200
    sync(account)
    an_order(marketplace, 4)["orderlines"][0]["id"] = 200
    sync(account)
    rows = connection.execute("SELECT record_id, reasons->0->>'what' FROM rejected_records ORDER BY 1").fetchall()
    reasons = dict(rows)
    assert reasons["1"] == "occurs twice in the order"
    assert reasons["4"].startswith("item 200 belongs to order")
    assert len(reasons) == 3
    check_invariants(connection)


WEIRD = st.text(min_size=1, max_size=40)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(texts=st.lists(st.tuples(WEIRD, WEIRD, WEIRD), min_size=1, max_size=8))
def test_any_text_is_stored_as_it_came_or_rejected(connection: Connection, texts: list[tuple[str, str, str]]) -> None:
    """Quotes, SQL, slashes, tabs, NUL, emoji, lone surrogates: through COPY and back."""
    connection.execute("TRUNCATE orders, order_items, order_events, rejected_records, lanes")
    with Marketplace() as shop:
        for number, (sku, product, city) in enumerate(texts, 1):
            order = an_order(shop, number, skus=(sku,), shipping_address={"city": city, "street2": product})
            order["orderlines"][0]["product"] = product
        sync(sandbox_account(shop))
        every_listed_order_is_stored_or_rejected(connection, "shop", list(shop.world.scripted.values()))
    stored = connection.execute(
        "SELECT order_id::int, sku, product, shipping_city, shipping_street2, raw FROM orders JOIN order_items USING (order_id)"
    ).fetchall()
    for number, sku, product, city, street2, raw in stored:
        assert (sku, product, city, street2) == (
            texts[number - 1][0], texts[number - 1][1], texts[number - 1][2], texts[number - 1][1],
        )  # fmt: skip
        assert raw["orderlines"][0]["product"] == product
    check_invariants(connection)


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
RIGHT = Order(
    "1", Status.PENDING, [OrderItem("11", "A", 1, Status.PENDING, price="229.00")],
    created_at=datetime(2026, 11, 24, tzinfo=UTC), currency="EUR", items_total=Decimal("229"),
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


def _is_valid(order: Order) -> bool:
    try:
        check_order(order)
    except RecordRejectedError:
        return False
    return True


@settings(max_examples=500, deadline=None)
@given(order=nearly_right_orders() | ORDERS)
def test_the_check_of_a_batch_agrees_with_the_check_of_its_only_record(order: Order) -> None:
    assert batch_is_valid(OrderColumns([order])) == _is_valid(order)


@settings(max_examples=500, deadline=None)
@given(orders=st.lists(nearly_right_orders(), max_size=4))
def test_the_check_of_a_batch_agrees_with_the_checks_of_its_records(orders: list[Order]) -> None:
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
    assert batch_is_valid(OrderColumns(distinct)) == all(map(_is_valid, distinct))


@pytest.mark.parametrize(("kind", "rules"), [(Order, ORDER_RULES), (OrderItem, ITEM_RULES)])
def test_every_time_amount_and_currency_has_a_rule(kind: type[msgspec.Struct], rules: dict[str, Rule]) -> None:
    fields = {field.name: str(field.type) for field in msgspec.structs.fields(kind)}
    assert rules.keys() <= fields.keys()
    need_one = {name for name, its_type in fields.items() if "datetime" in its_type or "Decimal" in its_type}
    assert len(need_one) >= 4
    assert need_one | {"currency"} <= rules.keys()


NO_IDS = ["", "  ", "x" * 201]
NO_TIMES = [datetime(2026, 11, 24), datetime(1999, 12, 31, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)]
NO_AMOUNTS = ["", "-1", "1e400", "NaN", "12,5", "1_0", "１２", "1.0000001", Decimal("-2.50"), Decimal("NaN")]
TWICE = [OrderItem("11", "A", 1, Status.PENDING)] * 2
WRONG_ORDER = {
    "order_id": NO_IDS, "items": [[], TWICE], "created_at": [None, *NO_TIMES], "modified_at": NO_TIMES,
    "paid_at": NO_TIMES, "shipped_at": NO_TIMES, "dispatch_due_at": NO_TIMES, "currency": ["EURO", "eur", ""],
    "items_total": NO_AMOUNTS, "shipping_total": NO_AMOUNTS, "sales_taxes": NO_AMOUNTS,
}  # fmt: skip
WRONG_ITEM = {
    "item_id": NO_IDS, "sku": NO_IDS, "quantity": [-1, 0, 10_001], "created_at": NO_TIMES, "currency": ["EURO"],
    "price": NO_AMOUNTS, "shipping_price": NO_AMOUNTS, "fee": NO_AMOUNTS,
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ORDER)
def test_each_wrong_value_of_an_order_fails_both_checks(name: str) -> None:
    for value in WRONG_ORDER[name]:
        _fails_both_checks(msgspec.structs.replace(RIGHT, **{name: value}), name)


@pytest.mark.parametrize("name", WRONG_ITEM)
def test_each_wrong_value_of_an_item_fails_both_checks(name: str) -> None:
    assert RIGHT.items
    for value in WRONG_ITEM[name]:
        wrong = msgspec.structs.replace(RIGHT.items[0], **{name: value})
        _fails_both_checks(msgspec.structs.replace(RIGHT, items=[wrong]), f"items[0].{name}")


def _fails_both_checks(order: Order, where: str) -> None:
    with pytest.raises(RecordRejectedError) as rejected:
        check_order(order)
    assert any(reason.where.startswith(where) for reason in rejected.value.reasons)
    assert not batch_is_valid(OrderColumns([order]))


def test_a_right_batch_passes_and_one_with_a_shared_item_does_not() -> None:
    check_order(RIGHT)
    assert batch_is_valid(OrderColumns([RIGHT]))
    assert batch_is_valid(OrderColumns([]))
    assert not batch_is_valid(OrderColumns([RIGHT, msgspec.structs.replace(RIGHT, order_id="2")])), "shares an item"


def test_a_record_that_only_postgresql_rejects_is_found_among_a_thousand(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """A poison record must not block its batch: here a trigger, as an operator may have one, rejects one order."""
    connection.execute("""
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'numeric field overflow' USING ERRCODE = '22003'; END $$;
        CREATE TRIGGER reject BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.order_id = '500')
        EXECUTE FUNCTION reject()
    """)
    for number in range(1, 1_001):
        an_order(marketplace, number)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (999, 1)
    what = connection.execute("SELECT reasons->0->>'what' FROM rejected_records").fetchone()
    assert what is not None
    assert "PostgreSQL can't store it" in what[0]
    check_invariants(connection)
