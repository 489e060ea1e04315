"""`incomplete`: fetches the documents that are missing, stores what it finds, and nothing else."""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit import retries
from orders_sync.marketplaces.kit.adapter import DocumentsAnswer, MissingDocuments
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import held
from orders_sync.stock.levels import import_levels
from orders_sync.sync.incomplete import GIVE_UP_AFTER
from orders_sync.testing.invariants import check_invariants, snapshot
from orders_sync.testing.marketplace import Marketplace, an_order, sync

NOTE = "https://documents.example.com/1.pdf"


def test_what_has_appeared_is_filled_in(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    marketplace.change(1, delivery_note=NOTE, _deliveries=[{"order": 1, "labelUrl": "/static/1.pdf"}])
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_found, summary.api_calls) == (1, 2, 2)
    row = connection.execute("SELECT delivery_note_url, label_url FROM orders").fetchone()
    assert row == (NOTE, f"{marketplace.url}/static/1.pdf")
    assert sync(account, "incomplete").api_calls == 0


def test_its_watermark_is_a_time_of_the_marketplaces_clock(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    sync(account)
    marketplace.pass_time(minutes=-4)
    summary = sync(account, "incomplete")
    assert summary.watermark is not None
    assert abs(summary.watermark - marketplace.now()) < timedelta(minutes=1)
    assert summary.range_end == summary.watermark
    assert connection.execute("SELECT watermark FROM lanes WHERE sync_type = 'incomplete'").fetchone() == (
        summary.watermark,
    )


def test_a_status_seen_in_passing_is_not_stored_and_its_event_still_comes(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """Stored without its event, the change would be swallowed: `modified` would find no change."""
    an_order(marketplace, 1, state=3, line_state=2)
    sync(account)
    marketplace.set_states(1, 9, 3)
    marketplace.change(1, delivery_note=NOTE)
    before = snapshot(connection)["events"]
    sync(account, "incomplete")
    assert connection.execute("SELECT status, revision FROM orders").fetchone() == ("accepted", 1)
    assert snapshot(connection)["events"] == before
    assert sync(account, "modified").events == 2
    assert connection.execute("SELECT status FROM orders").fetchone() == ("shipped",)
    check_invariants(connection)


def test_only_orders_that_should_have_documents_by_now_are_fetched(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The old query joined its conditions with OR without brackets."""
    an_order(marketplace, 1, state=1, line_state=1)  # pending: a note, no label yet
    an_order(marketplace, 2, state=9, line_state=3)  # shipped: too late
    an_order(marketplace, 3, age=timedelta(days=3))  # too old
    an_order(marketplace, 4, is_backship=False, delivery_note=NOTE)  # ships by itself: no label to come
    an_order(marketplace, 5, delivery_note=NOTE)  # its label is missing
    sync(account)
    marketplace.sandbox.seen.clear()
    sync(account, "incomplete")
    assert marketplace.calls("GET /ws/orders/…") == 1
    assert marketplace.calls("GET /ws/shipping") == 1
    assert sync(account, "incomplete", days_back=10).fetched == 3


def test_an_order_that_the_marketplace_no_longer_has_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2, age=timedelta(minutes=5))
    sync(account)
    del marketplace.world.scripted[1]
    marketplace.change(2, delivery_note=NOTE)
    assert sync(account, "incomplete").documents_found == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats a call at once."""
    for name in ("FIRST_BACKOFF_SECONDS", "MAX_BACKOFF_SECONDS", "BACKOFF_JITTER_SECONDS"):
        monkeypatch.setattr(retries, name, 0.0)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 403, "body": "<html>blocked</html>"},
        {"kind": "status", "status": 404},
        {"kind": "html"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}",
)
def test_an_order_whose_documents_can_not_be_read_stops_no_other_and_is_tried_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, impatient: None, fault: dict[str, Any]
) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number, age=timedelta(minutes=10 - number), is_backship=False)
    sync(account)
    for number in (1, 2, 3):
        marketplace.change(number, delivery_note=f"{NOTE}?{number}")
    marketplace.fault(**fault, path="/ws/orders/1", times=0)
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_found) == (3, 2)
    # A note that the marketplace does not find does not exist yet: that is no problem.
    assert len(summary.problems) == (fault.get("status") != 404)
    assert all(problem.startswith("order 1: ") for problem in summary.problems)
    marketplace.calm()
    assert sync(account, "incomplete").documents_found == 1
    urls = {row[0] for row in connection.execute("SELECT delivery_note_url FROM orders")}
    assert urls == {f"{NOTE}?{number}" for number in (1, 2, 3)}


def test_a_marketplace_that_answers_for_no_order_fails_the_pass(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, impatient: None
) -> None:
    for number in range(1, GIVE_UP_AFTER + 6):
        an_order(marketplace, number)
    sync(account)
    marketplace.fault("status", status=503, path="/ws/orders/", times=0)
    notes = "GET /ws/orders/…"
    before = marketplace.calls(notes)
    with pytest.raises(PassFailedError, match="503"):
        sync(account, "incomplete")
    assert marketplace.calls(notes) - before == GIVE_UP_AFTER * retries.MAX_TRIES


@pytest.mark.parametrize(
    ("note", "found"),
    [
        (12345, "is no URL"),
        ("ftp://documents.example.com/1.pdf", "is no URL"),
        ("javascript:alert(1)", "is no URL"),
        (NOTE + "?" + "x" * 2048, f"is {len(NOTE) + 2049} characters long"),
    ],
    ids=["number", "ftp", "javascript", "long"],
)
def test_a_note_that_is_no_url_is_a_flaw_and_erases_nothing(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, note: Any, found: str
) -> None:
    an_order(marketplace, 1)
    an_order(marketplace, 2, age=timedelta(minutes=5))
    sync(account)
    marketplace.change(1, delivery_note=note, _deliveries=[{"order": 1, "shipmentId": 7, "labelUrl": "/l/1.pdf"}])
    marketplace.change(2, delivery_note=NOTE)
    summary = sync(account, "incomplete")
    assert (summary.documents_found, summary.flawed) == (2, 1)
    rows = connection.execute("SELECT delivery_note_url, label_url FROM orders ORDER BY order_id").fetchall()
    assert rows == [(None, f"{marketplace.url}/l/1.pdf"), (NOTE, None)]
    flaws = connection.execute("SELECT record_id, field, found FROM record_flaws").fetchall()
    assert flaws == [("1", "documents.delivery_note.url", found)]


def _delivery(number: int, *lines: int) -> dict[str, Any]:
    return {
        "order": 1, "shipmentId": number, "orderlines": list(lines), "labelUrl": f"/labels/{number}.pdf",
        "trackingNumber": f"T{number}", "carrierName": "Chronopost",
    }  # fmt: skip


def test_each_parcel_of_an_order_has_a_label(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"), delivery_note=NOTE)
    sync(account)
    marketplace.change(1, _deliveries=[_delivery(7, 100)])
    assert sync(account, "incomplete").documents_found == 1
    # The second item has no label yet: it is looked for again.
    marketplace.change(1, _deliveries=[_delivery(7, 100), _delivery(8, 101)])
    assert sync(account, "incomplete").documents_found == 2
    assert sync(account, "incomplete").fetched == 0
    rows = connection.execute(
        "SELECT document_key, url, carrier, tracking_number, item_ids FROM order_documents ORDER BY 1"
    ).fetchall()
    assert rows == [
        ("7", f"{marketplace.url}/labels/7.pdf", "Chronopost", "T7", ["100"]),
        ("8", f"{marketplace.url}/labels/8.pdf", "Chronopost", "T8", ["101"]),
    ]
    assert connection.execute("SELECT label_url FROM orders").fetchone() == (rows[0][1],)


def test_a_label_that_was_replaced_is_offered_no_more(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"), delivery_note=NOTE)
    sync(account)
    marketplace.change(1, _deliveries=[_delivery(7, 100)])
    sync(account, "incomplete")
    marketplace.change(1, _deliveries=[_delivery(9, 100)])
    sync(account, "incomplete")
    assert connection.execute("SELECT label_url FROM orders").fetchone() == (f"{marketplace.url}/labels/9.pdf",)
    marketplace.change(1, _deliveries=[])
    sync(account, "incomplete")
    assert connection.execute("SELECT label_url FROM orders").fetchone() == (f"{marketplace.url}/labels/9.pdf",)


class TestCancelledSinceTheLastPass:
    """An order is locked and accepted; its label is made, and it is cancelled before a pass has read the label."""

    @pytest.fixture
    def stock(self, marketplace: Marketplace, account: SellerAccount, connection: Connection) -> StockConnection:
        stock = StockConnection(connection)
        import_levels(stock, {"PHONE": 10})
        an_order(marketplace, 1, delivery_note=NOTE)
        sync(account)
        apply_pending(stock)
        sync(account, "incomplete")
        marketplace.pass_time(minutes=1)
        marketplace.set_states(1, 9, 4)
        sync(account, "modified")
        return stock

    def test_its_label_is_read_and_its_piece_is_held(
        self, stock: StockConnection, marketplace: Marketplace, account: SellerAccount
    ) -> None:
        marketplace.change(1, _deliveries=[_delivery(7, 100)])
        apply_pending(stock)
        assert held(stock) == [], "the label is not known yet"
        assert sync(account, "incomplete").api_calls == 1
        apply_pending(stock)
        assert [each.held for each in held(stock)] == [1]
        assert sync(account, "incomplete").api_calls == 0
        check_invariants(stock.connection)

    def test_without_a_label_it_is_looked_at_once(self, stock: StockConnection, account: SellerAccount) -> None:
        assert sync(account, "incomplete").api_calls == 1
        assert sync(account, "incomplete").api_calls == 0

    def test_a_look_that_fails_is_repeated(
        self, stock: StockConnection, marketplace: Marketplace, account: SellerAccount, impatient: None
    ) -> None:
        marketplace.fault("status", status=500, path="/ws/shipping", times=0)
        assert len(sync(account, "incomplete").problems) == 1
        marketplace.calm()
        marketplace.change(1, _deliveries=[_delivery(7, 100)])
        self._an_hour_later(stock)
        assert sync(account, "incomplete").documents_found == 1
        apply_pending(stock)
        assert [each.held for each in held(stock)] == [1]

    def test_a_pass_that_does_not_reach_back_to_it_is_no_look(
        self, stock: StockConnection, account: SellerAccount
    ) -> None:
        stock.execute("UPDATE orders SET created_at = created_at - interval '40 hours'")
        assert sync(account, "incomplete", days_back=1).fetched == 0
        self._an_hour_later(stock)
        assert sync(account, "incomplete").fetched == 1

    def test_an_order_that_is_changed_again_while_it_is_looked_at_is_looked_at_again(
        self, stock: StockConnection, marketplace: Marketplace, account: SellerAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two clocks, or one and a slow commit, would lose the second cancellation."""
        documents = BackMarket.documents

        def reopened_meanwhile(self: BackMarket, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
            for line_state, state in ((2, 3), (4, 9)):
                marketplace.pass_time(minutes=1)
                marketplace.set_states(1, state, line_state)
                sync(account, "modified")
            yield from documents(self, missing)

        with monkeypatch.context() as patched:
            patched.setattr(BackMarket, "documents", reopened_meanwhile)
            assert sync(account, "incomplete").fetched == 1
        assert sync(account, "incomplete").fetched == 1
        assert sync(account, "incomplete").fetched == 0

    @staticmethod
    def _an_hour_later(stock: StockConnection) -> None:
        stock.execute("UPDATE public.order_events SET recorded_at = recorded_at - interval '1 hour'")

    def test_an_account_that_releases_at_once_reads_no_label(
        self, stock: StockConnection, account: SellerAccount
    ) -> None:
        at_once = account.settings.model_copy(update={"hold_after_label": False})
        assert sync(dataclasses.replace(account, settings=at_once), "incomplete").api_calls == 0


def test_of_a_cancelled_order_for_which_nothing_was_locked_no_label_is_read(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, delivery_note=NOTE)
    sync(account)
    marketplace.pass_time(minutes=1)
    marketplace.set_states(1, 9, 4)
    sync(account, "modified")
    assert sync(account, "incomplete").api_calls == 0
