"""The documents of all orders: what each order has, and what it lacks."""

from datetime import timedelta
from typing import Any

import pytest

from orders_sync.database.engine import Connection
from orders_sync.documents.all_documents import DOCUMENTS, STATES, parameters_of_documents
from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.store import DueDocument, store_content, store_failure
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.stock.stored_orders import StoredOrder, at, store_label, store_order

URL = "https://x.example/l"


def listed(connection: Connection, **selection: Any) -> list[dict[str, Any]]:
    parameters = {
        "accounts": None, "statuses": None, "since": None, "until": None, **parameters_of_documents(), **selection
    }  # fmt: skip
    rows = connection.execute(DOCUMENTS, parameters)
    assert rows.description is not None
    names = [column.name for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def states(connection: Connection, **selection: Any) -> list[tuple[str, str, str]]:
    return [(row["order_id"], row["kind"], row["state"]) for row in listed(connection, **selection)]


def labels(connection: Connection, order_id: str) -> list[str]:
    return [state for found, kind, state in states(connection) if (found, kind) == (order_id, "label")]


@pytest.fixture
def order(connection: Connection, shop: Marketplace) -> StoredOrder:
    """An accepted order of the account shop, at Back Market."""
    placed = StoredOrder("1", [])
    store_order(connection, placed)
    return placed


@pytest.mark.usefixtures("order")
def test_each_state_of_a_label(connection: Connection) -> None:
    assert labels(connection, "1") == ["lacking"]
    store_label(connection, "1")
    assert labels(connection, "1") == ["url"]
    document = DueDocument("1", "label", "L1", URL)
    store_failure(connection, "shop", document, "HTTP 404")
    assert labels(connection, "1") == ["url"]
    assert [row["problem"] for row in listed(connection) if row["kind"] == "label"] == ["HTTP 404"]
    connection.execute("UPDATE order_documents SET expires_at = now() - interval '1 minute'")
    assert labels(connection, "1") == ["expired"]
    store_content(connection, "shop", document, b"%PDF", DocumentFormat.PDF)
    assert labels(connection, "1") == ["stored"]
    [row] = [row for row in listed(connection) if row["kind"] == "label"]
    assert (row["format"], row["size"], row["url"], row["document_key"]) == ("pdf", 4, URL, "L1")
    connection.execute("UPDATE order_documents SET cancelled_at = now()")
    assert labels(connection, "1") == ["lacking"]
    assert set(STATES) == {"lacking", "url", "expired", "stored", "not_due"}


@pytest.mark.parametrize(
    ("status", "note", "label"),
    [
        ("pending", "lacking", "not_due"),
        ("accepted", "lacking", "lacking"),
        ("shipped", "not_due", "not_due"),
        ("cancelled", "not_due", "not_due"),
    ],
)
def test_only_what_is_due_is_lacking(connection: Connection, status: str, note: str, label: str) -> None:
    store_order(connection, StoredOrder("1", [], status=status))
    assert states(connection) == [("1", "delivery_note", note), ("1", "label", label)]


@pytest.mark.usefixtures("order")
def test_what_the_seller_makes_or_was_erased_is_not_lacking(connection: Connection) -> None:
    connection.execute("UPDATE orders SET marketplace_shipping = false, marketplace_delivery_note = false")
    assert {state for *_, state in states(connection)} == {"not_due"}
    connection.execute(
        "UPDATE orders SET marketplace_shipping = true, marketplace_delivery_note = true, buyer_data_blanked_at = now()"
    )
    assert {state for *_, state in states(connection)} == {"not_due"}


@pytest.mark.usefixtures("order")
def test_a_url_that_only_the_order_has_and_a_label_for_each_parcel(connection: Connection) -> None:
    connection.execute("UPDATE orders SET delivery_note_url = 'https://x.example/n', label_url = %s", [URL])
    store_label(connection, "1")
    store_label(connection, "1", document_key="L2", url=f"{URL}2")
    assert [(row["kind"], row["document_key"], row["url"]) for row in listed(connection)] == [
        ("delivery_note", "delivery_note", "https://x.example/n"), ("label", "L1", URL), ("label", "L2", f"{URL}2"),
    ]  # fmt: skip


@pytest.mark.usefixtures("order")
def test_whether_a_url_is_a_link(connection: Connection) -> None:
    """Of an account without a file, nobody knows it: so its URLs are none."""
    store_order(connection, StoredOrder("2", [], account="gone"))
    store_label(connection, "1")
    store_label(connection, "2", account="gone")
    found = {row["account"]: row["needs_credential"] for row in listed(connection) if row["kind"] == "label"}
    assert found == {"gone": True, "shop": False}
    assert {row["needs_credential"] for row in listed(connection) if row["url"] is None} == {None}


def test_only_what_is_selected_is_listed(connection: Connection) -> None:
    store_order(connection, StoredOrder("1", []))
    store_order(connection, StoredOrder("2", [], status="shipped", created_at=at(60)))
    store_order(connection, StoredOrder("3", [], account="other", created_at=at(120)))

    def orders(**selection: Any) -> set[str]:
        return {order_id for order_id, _, _ in states(connection, **selection)}

    assert orders() == {"1", "2", "3"}
    assert orders(accounts=["shop"]) == {"1", "2"}
    assert orders(statuses=["shipped"]) == {"2"}
    assert orders(since=at(60), until=at(60) + timedelta(minutes=1)) == {"2"}
