"""Characters that PostgreSQL can't store: NUL, and half of a surrogate pair, as `json.loads` makes of `\\ud83d`.

One in an id rejects its record; in any other text U+FFFD stands for it. No other record is affected.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import msgspec
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.adapter import (
    AcceptanceAnswer,
    AcceptanceTarget,
    DocumentsAnswer,
    MissingDocuments,
    OrderDocuments,
    RawRecord,
)
from orders_sync.model.records import (
    Address,
    CareItem,
    CareRecord,
    Document,
    DocumentKind,
    Flaw,
    Order,
    OrderItem,
    Reason,
    RecordRejectedError,
)
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

ODD = ["a\x00b", "a\ud800b"]
FLAWS = "SELECT record_id, field, stored FROM record_flaws ORDER BY 1, 2"
REJECTED = "SELECT record_id, reasons->0->>'where', reasons->0->>'what' FROM rejected_records ORDER BY 1"
FOUND = "contains a character that can't be stored"


def texts_of(kind: type[msgspec.Struct]) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """The fields of a record that have texts, each with a function that makes its value of a text."""
    for name, hint in get_type_hints(kind).items():
        if hint is str or hint == str | None:
            yield name, lambda text: text
        elif hint == tuple[str, ...] | None:
            yield name, lambda text: (text,)


def replaced(order: Order, where: str, value: Any) -> Order:
    """The order with another value: of itself, of its items (`items.sku`), or of an address (`billing.city`)."""
    part, _, name = where.rpartition(".")
    if part == "items":
        return msgspec.structs.replace(
            order, items=[msgspec.structs.replace(each, **{name: value}) for each in order.items or ()]
        )
    if part:
        return msgspec.structs.replace(order, **{part: Address(**{name: value})})
    return msgspec.structs.replace(order, **{name: value})


PLACES = {
    **dict(texts_of(Order)),
    **{f"items.{name}": make for name, make in texts_of(OrderItem)},
    **{f"{address}.{name}": make for address in ("shipping", "billing") for name, make in texts_of(Address)},
}
KEYS = {"order_id": "order_id", "items.item_id": "items[0].item_id", "items.sku": "items[0].sku"}
CODES_AND_URLS = {"currency", "items.currency", "items_total", "shipping_total", "sales_taxes", "items.price",
                  "items.shipping_price", "items.fee", "tracking_url", "delivery_note_url", "label_url"}  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_in_any_text_of_an_order_it_is_replaced_and_in_an_id_it_rejects_the_order(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    decode = BackMarket.decode_order
    places = dict(enumerate(PLACES, start=1))

    def adapter(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        where = places.get(int(order.order_id))
        return order if where is None else replaced(order, where, PLACES[where](odd))

    monkeypatch.setattr(BackMarket, "decode_order", adapter)
    for number in range(1, len(places) + 2):
        an_order(marketplace, number)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (len(places) + 1 - len(KEYS), len(KEYS))
    rejected = {places[int(record_id)]: where for record_id, where, _ in connection.execute(REJECTED)}
    assert rejected == KEYS
    assert {what for *_, what in connection.execute(REJECTED)} == {FOUND}
    flaws = {places[int(record_id)]: stored for record_id, _, stored in connection.execute(FLAWS)}
    assert flaws == {
        where: "unknown" if where in CODES_AND_URLS else "U+FFFD in its place" for where in places.values()
        if where not in KEYS
    }  # fmt: skip
    row = connection.execute("SELECT payment_method FROM orders WHERE payment_method LIKE 'a%'").fetchone()
    assert row == ("a\ufffdb",)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "values",
    [{"created_at": None, "order_id": True}, {"items.quantity": None, "items.item_id": True}],
    ids=["an order without its time", "an item without its quantity"],
)
def test_an_id_with_one_is_not_looked_up(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any], odd: str,
) -> None:  # fmt: skip
    """What a copy of a stored order leaves out is looked up by its ids."""
    for number in (1, 2):
        an_order(marketplace, number)
    sync(account)
    decode = BackMarket.decode_order

    def adapter(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        if order.order_id != "1":
            return order
        for where, value in values.items():
            order = replaced(order, where, odd if value is True else value)
        return order

    monkeypatch.setattr(BackMarket, "decode_order", adapter)
    for number in (1, 2):
        an_order(marketplace, number, payment_method="PAYPAL")
    summary = sync(account)
    assert (summary.changed, summary.rejected) == (1, 1)
    assert FOUND in [what for *_, what in connection.execute(REJECTED)]


def test_an_adapter_that_reads_json_with_the_json_module_stores_a_record_with_half_a_pair(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = BackMarket.decode_order

    def by_json(self: BackMarket, raw: bytes) -> Order:
        method = json.loads(raw)["payment_method"]
        return msgspec.structs.replace(decode(self, raw.replace(b"\\ud83d", b"")), payment_method=method)

    monkeypatch.setattr(BackMarket, "decode_order", by_json)
    monkeypatch.setattr(BackMarket, "order_struct", None)
    an_order(marketplace, 1, payment_method="PAY\ud83d")
    an_order(marketplace, 2)
    assert sync(account).created == 2
    rows = connection.execute("SELECT payment_method, raw->>'payment_method' FROM orders ORDER BY order_id").fetchall()
    assert rows[0] == ("PAY\ufffd", "PAY\ufffd")


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_of_care_records_each_is_stored_or_rejected_alone(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    decode = BackMarket.decode_care_record
    values = {
        "1": {"marketplace_state": odd}, "2": {"state": odd}, "3": {"kind": odd}, "4": {"items": [CareItem(odd)]},
    }  # fmt: skip

    def adapter(self: BackMarket, raw: bytes) -> CareRecord:
        care = decode(self, raw)
        return msgspec.structs.replace(care, **values.get(care.care_id, {}))

    monkeypatch.setattr(BackMarket, "decode_care_record", adapter)
    an_order(marketplace, 1)
    sync(account)
    for number in range(1, 6):
        marketplace.put_folder(number, 100)
    summary = sync(account, "care")
    assert (summary.created, summary.rejected) == (4, 1)
    assert connection.execute(REJECTED).fetchall() == [("4", "items[0].item_id", FOUND)]
    assert connection.execute(FLAWS).fetchall() == [
        (record_id, field, "U+FFFD in its place")
        for record_id, field in (("1", "marketplace_state"), ("2", "state"), ("3", "kind"))
    ]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_reason_of_an_adapter_may_quote_one(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    decode = BackMarket.decode_order

    def adapter(self: BackMarket, raw: bytes) -> Order:
        order = decode(self, raw)
        if order.order_id == "1":
            raise RecordRejectedError([Reason(odd, f"is {odd}", "another one")])
        return order

    monkeypatch.setattr(BackMarket, "decode_order", adapter)
    for number in (1, 2):
        an_order(marketplace, number)
    summary = sync(account)
    assert (summary.created, summary.rejected) == (1, 1)
    assert connection.execute(REJECTED).fetchall() == [("1", "a\ufffdb", "is a\ufffdb")]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_documents_with_one_are_stored(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    url = "https://l.example/1"
    found = [
        Document(odd, DocumentKind.LABEL, url, odd, odd, item_ids=(odd,)),
        Document("url", DocumentKind.LABEL, url + odd),
    ]

    def documents(self: BackMarket, missing: list[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        yield "1", OrderDocuments(found, [Flaw("documents.note", f"is {odd}", "unknown")])

    monkeypatch.setattr(BackMarket, "documents", documents)
    an_order(marketplace, 1)
    sync(account)
    summary = sync(account, "incomplete")
    assert (summary.problems, summary.documents_found) == ([], 1)
    rows = connection.execute("SELECT document_key, url, carrier, tracking_number FROM order_documents ORDER BY 1")
    assert rows.fetchall() == [("a\ufffdb", url, "a\ufffdb", "a\ufffdb"), ("url", None, None, None)]
    assert ("documents.note", "is a\ufffdb") in connection.execute("SELECT field, found FROM record_flaws").fetchall()


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_answer_to_an_acceptance_whose_order_has_one_in_its_id_stops_nothing(
    marketplace: Marketplace, connection: Connection, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    account = sandbox_account(marketplace, accept_orderlines=True, when_short="accept")

    def accept(self: BackMarket, target: AcceptanceTarget, item_ids: list[str]) -> AcceptanceAnswer:
        return AcceptanceAnswer(200, RawRecord(odd, b"{}", b"odd"))

    monkeypatch.setattr(BackMarket, "accept", accept)
    an_order(marketplace, 1, state=1, line_state=1)
    summary = sync(account)
    assert (summary.created, summary.accepted, summary.rejected) == (1, 1, 1)
