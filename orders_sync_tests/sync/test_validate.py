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
from orders_sync.model.records import Flaw, ItemKind, Order, OrderItem, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.rules import ITEM_RULES, ORDER_RULES, Rule
from orders_sync.sync.validate import flawed_orders, mend_order
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.row_faults import reject_row

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


NO_IDS = ["", "  ", "x" * 201]
BAD_TIMES = [datetime(1999, 12, 31, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)]
BAD_AMOUNTS = ["", "1e400", "NaN", "12,5", "1_0", "１２", "9" * 13, Decimal("NaN"), Decimal("sNaN"), "-"]
UNKNOWN_ORDER = {
    "modified_at": BAD_TIMES, "paid_at": BAD_TIMES, "shipped_at": BAD_TIMES, "dispatch_due_at": BAD_TIMES,
    "currency": ["EURO", "", "xyz", "§"], "items_total": BAD_AMOUNTS, "shipping_total": BAD_AMOUNTS,
    "sales_taxes": BAD_AMOUNTS, "tracking_url": ["ftp://x", "javascript:alert(1)", "https://" + "x" * 2048],
    "label_url": ["/relative"], "delivery_note_url": ["see attachment"],
}  # fmt: skip
UNKNOWN_ITEM = {
    "created_at": BAD_TIMES, "currency": ["EURO"], "price": BAD_AMOUNTS, "shipping_price": BAD_AMOUNTS,
    "fee": BAD_AMOUNTS,
}  # fmt: skip
REJECTED_ITEM = {"item_id": NO_IDS, "sku": NO_IDS, "quantity": [-1, 2**31]}


def _mended(order: Order) -> tuple[Order, Flaw]:
    """The order as it is stored, and its only flaw; the check of a batch has to find it as well."""
    assert flawed_orders(OrderColumns([RIGHT, order])) >= {1}
    mended, [flaw] = mend_order(order)
    return mended, flaw


@pytest.mark.parametrize("name", UNKNOWN_ORDER)
def test_a_wrong_value_of_an_order_is_stored_as_unknown(name: str) -> None:
    for value in UNKNOWN_ORDER[name]:
        mended, flaw = _mended(msgspec.structs.replace(RIGHT, order_id="2", items=None, **{name: value}))
        assert getattr(mended, name) is None
        assert (flaw.field, flaw.stored) == (name, "unknown")


@pytest.mark.parametrize("name", UNKNOWN_ITEM)
def test_a_wrong_value_of_an_item_is_stored_as_unknown(name: str) -> None:
    for value in UNKNOWN_ITEM[name]:
        mended, flaw = _mended(with_item(**{name: value}))
        assert mended.items is not None
        assert getattr(mended.items[0], name) is None
        assert (flaw.field, flaw.stored) == (f"items[0].{name}", "unknown")


@pytest.mark.parametrize("name", REJECTED_ITEM)
def test_an_item_without_what_is_needed_to_ship_it_rejects_the_order(name: str) -> None:
    for value in REJECTED_ITEM[name]:
        order = with_item(**{name: value})
        with pytest.raises(RecordRejectedError) as rejected:
            mend_order(order)
        assert [reason.where for reason in rejected.value.reasons] == [f"items[0].{name}"]
        assert flawed_orders(OrderColumns([order])) == {0}


def test_an_order_needs_a_usable_creation_time() -> None:
    for value in [None, *BAD_TIMES]:
        with pytest.raises(RecordRejectedError, match="created_at"):
            mend_order(msgspec.structs.replace(RIGHT, created_at=value))


def with_item(**values: Any) -> Order:
    assert RIGHT.items
    item = msgspec.structs.replace(RIGHT.items[0], **{"item_id": "21", **values})
    return msgspec.structs.replace(RIGHT, order_id="2", items=[item])


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("currency", "eur", "EUR"),
        ("currency", " eur ", "EUR"),
        ("paid_at", datetime(2026, 11, 24, 8), datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("items_total", "0.30000000000000004", Decimal("0.3")),
        ("items_total", "0.123456789012345", Decimal("0.12345678901234")),
        ("items_total", "-5.00", "-5.00"),
        ("carrier", "x" * 10_001, "x" * 10_000),
    ],
)
def test_a_wrong_value_whose_right_one_is_certain_is_made_right(name: str, value: object, stored: object) -> None:
    mended, flaw = _mended(msgspec.structs.replace(RIGHT, order_id="2", items=None, **{name: value}))
    assert getattr(mended, name) == stored
    assert (flaw.field, flaw.stored != "unknown") == (name, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("currency", "HRK"),
        ("sales_taxes", "36.24499075630252"),
        ("sales_taxes", Decimal("66.66666666666667")),
        ("items_total", "0"),
        ("items_total", "1e3"),
        ("tracking_url", ""),
        ("tracking_url", "HTTPS://carrier.example/é?a=b"),
    ],
)
def test_unusual_values_that_are_right_are_no_flaws(name: str, value: object) -> None:
    order = msgspec.structs.replace(RIGHT, **{name: value})
    assert mend_order(order) == (order, [])
    assert flawed_orders(OrderColumns([order])) == set()


def test_spaces_around_a_sku_are_removed() -> None:
    mended, flaw = _mended(with_item(sku=" PHONE "))
    assert mended.items is not None
    assert (mended.items[0].sku, flaw.stored) == ("PHONE", "without them")


def test_a_commission_that_is_given_back_is_stored_as_it_is() -> None:
    order = with_item(fee="-1.50")
    assert mend_order(order) == (order, [])


def test_a_line_with_a_negative_price_is_a_discount_and_needs_no_sku() -> None:
    mended, flaws = mend_order(with_item(sku="", price="-10.00"))
    assert mended.items is not None
    assert (mended.items[0].kind, mended.items[0].price, flaws) == ("discount", "-10.00", [])


def test_what_is_not_in_stock_needs_no_sku() -> None:
    order = with_item(sku="", kind=ItemKind.GIFT_CARD)
    assert mend_order(order) == (order, [])


def test_nothing_is_left_to_ship_of_an_item_with_the_quantity_0() -> None:
    cancelled = with_item(quantity=0, status=Status.CANCELLED)
    assert mend_order(cancelled) == (cancelled, [])
    mended, flaw = _mended(with_item(quantity=0))
    assert mended.items is not None
    assert (mended.items[0].status, flaw.found, flaw.stored) == ("cancelled", "is 0", "the item as cancelled")


TWICE = OrderItem("21", "A", 1, Status.PENDING)


@pytest.mark.parametrize(
    ("first", "second", "stored", "what"),
    [
        ({}, {}, {}, "the item once"),
        ({"product": "A phone"}, {"product": "Phone"}, {"product": "Phone"}, "the item as it is listed last"),
        ({"sku": " A "}, {"sku": "A"}, {}, "the item once"),
        ({}, {"status": Status.SHIPPED}, {"status": Status.SHIPPED}, "the item as it is listed last"),
        ({}, {"status": Status.CANCELLED, "quantity": 0}, {}, "the item that is to be shipped"),
        ({"status": Status.CANCELLED, "sku": ""}, {}, {}, "the item as it is listed last"),
        ({}, {"price": "-5"}, {}, "the item that is to be shipped"),
    ],
)
def test_an_item_that_is_listed_twice_is_stored_once(
    first: dict[str, Any], second: dict[str, Any], stored: dict[str, Any], what: str
) -> None:
    items = [msgspec.structs.replace(TWICE, **fields) for fields in (first, second)]
    order = msgspec.structs.replace(RIGHT, order_id="2", items=items)
    assert flawed_orders(OrderColumns([RIGHT, order])) == {1}
    mended, flaws = mend_order(order)
    assert mended.items == [msgspec.structs.replace(TWICE, **stored)]
    assert [flaw.stored for flaw in flaws if flaw.field == "items[1].item_id"] == [what]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"quantity": 2}, "occurs twice in the order, with another quantity"),
        ({"sku": "B"}, "occurs twice in the order, with another sku"),
        ({"sku": "B", "quantity": 2}, "occurs twice in the order, with another sku and quantity"),
    ],
)
def test_an_item_that_is_listed_twice_and_leaves_open_what_to_ship_rejects_the_order(
    other: dict[str, Any], what: str
) -> None:
    with pytest.raises(RecordRejectedError) as rejected:
        mend_order(msgspec.structs.replace(RIGHT, items=[TWICE, msgspec.structs.replace(TWICE, **other)]))
    assert [(reason.where, reason.what) for reason in rejected.value.reasons] == [("items[1].item_id", what)]


def test_a_status_that_is_unknown_because_the_record_has_no_state_is_a_flaw() -> None:
    for state in (None, ""):
        order = with_item(status=Status.UNKNOWN, marketplace_state=state)
        order = msgspec.structs.replace(order, status=Status.UNKNOWN, marketplace_state=state)
        assert flawed_orders(OrderColumns([RIGHT, order])) == {1}
        assert flawed_orders(OrderColumns([msgspec.structs.replace(order, items=None)])) == {0}
        mended, flaws = mend_order(order)
        assert (mended, [flaw.field for flaw in flaws]) == (order, ["status", "items[0].status"])
    unpublished = msgspec.structs.replace(RIGHT, status=Status.UNKNOWN, marketplace_state="TELEPORTED")
    assert mend_order(unpublished) == (unpublished, []), "the check states_are_known reports it"


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


def test_no_flaw_shows_what_the_record_has_but_for_codes() -> None:
    """A flaw is shown in the UI and on the command line: it must not quote a buyer."""
    for name, value in {"currency": "Jane Doe, Paris", "tracking_url": "Jane Doe", "items_total": "Jane Doe"}.items():
        _, flaw = _mended(msgspec.structs.replace(RIGHT, order_id="2", items=None, **{name: value}))
        assert "Jane" not in flaw.found + flaw.stored


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
