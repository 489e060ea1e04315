"""Adapters that users write: whatever one raises, or passes on unchecked, concerns one record, and quotes nobody."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.records import Address, CareRecord, Document, DocumentKind, Order, Shipment
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

BUYER = "Jane Doe, Main Street 5"


def raises(error: Exception) -> Callable[..., Any]:
    """A method that raises."""

    def method(self: BackMarket, *arguments: object) -> object:
        raise error

    return method


def stored_orders(connection: Connection) -> list[str]:
    return [order_id for (order_id,) in connection.execute("SELECT order_id FROM orders ORDER BY 1")]


def reasons_against(connection: Connection, key: str) -> str:
    row = connection.execute("SELECT reasons::text FROM rejected_records WHERE record_id = %s", [key]).fetchone()
    return "" if row is None else str(row[0])


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("order_id", 5, "order_id"), ("order_id", None, "order_id"), ("items", "x", "items"),
        ("items_total", 5.5, "items_total"), ("created_at", "2026-01-01", "created_at"), ("created_at", 5, "created_at"),
        ("modified_at", "2026-01-01", "modified_at"), ("marketplace_state", 5, "marketplace_state"),
        ("currency", 5, "currency"), ("shipping", None, "shipping"),
        ("buyer_email", b"x", "buyer_email"), ("tracking_url", 5, "tracking_url"), ("status", "accepted", "status"),
        ("billing", (), "billing"), ("items", [5], "items[0]"), ("marketplace_shipping", [1], "marketplace_shipping"),
        ("marketplace_shipping", "no", "marketplace_shipping"),
        ("marketplace_delivery_note", 0, "marketplace_delivery_note"), ("lists_all_items", "no", "lists_all_items"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
def test_a_value_of_another_type_rejects_its_order_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    field: str, value: object, found: str, is_new: bool,
) -> None:  # fmt: skip
    """As an adapter passes on what `json.loads` gives it, where the marketplace sends a number for a text."""
    if not is_new:
        an_order(marketplace, 1)
        an_order(marketplace, 2)
        sync(account)
    decode = BackMarket.decode_order

    def odd(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        return msgspec.structs.replace(order, **{field: value}) if order.order_id == "1" else order

    monkeypatch.setattr(BackMarket, "decode_order", odd)
    for number in (1, 2):
        an_order(marketplace, number, payment_method="PAYPAL")
    summary = sync(account)
    assert summary.rejected == 1
    assert stored_orders(connection) == (["2"] if is_new else ["1", "2"])
    assert f'"where": "{found}"' in reasons_against(connection, "1")
    assert "was decoded by its adapter as" in reasons_against(connection, "1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("item_id", 5), ("sku", 5), ("sku", None), ("quantity", "1"), ("quantity", True), ("status", "accepted"),
        ("kind", "goods"), ("price", 5.5), ("created_at", 5), ("product", ["x"]), ("imeis", "356938035643809"),
        ("imeis", (5,)), ("serial_numbers", ["A"]), ("shipments", (5,)), ("shipments", 5), ("cancelled", "1"),
        ("returned", 1.5),
    ],
)  # fmt: skip
def test_a_value_of_another_type_in_an_item_rejects_its_order_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    field: str, value: object,
) -> None:  # fmt: skip
    decode = BackMarket.decode_order

    def odd(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        items = [msgspec.structs.replace(item, **{field: value}) for item in order.items or ()]
        return msgspec.structs.replace(order, items=items) if order.order_id == "1" else order

    monkeypatch.setattr(BackMarket, "decode_order", odd)
    for number in (1, 2):
        an_order(marketplace, number)
    assert sync(account).rejected == 1
    assert stored_orders(connection) == ["2"]
    assert f'"where": "items[0].{field}' in reasons_against(connection, "1")


class Text(str):
    """As a library marks texts that it has cleaned or translated."""


class Number(int):
    pass


class Amount(Decimal):
    pass


class Time(datetime):
    """As libraries for dates have one."""


class LargerOrder(Order, frozen=True, gc=False):
    note: str = ""


AT = Time(2026, 3, 2, 12, tzinfo=UTC)
IMEI = Text("356938035643809")


@pytest.mark.parametrize(
    "values",
    [
        {"created_at": AT, "items_total": Amount("5.50"), "payment_method": Text("CARD")},
        {"items_total": Text("5.50"), "order_id": Text("1")},
        {"buyer_email": Text("jane@example.com"), "shipping": Address(city=Text("Paris"))},
        {"items.item_id": Text("100"), "items.quantity": Number(1), "items.created_at": AT},
        {"items.imeis": (IMEI,), "items.serial_numbers": (Text("S"),)},
        {"items.shipments": (Shipment(Number(1), AT),), "items.price": Amount("5.50"), "items.fee": Text("1")},
        {"documents": [Document(Text("l"), DocumentKind.LABEL, Text("https://l.example/1"), shipped_at=AT)]},
        {"class": LargerOrder},
    ],
    ids=lambda values: " ".join(values),
)
def test_values_of_classes_that_derive_from_the_declared_ones_are_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
) -> None:  # fmt: skip
    decode = BackMarket.decode_order
    of_order = {name: value for name, value in values.items() if "." not in name and name != "class"}
    of_items = {name.removeprefix("items."): value for name, value in values.items() if "." in name}

    def derived(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        if order.order_id != "1":
            return order
        items = [msgspec.structs.replace(item, **of_items) for item in order.items or ()]
        order = msgspec.structs.replace(order, items=items, **of_order)
        return values.get("class", Order)(*msgspec.structs.astuple(order))

    monkeypatch.setattr(BackMarket, "decode_order", derived)
    for number in (1, 2):
        an_order(marketplace, number)
    summary = sync(account)
    assert (summary.created, summary.rejected, summary.flawed) == (2, 0, 0)
    for number in (1, 2):
        an_order(marketplace, number, payment_method="PAYPAL")
    summary = sync(account)
    assert (summary.changed, summary.rejected, summary.flawed) == (2, 0, 0)


@pytest.mark.parametrize("values", [{"created_at": None}, {"items": {"quantity": None}}], ids=str)
def test_what_a_copy_leaves_out_is_found_whatever_spaces_its_adapter_leaves_around_the_ids(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
) -> None:  # fmt: skip
    an_order(marketplace, 1)
    sync(account)
    decode = BackMarket.decode_order

    def odd(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        of_items = values.get("items", {})
        items = [msgspec.structs.replace(item, item_id=f" {item.item_id}", **of_items) for item in order.items or ()]
        return msgspec.structs.replace(order, **{**values, "order_id": " 1 ", "items": items})

    monkeypatch.setattr(BackMarket, "decode_order", odd)
    an_order(marketplace, 1, payment_method="PAYPAL")
    summary = sync(account)
    assert (summary.changed, summary.rejected) == (1, 0)
    flaws = connection.execute("SELECT stored FROM record_flaws").fetchall()
    assert ("as it was stored before",) in flaws


def test_an_item_without_quantity_whose_id_is_no_text_rejects_its_order_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        an_order(marketplace, number)
    sync(account)
    decode = BackMarket.decode_order

    def odd(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        odd: dict[str, Any] = {"item_id": 100, "quantity": None} if order.order_id == "1" else {}
        return msgspec.structs.replace(
            order, items=[msgspec.structs.replace(item, **odd) for item in order.items or ()]
        )

    monkeypatch.setattr(BackMarket, "decode_order", odd)
    for number in (1, 2):
        an_order(marketplace, number, payment_method="PAYPAL")
    summary = sync(account)
    assert (summary.changed, summary.rejected) == (1, 1)


LABEL_URL = "https://l.example/1"


def unchecked(*values: Any, **others: Any) -> Document:
    return Document(*values, **others)


ODD_DOCUMENTS = [
    1, {"key": 1}, unchecked("number", DocumentKind.LABEL, 5), unchecked("unknown", "invoice", LABEL_URL),
    unchecked("ids", DocumentKind.LABEL, LABEL_URL, item_ids=[100]),
]  # fmt: skip
CONVERTIBLE_DOCUMENTS = [
    unchecked("list", DocumentKind.LABEL, LABEL_URL, item_ids=["100"]), unchecked("text", "label", LABEL_URL),
    unchecked("time", DocumentKind.LABEL, LABEL_URL, shipped_at="2026-01-01T00:00:00Z"),
]  # fmt: skip
STORED_DOCUMENTS = """
SELECT document_key, kind, item_ids, shipped_at IS NOT NULL FROM order_documents ORDER BY 1
"""
AS_STORED = [
    ("list", "label", ["100"], False), ("text", "label", [], False), ("time", "label", [], True),
]  # fmt: skip


def test_a_document_with_values_of_other_types_is_stored_where_they_are_certain_and_else_a_flaw(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = BackMarket.decode_order
    documents = ODD_DOCUMENTS + CONVERTIBLE_DOCUMENTS
    monkeypatch.setattr(
        BackMarket, "decode_order", lambda self, raw: msgspec.structs.replace(decode(self, raw), documents=documents)
    )
    an_order(marketplace, 1)
    assert sync(account).created == 1
    assert connection.execute("SELECT found FROM record_flaws").fetchall() == [
        ("has a document with values of other types",)
    ]
    assert connection.execute(STORED_DOCUMENTS).fetchall() == AS_STORED


def test_so_is_one_that_is_read_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_order(marketplace, 1)
    sync(account)
    documents = ODD_DOCUMENTS[2:] + CONVERTIBLE_DOCUMENTS
    monkeypatch.setattr(BackMarket, "documents", lambda self, missing: iter([("1", documents)]))  # pyright: ignore
    assert sync(account, "incomplete").documents_found == 3
    assert connection.execute(STORED_DOCUMENTS).fetchall() == AS_STORED


@pytest.mark.parametrize("value", [None, {}, "x"], ids=repr)
def test_an_adapter_that_makes_no_order_of_a_record_rejects_it(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    value: Any,
) -> None:
    decode = BackMarket.decode_order

    def odd(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        return value if order.order_id == "1" else order

    monkeypatch.setattr(BackMarket, "decode_order", odd)
    an_order(marketplace, 1)
    an_order(marketplace, 2)
    assert sync(account).rejected == 1
    assert stored_orders(connection) == ["2"]


def test_a_care_record_with_a_value_of_another_type_is_rejected_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = BackMarket.decode_care_record

    def odd(self: BackMarket, raw: bytes) -> CareRecord:
        care = decode(self, raw)
        return msgspec.structs.replace(care, opened_at="2026-01-01") if care.care_id == "7" else care

    monkeypatch.setattr(BackMarket, "decode_care_record", odd)
    an_order(marketplace, 1)
    sync(account)
    marketplace.put_folder(7, 100)
    marketplace.put_folder(8, 100)
    summary = sync(account, "care")
    assert (summary.rejected, summary.created) == (1, 1)
    assert '"where": "opened_at"' in reasons_against(connection, "7")


def test_an_order_that_can_not_be_fetched_alone_is_put_off(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Marketplace(ago=timedelta(days=20)) as marketplace:
        account = sandbox_account(marketplace)
        an_order(marketplace, 1, skus=("",))
        assert sync(account).rejected == 1
        marketplace.pass_time(days=9)
        sync(account)
        marketplace.pass_time(hours=2)  # the order is behind the watermark now
        an_order(marketplace, 2)
        monkeypatch.setattr(BackMarket, "order", raises(KeyError(BUYER)))
        summary = sync(account)
    assert stored_orders(connection) == ["2"]
    assert (summary.created, summary.put_off) == (1, 1)
    [problem] = [each for each in summary.problems if "put off" in each]
    assert "the adapter's order() raised KeyError in test_adapters_of_users.py, line" in problem
    assert BUYER not in problem


def test_a_care_record_that_can_not_be_fetched_is_put_off(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_order(marketplace, 1)
    sync(account)
    marketplace.put_folder(7, 100)
    with monkeypatch.context() as patched:
        patched.setattr(BackMarket, "care_record", raises(TypeError(BUYER)))
        summary = sync(account, "care")
    assert summary.put_off == 1
    assert BUYER not in str(summary.problems)
    sync(account, "care")
    assert connection.execute("SELECT care_id FROM care_records").fetchall() == [("7",)]


def test_records_that_an_adapter_can_not_fetch_are_never_taken_for_the_marketplaces_failure(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in range(900, 905):
        marketplace.put_folder(folder, folder)
    fetch = BackMarket.care_record

    def odd(self: BackMarket, record: RawRecord) -> bytes:
        if record.record_id != "904":
            raise KeyError(BUYER)
        return fetch(self, record)

    monkeypatch.setattr(BackMarket, "care_record", odd)
    summary = sync(account, "care")
    assert (summary.put_off, summary.created) == (4, 1)
    assert connection.execute("SELECT care_id FROM care_records").fetchall() == [("904",)]


def test_an_exception_of_a_library_is_placed_where_the_adapter_called_it(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(self: BackMarket, *arguments: object) -> object:
        return json.loads("{")

    monkeypatch.setattr(BackMarket, "orders", odd)
    with pytest.raises(PassFailedError, match=r"JSONDecodeError in test_adapters_of_users.py, line \d+$"):
        sync(account)


def test_figures_that_an_adapter_can_not_count_are_those_of_before(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    an_order(marketplace, 1)
    monkeypatch.setattr(BackMarket, "metrics", lambda _: {"calls": "many"})
    summary = sync(account)
    assert (summary.created, summary.api_calls) == (1, 0)
    assert "the adapter's metrics() raised ValueError" in caplog.text


def test_the_text_of_an_exception_is_nowhere_shown(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(BackMarket, "orders", raises(ValueError(f"Invalid isoformat string: {BUYER!r}")))
    with pytest.raises(PassFailedError, match=r"shop/new: ValueError in test_adapters_of_users.py, line \d+$"):
        sync(account)
    shown = connection.execute("SELECT problem FROM lane_runs").fetchall()
    assert BUYER not in str(shown) + caplog.text


@pytest.mark.parametrize("method", ["metrics", "clock_problem", "close"])
def test_an_adapter_that_fails_beside_the_records_fails_no_pass(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    an_order(marketplace, 1)
    monkeypatch.setattr(BackMarket, method, raises(KeyError("x")))
    assert sync(account).created == 1


@pytest.mark.parametrize("answer", [None, 5, [1]], ids=repr)
def test_documents_that_are_none_are_a_problem_of_their_order(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    answer: object,
) -> None:  # fmt: skip
    an_order(marketplace, 1)
    sync(account)
    monkeypatch.setattr(BackMarket, "documents", lambda self, missing: iter([("1", answer)]))  # pyright: ignore
    assert sync(account, "incomplete").problems[0].startswith("order 1: its documents can't be read")
