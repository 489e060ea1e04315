"""Which version of a rejected record is kept, and whose turn it is to be tried again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit.adapter import OrderListing, RawRecord
from orders_sync.marketplaces.kit.kept_fields import NOTHING_KEPT
from orders_sync.model.records import Order, Reason
from orders_sync.sync.dismissals import dismiss
from orders_sync.sync.rejected_records import RejectedRecord, Selection, keep, resolve, selected, to_retry
from orders_sync.testing.marketplace import Marketplace, an_order, sync

NEW = datetime(2026, 3, 2, tzinfo=UTC)
OLD = NEW - timedelta(hours=1)
KEPT = "SELECT convert_from(raw, 'UTF8'), modified_at, reasons->0->>'what', attempts FROM rejected_records"


def a_version(text: str, modified_at: datetime | None) -> RejectedRecord:
    return RejectedRecord("order", "1", text.encode(), [Reason("sku", text, "a SKU")], text.encode(), modified_at)


def store(connection: Connection, records: list[RejectedRecord]) -> None:
    keep(connection, "shop", records, lambda: NEW + timedelta(hours=2), NOTHING_KEPT)


def test_an_older_version_is_an_attempt_and_leaves_the_newer_one_as_it_is(connection: Connection) -> None:
    store(connection, [a_version("new", NEW)])
    store(connection, [a_version("old", OLD)])
    assert connection.execute(KEPT).fetchall() == [("new", NEW, "new", 2)]
    assert selected(connection, Selection("shop"))[0].fingerprint == b"new"


def test_a_version_without_a_time_leaves_the_known_time(connection: Connection) -> None:
    """A later one that is older than the known time must not end the rejection."""
    store(connection, [a_version("new", NEW)])
    store(connection, [a_version("undated", None)])
    assert connection.execute(KEPT).fetchall() == [("undated", NEW, "undated", 2)]
    assert resolve(connection, "shop", "order", {"1": OLD}) == set()
    assert resolve(connection, "shop", "order", {"1": NEW}) == {"1"}


def test_an_older_version_takes_its_turn(connection: Connection) -> None:
    store(connection, [a_version("new", NEW)])
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    store(connection, [a_version("old", OLD)])
    assert to_retry(connection, Selection("shop"), limit=20, before=row[0]) == []


def test_an_older_version_of_a_dismissed_record_changes_nothing(connection: Connection) -> None:
    store(connection, [a_version("new", NEW)])
    dismiss(connection, "shop", "order", "1", By("Ann", "a test order"))
    store(connection, [a_version("old", OLD)])
    assert connection.execute(KEPT + " WHERE dismissed_at IS NOT NULL").fetchall() == [("new", NEW, "new", 1)]
    store(connection, [a_version("newer", NEW + timedelta(hours=1))])
    assert [kept.raw for kept in selected(connection, Selection("shop"))] == [b"newer"]


def test_an_older_version_than_one_that_passed_since_is_kept(connection: Connection) -> None:
    store(connection, [a_version("new", NEW)])
    resolve(connection, "shop", "order", {"1": None})
    store(connection, [a_version("old", OLD)])
    assert connection.execute(KEPT + " WHERE resolved_at IS NULL").fetchall() == [("old", OLD, "old", 2)]


@pytest.mark.parametrize(("ahead", "kept"), [(4, True), (6, False)])
def test_a_time_ahead_of_the_later_clock_is_not_kept(connection: Connection, ahead: int, kept: bool) -> None:
    """No later version could end the rejection. The database's clock may be behind the marketplace's."""
    at = datetime(2099, 1, 1, tzinfo=UTC)
    modified_at = at + timedelta(minutes=ahead)
    keep(connection, "shop", [a_version("new", modified_at)], lambda: at, NOTHING_KEPT)
    assert connection.execute("SELECT modified_at FROM rejected_records").fetchone() == (modified_at if kept else None,)


def test_at_a_marketplace_whose_clock_is_ahead_an_older_copy_does_not_end_a_rejection(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.pass_time(minutes=20)
    order = an_order(marketplace, 1)
    line = order["orderlines"][0]
    sync(account)
    marketplace.pass_time(minutes=1)
    marketplace.change(1, orderlines=[line, {**line, "id": 101, "listing": ""}])
    assert sync(account, "modified").rejected == 1
    marketplace.put(order)  # as a cache lists it
    sync(account, "modified")
    assert [kept.key for kept in selected(connection, Selection("shop"))] == ["1"]


def test_a_rejected_order_whose_fetch_brings_an_older_version_takes_its_turn(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marketplace may answer the request for one order from a cache; it must not take the turn of others for ever."""
    decode, fetch = BackMarket.decode_order, BackMarket.order

    def without_items(self: BackMarket, raw: bytes) -> Order:
        return msgspec.structs.replace(decode(self, raw), items=[])

    def cached(self: BackMarket, order_id: str) -> RawRecord | None:
        record = fetch(self, order_id)
        assert record is not None
        assert record.modified_at is not None
        modified_at = record.modified_at - timedelta(hours=1)
        return msgspec.structs.replace(record, raw=record.raw + b" ", fingerprint=b"cached", modified_at=modified_at)

    def no_orders(self: BackMarket, listing: OrderListing, since: datetime | None) -> object:
        return iter([[]])

    monkeypatch.setattr(BackMarket, "decode_order", without_items)
    an_order(marketplace, 1)
    sync(account)
    monkeypatch.setattr(BackMarket, "order", cached)
    monkeypatch.setattr(BackMarket, "orders", no_orders)
    for attempts in (2, 3):
        assert sync(account).rejected == 1
        [kept] = selected(connection, Selection("shop"))
        assert (kept.attempts, kept.raw.endswith(b" ")) == (attempts, False)
        assert to_retry(connection, Selection("shop"), before=kept.last_seen_at) == []
