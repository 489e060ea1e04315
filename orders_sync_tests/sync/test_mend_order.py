"""What is stored of an order with a wrong value, and which values reject it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orders_sync.model.records import Flaw, ItemKind, Order, OrderItem, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.validate import flawed_orders, mend_order
from orders_sync_tests.sync.right_order import RIGHT

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


def test_no_flaw_shows_what_the_record_has_but_for_codes() -> None:
    """A flaw is shown in the UI and on the command line: it must not quote a buyer."""
    for name, value in {"currency": "Jane Doe, Paris", "tracking_url": "Jane Doe", "items_total": "Jane Doe"}.items():
        _, flaw = _mended(msgspec.structs.replace(RIGHT, order_id="2", items=None, **{name: value}))
        assert "Jane" not in flaw.found + flaw.stored


def test_an_order_whose_only_line_is_left_out_has_a_flaw_each_time_it_is_read() -> None:
    mended, flaws = mend_order(with_item(item_id="", status=Status.CANCELLED))
    assert (mended.items, mended.lists_all_items) == ([], False)
    assert [flaw.field for flaw in flaws] == ["items", "items[0].item_id"]
    assert mend_order(mended) == (mended, flaws[:1])
