"""The whole history of an order: what was stored, decided, locked, sent and done by hand, in the order of time.

Buyer's data is in none of it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, LiteralString, NamedTuple

from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.database.engine import Connection
from orders_sync.database.tables.columns import BLANKED_COLUMNS, DEVICE_COLUMNS
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.sync.order_changes import changes_of

MAX_VALUE = 80
"""So many characters of a changed value are shown."""
MAX_DETAIL = 1000
"""So many characters of what goes with an entry are shown."""
MAX_ENTRIES = 200
"""So many entries of each source are shown: the latest ones."""
_NAMED_ONLY = frozenset([*BLANKED_COLUMNS, *DEVICE_COLUMNS])
"""The changed fields of which only the name is shown: they say who the buyer is, or lead there."""


class Source(StrEnum):
    """Where an entry comes from."""

    ORDER = "order"
    CHANGE = "change"
    EVENT = "event"
    STOCK = "stock"
    ACCEPTANCE = "acceptance"
    CARE = "care"
    DOCUMENT = "document"
    FLAW = "flaw"
    REJECTED = "rejected"
    BY_HAND = "by hand"


class Entry(NamedTuple):
    """Something that happened to an order."""

    at: datetime
    source: Source
    text: str
    detail: str = ""
    is_wrong: bool = False
    """Whether somebody should look at it."""


class OrderFacts(NamedTuple):
    """What is stored of an order now, without buyer's data."""

    account: str
    order_id: str
    status: str
    marketplace_state: str | None
    created_at: datetime | None
    paid_at: datetime | None
    dispatch_due_at: datetime | None
    shipped_at: datetime | None
    currency: str | None
    items_total: object
    carrier: str | None
    revision: int
    first_stored_at: datetime
    stored_at: datetime
    buyer_data_blanked_at: datetime | None


class ItemFacts(NamedTuple):
    """What is stored of an item now."""

    item_id: str
    sku: str
    product: str | None
    quantity: int
    kind: str
    status: str
    care_id: str | None
    locks: str | None
    """The state of its stock locks, e.g. `locked 1 of 1`; None: it has none."""


def facts_of(stock: StockConnection, account: str, order_id: str) -> tuple[OrderFacts, list[ItemFacts]] | None:
    """The order and its items; None if it is not stored."""
    row = stock.connection.execute(_ORDER, [account, order_id]).fetchone()
    if row is None:
        return None
    items = [ItemFacts(*each) for each in stock.execute(_ITEMS, [account, order_id])]
    return OrderFacts(*row), items


def timeline(stock: StockConnection, account: str, order_id: str) -> list[Entry]:
    """All that is known of an order, the oldest first; also of one that was only ever rejected."""
    connection, key = stock.connection, [account, order_id]
    found = [
        *_of_order(connection, key),
        *_changes(connection, account, order_id),
        *_events(stock, key),
        *_stock(stock, key),
        *_acceptances(connection, key),
        *_care(connection, key),
        *_documents(connection, key),
        *_flaws(connection, key),
        *_rejected(connection, key),
        *_by_hand(connection, account, order_id),
    ]
    shown = [each._replace(detail=each.detail[:MAX_DETAIL]) for each in found]
    return sorted(shown, key=lambda entry: entry.at)


def _of_order(connection: Connection, key: list[str]) -> Iterator[Entry]:
    row = connection.execute(
        "SELECT created_at, paid_at, shipped_at, first_stored_at, fetched_by_id_at FROM orders "
        "WHERE account = %s AND order_id = %s",
        key,
    ).fetchone()
    if row is None:
        return
    words = ("ordered by the buyer", "paid", "shipped, as the marketplace says", "stored for the first time",
             "fetched by its id, since no list had it any more")  # fmt: skip
    yield from (Entry(at, Source.ORDER, text) for at, text in zip(row, words, strict=True) if at is not None)


def _changes(connection: Connection, account: str, order_id: str) -> Iterator[Entry]:
    by_revision: dict[int, list[str]] = {}
    heads: dict[int, tuple[datetime, str]] = {}
    for change in changes_of(connection, account, order_id):
        heads[change.revision] = (change.recorded_at, f"by {change.written_by}, run {change.run_id}")
        if change.field:
            where = f"{change.item_id}: " if change.item_id else ""
            is_named_only = change.is_named_only or change.field in _NAMED_ONLY
            values = "" if is_named_only else f" {_value(change.before)} → {_value(change.after)}"
            by_revision.setdefault(change.revision, []).append(f"{where}{change.field}{values}")
    for revision, (at, by) in list(heads.items())[-MAX_ENTRIES:]:
        what = "; ".join(by_revision.get(revision, ["only the raw record changed"]))
        yield Entry(at, Source.CHANGE, f"version {revision} was stored", f"{what} ({by})")


def _value(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def _events(stock: StockConnection, key: list[str]) -> Iterator[Entry]:
    rows = stock.execute(_EVENTS, [*key, MAX_ENTRIES])
    for at, kind, item_id, old, new, applied_at, attempts, problem, deliveries in rows:
        about = f" of item {item_id}" if item_id else ""
        status = new if old is None else f"{old} → {new}"
        text = f"event {kind}{about}: {status}"
        if old == new:  # it changes nothing in stock
            yield Entry(at, Source.EVENT, f"event {kind}", deliveries or "")
        elif applied_at is not None:
            others = f"; {deliveries}" if deliveries else ""
            yield Entry(at, Source.EVENT, text, f"applied to stock {_moment(applied_at)}{others}")
        elif attempts:
            why = f"could not be applied {attempts} times: {problem}"
            yield Entry(at, Source.EVENT, text, why, is_wrong=attempts >= MAX_ATTEMPTS)
        else:
            yield Entry(at, Source.EVENT, text, "waits for the stock job")


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _stock(stock: StockConnection, key: list[str]) -> Iterator[Entry]:
    short_now = {(item_id, sku) for item_id, sku in stock.execute(_SHORT, key)}
    rows = stock.execute(_HISTORY, [*key, MAX_ENTRIES]).fetchall()
    latest = {(row[1], row[2]): number for number, row in reversed(list(enumerate(rows)))}
    for number, row in enumerate(rows):
        at, item_id, sku, cause, old, new, quantity, locked, short, consumed, held = row
        parts = ((locked, "locked"), (short, "short"), (consumed, "have left"), (held, "held"))
        pieces = ", ".join(f"{count} {word}" for count, word in parts if count)
        change = new if old is None else f"{old} → {new}"
        is_wrong = (item_id, sku) in short_now and latest[item_id, sku] == number
        detail = f"{cause}; of {quantity} pieces: {pieces or 'none'}"
        yield Entry(at, Source.STOCK, f"lock of item {item_id}, SKU {sku}: {change}", detail, is_wrong)


def _acceptances(connection: Connection, key: list[str]) -> Iterator[Entry]:
    rows = connection.execute(_ACCEPTANCES, [*key, MAX_ENTRIES]).fetchall()
    latest = {(row[3], row[4]): number for number, row in reversed(list(enumerate(rows)))}
    for number, (at, decision, state, sku, item_id, answer_status, reason) in enumerate(rows):
        about = f"item {item_id}" if item_id else f"SKU {sku}" if sku else "all waiting lines"
        said = f"HTTP {answer_status}" if answer_status else "no answer"
        why = f"; reason: {reason}" if reason else ""
        wrong = state in ("refused", "failed", "lost") and latest[sku, item_id] == number
        yield Entry(at, Source.ACCEPTANCE, f"request to {decision} {about}: {state}", f"{said}{why}", is_wrong=wrong)


def _care(connection: Connection, key: list[str]) -> Iterator[Entry]:
    for care_id, kind, state, opened, closed, received, items, stored in connection.execute(_CARE, key):
        about = f"care record {care_id} ({kind}) about items {', '.join(items)}"
        yield Entry(opened or stored, Source.CARE, f"{about}: opened", f"now {state}")
        if closed is not None:
            came = "" if received is None else "; the pieces were received" if received else "; no pieces were received"
            yield Entry(closed, Source.CARE, f"{about}: closed", f"now {state}{came}")


def _documents(connection: Connection, key: list[str]) -> Iterator[Entry]:
    # Its key may be a URL or a tracking number, which lead to the buyer.
    for number, (kind, carrier, first, cancelled, shipped) in enumerate(connection.execute(_DOCUMENTS, key), 1):
        name = f"document {number}, {kind.replace('_', ' ')}"
        yield Entry(first, Source.DOCUMENT, f"{name}: read", f"carrier {carrier}" if carrier else "")
        if shipped is not None:
            yield Entry(shipped, Source.DOCUMENT, f"{name}: its parcel has left")
        if cancelled is not None:
            yield Entry(cancelled, Source.DOCUMENT, f"{name}: cancelled")


def _flaws(connection: Connection, key: list[str]) -> Iterator[Entry]:
    for at, field, found, stored in connection.execute(_FLAWS, key):
        yield Entry(at, Source.FLAW, f"flaw in {field}: {found}", f"stored: {stored}", is_wrong=True)


def _rejected(connection: Connection, key: list[str]) -> Iterator[Entry]:
    for first, last, attempts, reasons, resolved, dismissed, by, why in connection.execute(_REJECTED, key):
        words = "; ".join(map(_reason, reasons if isinstance(reasons, list) else [reasons]))
        is_over = resolved is not None or dismissed is not None
        times = f"{attempts} times until {_moment(last)}"
        yield Entry(first, Source.REJECTED, f"a version was rejected: {words}", times, is_wrong=not is_over)
        if resolved is not None:
            yield Entry(resolved, Source.REJECTED, "a later version was stored")
        if dismissed is not None:
            yield Entry(dismissed, Source.REJECTED, f"the rejected version was dismissed by {by}", why or "")


def _reason(reason: Any) -> str:
    """A stored reason in words; one of an unknown form as it is."""
    match reason:
        case {"where": where, "what": what}:
            return f"{where} {what}"
        case _:
            return _value(reason)


def _by_hand(connection: Connection, account: str, order_id: str) -> Iterator[Entry]:
    for act in stored_acts(connection, Selection(account, order_id), MAX_ENTRIES):
        what = act.act.replace("_", " ")
        about = f" of item {act.item_id}" if act.item_id else ""
        detail = "; ".join(part for part in (act.detail, act.reason and f"reason: {act.reason}") if part)
        yield Entry(act.at, Source.BY_HAND, f"{act.actor}: {what}{about}", detail)


_ORDER: LiteralString = """
SELECT account, order_id, status, marketplace_state, created_at, paid_at, dispatch_due_at, shipped_at, currency,
  items_total, carrier, revision, first_stored_at, stored_at, buyer_data_blanked_at
FROM orders WHERE account = %s AND order_id = %s
"""
_ITEMS: LiteralString = """
SELECT item_id, sku, product, quantity, kind, status, care_id, (
  SELECT string_agg(
    concat(state, ' ', CASE state WHEN 'consumed' THEN consumed ELSE locked END, ' of ', quantity), ', ' ORDER BY sku)
  FROM stock_locks lock WHERE (lock.account, lock.item_id) = (item.account, item.item_id))
FROM order_items item WHERE account = %s AND order_id = %s ORDER BY item_id
"""
_EVENTS: LiteralString = """
SELECT recorded_at, kind, item_id, old_status, new_status, applied_at, attempts, problem, (
  SELECT string_agg(subscription || ' ' || coalesce(delivery.outcome, 'waiting'), ', ' ORDER BY subscription)
  FROM public.event_deliveries delivery WHERE delivery.event_id = event.event_id
    AND delivery.subscription IN (SELECT subscription FROM public.subscriptions)) AS deliveries
FROM order_events event WHERE account = %s AND order_id = %s ORDER BY event_id DESC LIMIT %s
"""
_HISTORY: LiteralString = """
SELECT at, item_id, sku, cause, from_state, to_state, quantity, locked, short, consumed, held FROM stock_lock_history
WHERE (account, item_id) IN (SELECT account, item_id FROM order_items WHERE account = %s AND order_id = %s)
ORDER BY entry_id DESC LIMIT %s
"""
_SHORT: LiteralString = """
SELECT item_id, sku FROM stock_locks WHERE account = %s AND order_id = %s AND state = 'short'
"""
_ACCEPTANCES: LiteralString = """
SELECT requested_at, decision, state, sku, item_id, answer_status, reason FROM acceptances
WHERE account = %s AND order_id = %s ORDER BY acceptance_id DESC LIMIT %s
"""
_CARE: LiteralString = """
SELECT care.care_id, care.kind, care.state, opened_at, closed_at, received,
  array_agg(about.item_id ORDER BY about.item_id), care.first_stored_at
FROM order_items item
  JOIN care_record_items about ON (about.account, about.item_id) = (item.account, item.item_id)
  JOIN care_records care ON (care.account, care.care_id) = (about.account, about.care_id)
WHERE item.account = %s AND item.order_id = %s
GROUP BY care.account, care.care_id ORDER BY care.care_id
"""
_DOCUMENTS: LiteralString = """
SELECT kind, carrier, first_stored_at, cancelled_at, shipped_at FROM order_documents
WHERE account = %s AND order_id = %s ORDER BY kind, document_key
"""
_FLAWS: LiteralString = """
SELECT first_seen_at, field, found, stored FROM record_flaws
WHERE account = %s AND kind = 'order' AND record_id = %s ORDER BY field
"""
_REJECTED: LiteralString = """
SELECT first_seen_at, last_seen_at, attempts, reasons, resolved_at, dismissed_at, dismissed_by, dismissed_reason
FROM rejected_records WHERE account = %s AND kind = 'order' AND record_id = %s
"""
