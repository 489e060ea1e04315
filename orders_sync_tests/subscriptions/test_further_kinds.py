"""Events of documents, care cases and locks: written for subscriptions that ask for them, and for nobody else."""

from collections import Counter
from datetime import UTC, datetime

import jsonschema
import pytest

from docs.generate.contract import event_schema
from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.cutover.phases import note_moves
from orders_sync.cutover.stock_handover import V1Lock
from orders_sync.database.engine import Connection, connect
from orders_sync.documents.store import Choice, add_offered_documents
from orders_sync.lanes.authority import Phase
from orders_sync.model.records import Document, DocumentKind
from orders_sync.model.statuses import Status
from orders_sync.privacy.buyers import Buyer, find_records
from orders_sync.privacy.erase import erase
from orders_sync.sandbox.formats import iso
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.subscriptions.deliveries import claim, refuse
from orders_sync.subscriptions.event import OrderEvent, event_from
from orders_sync.sync.documents import store_documents
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync_tests.cutover.handed_over import go_live
from orders_sync_tests.privacy.test_erase import kept_of
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order
from orders_sync_tests.subscriptions.conftest import Subscribe

NOTE = "https://documents.example.com/note.pdf?signature=secret"
FURTHER = ["DocumentAvailable", "CareOpened", "CareClosed", "StockLocked", "StockShort"]


def events(connection: Connection, *kinds: str) -> list[OrderEvent]:
    rows = connection.execute("SELECT order_event(event_id) FROM order_events ORDER BY event_id").fetchall()
    for (content,) in rows:
        jsonschema.validate(content, event_schema(), format_checker=jsonschema.FormatChecker())
    return [event for (content,) in rows if (event := event_from(content)).kind in (kinds or FURTHER)]


def documents(connection: Connection) -> list[tuple[str, int]]:
    found = [event.document for event in events(connection, "DocumentAvailable")]
    return [(document.kind, document.number) for document in found if document is not None]


class TestDocuments:
    """A delivery note or a label becomes available: once, wherever its URL comes from."""

    def test_each_label_of_an_order_is_an_event(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1, skus=("PHONE", "CASE"))
        sync(account)
        label = {"order": 1, "shipmentId": 7, "orderlines": [100], "labelUrl": "/l/7.pdf", "carrierName": "DHL"}
        marketplace.change(1, _deliveries=[label], delivery_note=NOTE)
        sync(account, "incomplete")
        marketplace.change(
            1, _deliveries=[label, {**label, "shipmentId": 8, "orderlines": [101], "labelUrl": "/l/8.pdf"}]
        )
        sync(account, "incomplete")
        sync(account, "incomplete")
        assert Counter(documents(connection)) == Counter([("delivery_note", 1), ("label", 1), ("label", 2)])
        first = next(event for event in events(connection) if event.document and event.document.kind == "label")
        assert first.document is not None
        assert (first.document.carrier, first.document.item_ids) == ("DHL", ["100"])
        assert (first.old_status, first.new_status, first.item_id) == (Status.ACCEPTED, Status.ACCEPTED, None)
        assert (first.changed.order, first.changed.items) == ([], {})
        assert [item.sku for item in first.items] == ["PHONE", "CASE"]

    def test_a_note_in_the_orders_own_record_is_one_event_whichever_sync_stores_it(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["OrderCreated", "OrderStatusChanged", "DocumentAvailable"])
        an_order(marketplace, 1, delivery_note=NOTE)  # there at the start
        an_order(marketplace, 2)
        an_order(marketplace, 3)
        sync(account)
        marketplace.pass_time(minutes=5)
        marketplace.change(2, delivery_note=NOTE)
        marketplace.set_states(3, 9, 3)
        marketplace.change(3, delivery_note=NOTE)
        sync(account, "modified")
        sync(account, "incomplete")
        choice = Choice(datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC), None, ["1", "2", "3"])
        add_offered_documents(connection, account.name, choice)
        found = [(event.order_id, event.kind) for event in events(connection, "OrderCreated", "DocumentAvailable")]
        assert Counter(found) == Counter(
            (order_id, kind) for order_id in "123" for kind in ("OrderCreated", "DocumentAvailable")
        )
        of_third = [
            event for event in events(connection, "OrderStatusChanged", "DocumentAvailable") if event.order_id == "3"
        ]
        assert [(event.kind, event.revision) for event in of_third][-1] == ("DocumentAvailable", 2), "after the change"
        check_invariants(connection)

    def test_a_document_that_is_replaced_is_announced_again_and_one_that_expires_is_not(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1)
        sync(account)
        expires = datetime(2027, 1, 1, tzinfo=UTC)
        for number in (1, 2, 2):
            found = [
                Document("note", DocumentKind.DELIVERY_NOTE, f"https://x.example.com/{number}"),
                Document("label", DocumentKind.LABEL, f"https://x.example.com/l{number}", expires_at=expires),
            ]
            with connection.transaction():
                store_documents(connection, account.name, {"1": found})
        assert Counter(documents(connection)) == {("delivery_note", 1): 2, ("label", 1): 1}

    def test_one_that_comes_back_after_it_was_cancelled_is_announced_again(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1)
        sync(account)
        label = Document("7", DocumentKind.LABEL, "https://x.example.com/7")
        for keys in ("7", "8", "78"):
            found = [Document(key, label.kind, f"https://x.example.com/{key}") for key in keys]
            with connection.transaction():
                store_documents(connection, account.name, {"1": found})
        assert documents(connection) == [("label", 1), ("label", 2), ("label", 1)]

    def test_a_document_without_a_url_is_none(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1)
        sync(account)
        store_documents(connection, account.name, {"1": [Document("7", DocumentKind.LABEL, None)]})
        assert documents(connection) == []

    def test_an_event_does_not_say_where_a_document_is(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        """An adapter may have nothing but a tracking number, or the URL itself, to know a label by."""
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1, delivery_note=NOTE)
        sync(account)
        url = "https://labels.example.com/x?sig=SECRET"
        labels = [
            Document("1Z999", DocumentKind.LABEL, f"{url}1", "UPS", "1Z999"),
            Document(url, DocumentKind.LABEL, url),
        ]
        store_documents(connection, account.name, {"1": labels})
        rows = connection.execute(
            "SELECT order_event(event_id)::text, details::text FROM order_events WHERE kind = 'DocumentAvailable'"
        ).fetchall()
        assert len(rows) == 3
        for content, details in rows:
            assert "mark" not in content
            for secret in ("example.com", "1Z999", "SECRET"):
                assert secret not in content
                assert secret not in details

    def test_nothing_of_an_erased_buyers_documents_stays_in_their_events(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1, delivery_note=NOTE)
        sync(account)
        refuse(connection, "erp", claim(connection, "erp", 1)[0].event_id, "no printer at Victor Hugo's")
        records = find_records(connection, Buyer(order=("shop", "1")))
        erase(connection, records, kept_of, By("ann@desk", "asked for it", "orders-sync buyer erase"), "order")
        assert connection.execute("SELECT count(*) FROM order_events WHERE details ? 'mark'").fetchone() == (0,)
        assert connection.execute("SELECT problem FROM event_deliveries").fetchall() == [(None,)]

    def test_a_note_of_the_orders_own_record_that_is_replaced_is_announced_again(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["DocumentAvailable"])
        an_order(marketplace, 1, delivery_note=NOTE)
        sync(account)
        for note in (NOTE.replace("secret", "another"), "https://documents.example.com/second.pdf"):
            marketplace.pass_time(minutes=5)
            marketplace.change(1, delivery_note=note)
            sync(account, "modified")
            sync(account, "incomplete")
            choice = Choice(datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC), None, ["1"])
            add_offered_documents(connection, account.name, choice)
        assert documents(connection) == [("delivery_note", 1)] * 2, "another signature is no other document"

    def test_a_subscription_that_begins_while_documents_are_stored_misses_none(
        self,
        marketplace: Marketplace,
        account: SellerAccount,
        connection: Connection,
        database_url: str,
        subscribe: Subscribe,
    ) -> None:
        an_order(marketplace, 1)
        sync(account)
        labels = [Document(key, DocumentKind.LABEL, f"https://x.example.com/{key}") for key in ("7", "8")]
        with connect(database_url, application="test") as other, other.transaction():
            store_documents(other, account.name, {"1": labels})
            subscribe(kinds=["DocumentAvailable"])
        assert documents(connection) == [("label", 1), ("label", 2)]


class TestCare:
    """A care case is opened, closed, and opened again: an event of the orders of its items."""

    def test_from_its_opening_to_its_end(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["CareOpened", "CareClosed"])
        an_order(marketplace, 1, state=9, line_state=3)
        sync(account)
        marketplace.put_folder(900, 100)
        sync(account, "care")
        marketplace.pass_time(days=1)
        marketplace.put_folder(900, 100, "REFUND", state=9, date_closed=iso(marketplace.now()))
        sync(account, "care")
        sync(account, "care")
        opened, closed = events(connection)
        assert (opened.kind, opened.order_id, closed.kind) == ("CareOpened", "1", "CareClosed")
        assert opened.care is not None and closed.care is not None
        assert (opened.care.care_id, opened.care.kind, opened.care.state) == ("900", "replacement", "open")
        assert [item.item_id for item in opened.care.items] == ["100"]
        assert (closed.care.kind, closed.care.state, opened.care.closed_at) == ("refund", "closed", None)
        assert closed.care.closed_at is not None
        check_invariants(connection)

    def test_a_case_that_comes_before_its_order_is_told_with_it(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["OrderCreated", "CareOpened", "CareClosed"])
        marketplace.put_folder(900, 100, "REFUND", state=9, date_closed=iso(marketplace.now()))
        sync(account, "care")
        assert events(connection, "CareOpened", "CareClosed") == []
        an_order(marketplace, 1, skus=("PHONE", "CASE"))
        sync(account)
        found = events(connection, "OrderCreated", "CareOpened", "CareClosed")
        assert [event.kind for event in found] == ["OrderCreated", "CareOpened", "CareClosed"]

    def test_one_that_is_opened_again(
        self, marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["CareOpened", "CareClosed"])
        an_order(marketplace, 1)
        sync(account)
        marketplace.put_folder(900, 100, "REFUND", state=9, date_closed=iso(marketplace.now()))
        sync(account, "care")
        marketplace.pass_time(days=1)
        marketplace.put_folder(900, 100, "REPLACE")
        sync(account, "care")
        assert [event.kind for event in events(connection)] == ["CareOpened", "CareClosed", "CareOpened"]


class TestLocks:
    """Pieces are locked, or missing, for an item."""

    @pytest.fixture
    def stock(self, connection: Connection) -> StockConnection:
        return StockConnection(connection)

    def test_what_is_locked_and_what_is_missing(
        self, connection: Connection, stock: StockConnection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["StockLocked", "StockShort"])
        import_levels(stock, {"PHONE": 3})
        store_order(connection, StoredOrder("1", [StoredItem("1", quantity=2)]))
        store_order(connection, StoredOrder("2", [StoredItem("2", quantity=2)]))
        apply_pending(stock)
        apply_pending(stock)
        found = [(e.kind, e.order_id, e.lock.locked, e.lock.short) for e in events(connection) if e.lock is not None]
        assert Counter(found) == Counter(
            [("StockLocked", "1", 2, 0), ("StockLocked", "2", 1, 1), ("StockShort", "2", 1, 1)]
        )
        import_levels(stock, {"PHONE": 4})
        apply_pending(stock)
        *_, last = events(connection)
        assert last.lock is not None
        assert (last.kind, last.order_id, last.lock.item_id, last.lock.sku) == ("StockLocked", "2", "2", "PHONE")
        assert (last.lock.quantity, last.lock.locked, last.lock.short) == (2, 2, 0)
        store_order(connection, StoredOrder("1", [StoredItem("1", quantity=2, status="cancelled")], status="cancelled"))
        apply_pending(stock)
        assert events(connection)[-1] == last, "a release is none of them"
        check_invariants(connection)

    def test_stock_has_nothing_to_apply_for_them(
        self, connection: Connection, stock: StockConnection, subscribe: Subscribe
    ) -> None:
        subscribe(kinds=["StockShort", "StockLocked"])
        import_levels(stock, {"PHONE": 0})
        store_order(connection, StoredOrder("1", [StoredItem("1")]))
        assert apply_pending(stock).events == 1
        assert [event.kind for event in events(connection)] == ["StockShort"]
        assert apply_pending(stock).events == 0

    def test_the_locks_of_an_account_that_v1_has_are_none_nor_those_that_v2_takes_over(
        self, connection: Connection, subscribe: Subscribe
    ) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 5})
        note_moves(connection, ["shop"], Phase.LIVE, Phase.MONITOR, By("ann@desk", "V2 is installed"))
        subscribe(kinds=["StockLocked", "StockShort"])
        store_order(connection, StoredOrder("1", [StoredItem("1")]))
        store_order(connection, StoredOrder("2", [StoredItem("2", quantity=9)]))
        store_order(connection, StoredOrder("3", [StoredItem("3", status="unknown")], "unknown"))
        apply_pending(stock)
        import_levels(stock, {"PHONE": 20})
        go_live(stock, V1Lock("shop", "3"))
        note_moves(connection, ["shop"], Phase.MONITOR, Phase.LIVE, By("ann@desk", "they agree"))
        assert events(connection) == []
        store_order(connection, StoredOrder("4", [StoredItem("4")]))
        apply_pending(stock)
        assert [(event.kind, event.order_id) for event in events(connection)] == [("StockLocked", "4")]

    def test_they_go_on_for_an_account_that_is_in_no_cutover(
        self, connection: Connection, subscribe: Subscribe
    ) -> None:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 5})
        note_moves(connection, ["canary"], Phase.LIVE, Phase.MONITOR, By("ann@desk", "V2 is installed"))
        subscribe(kinds=["StockLocked", "StockShort"])
        store_order(connection, StoredOrder("1", [StoredItem("1")]))
        apply_pending(stock)
        assert [(event.kind, event.order_id) for event in events(connection)] == [("StockLocked", "1")]


def test_nobody_who_did_not_ask_gets_one_and_none_is_written_where_nobody_asks(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, subscribe: Subscribe
) -> None:
    def everything(order_id: int) -> None:
        an_order(marketplace, order_id, delivery_note=NOTE)
        sync(account)
        marketplace.put_folder(900 + order_id, order_id * 100)
        sync(account, "care")
        apply_pending(StockConnection(connection))

    subscribe("brief")
    import_levels(StockConnection(connection), {"PHONE": 1})
    everything(1)
    assert [event.kind for event in events(connection, "OrderCreated", *FURTHER)] == ["OrderCreated"]
    subscribe("papers", kinds=["DocumentAvailable"], accounts=[ACCOUNT])
    everything(2)
    assert [event.kind for event in events(connection)] == ["DocumentAvailable"]
    delivered = connection.execute(
        "SELECT subscription, kind FROM event_deliveries JOIN order_events USING (event_id) ORDER BY event_id, 1"
    ).fetchall()
    assert delivered == [("brief", "OrderCreated"), ("brief", "OrderCreated"), ("papers", "DocumentAvailable")]
