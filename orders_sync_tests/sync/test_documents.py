"""Documents of any adapter: what PostgreSQL can't store is made right, and an adapter's mistake stops no other order."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.adapter import DocumentsAnswer, MissingDocuments
from orders_sync.model.records import Document, DocumentKind, Flaw
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import held
from orders_sync.stock.levels import import_levels
from orders_sync.sync.documents import store_documents
from orders_sync.sync.rules import MAX_TEXT_LENGTH
from orders_sync.testing.marketplace import Marketplace, an_order, sync

URL = "https://l.example.com/1"


@pytest.fixture
def stored(marketplace: Marketplace, account: SellerAccount) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number)
    sync(account)


def test_characters_that_can_not_be_stored_are_replaced(connection: Connection, stored: None) -> None:
    label = Document(
        "k\x00\ud83d", DocumentKind.LABEL, URL, "a\x00b", "\udc00", ("i\x001",), datetime(2026, 11, 1, 12), None
    )
    flaws = store_documents(connection, "shop", {"1": [label]})
    row = connection.execute(
        "SELECT document_key, carrier, tracking_number, item_ids, expires_at = '2026-11-01T12:00:00Z' FROM order_documents"
    ).fetchone()
    assert row == ("k\ufffd\ufffd", "a\ufffdb", "\ufffd", ["i\ufffd1"], True)
    assert {flaw.field for _, flaw in flaws} == {
        "documents.label.carrier", "documents.label.tracking_number", "documents.label.expires_at",
    }  # fmt: skip


def test_a_long_text_is_cut_and_a_time_of_no_time_is_unknown(connection: Connection, stored: None) -> None:
    label = Document("k", DocumentKind.LABEL, URL, "x" * 20_000, None, (), datetime(9999, 12, 31), datetime(1, 1, 1))
    flaws = store_documents(connection, "shop", {"1": [label]})
    row = connection.execute("SELECT length(carrier), expires_at, cancelled_at FROM order_documents").fetchone()
    assert row == (MAX_TEXT_LENGTH, None, None)
    assert ("1", Flaw("documents.label.cancelled_at", "lies in the year 1", "unknown")) in flaws


def test_documents_of_an_order_that_was_not_requested_are_not_stored(
    account: SellerAccount, connection: Connection, stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that a user writes may take the id from the answer; spaces around it are left out."""

    def documents(self: BackMarket, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for order_id in (" 1 ", "77", "3"):
            yield order_id, [Document("k", DocumentKind.LABEL, URL)]

    monkeypatch.setattr(BackMarket, "documents", documents)
    summary = sync(account, "incomplete")
    assert summary.problems == ["order 77: documents came of this order, which were not requested: they are not stored"]
    rows = connection.execute("SELECT order_id FROM order_documents ORDER BY 1").fetchall()
    assert rows == [("1",), ("3",)]


def test_an_exception_of_an_adapter_is_a_problem_of_its_order_alone(
    account: SellerAccount, connection: Connection, stored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an adapter that a user writes may raise."""

    def documents(self: BackMarket, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        for order in missing:
            if order.order_id == "2":
                raise KeyError("the buyer's name")
            yield order.order_id, [Document("k", DocumentKind.LABEL, URL)]

    monkeypatch.setattr(BackMarket, "documents", documents)
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_found) == (3, 2)
    [problem] = summary.problems
    where = r"in test_documents\.py, line \d+"
    assert re.fullmatch(
        rf"order 2: its documents can't be read: the adapter's documents\(\) raised KeyError {where}", problem
    )


class TestHeldPiecesFollowTheirLabels:
    """Two orders were cancelled after the label, and a piece of each is held."""

    LABEL = Document("k", DocumentKind.LABEL, URL)

    @pytest.fixture
    def stock(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, stored: None
    ) -> StockConnection:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 5})
        apply_pending(stock)
        store_documents(connection, "shop", {"1": [self.LABEL], "2": [self.LABEL]})
        marketplace.pass_time(minutes=1)
        for number in (1, 2):
            marketplace.set_states(number, 9, 5)
        sync(account, "modified")
        apply_pending(stock)
        assert [each.order_id for each in held(stock)] == ["1", "2"]
        return stock

    @pytest.mark.parametrize(
        "listed",
        [
            pytest.param(
                [Document("k", DocumentKind.LABEL, URL, cancelled_at=datetime(2026, 11, 1, 12))],
                id="its label was cancelled",
            ),
            pytest.param([Document("other", DocumentKind.LABEL, URL, item_ids=("-",))], id="another one replaces it"),
            pytest.param([Document("k", DocumentKind.LABEL, URL, item_ids=("-",))], id="it is for another item"),
        ],
    )
    def test_they_are_released(self, stock: StockConnection, listed: list[Document]) -> None:
        store_documents(stock.connection, "shop", {"1": listed})
        apply_pending(stock)
        assert [each.order_id for each in held(stock)] == ["2"]
        store_documents(stock.connection, "shop", {"1": listed})
        assert pending_events(stock) == 0, "nothing is held any more"

    def test_they_stay_held_while_a_label_is_left(self, stock: StockConnection) -> None:
        store_documents(stock.connection, "shop", {"1": [Document("other", DocumentKind.LABEL, URL)]})
        apply_pending(stock)
        assert [each.order_id for each in held(stock)] == ["1", "2"]
