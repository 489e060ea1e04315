"""Loading what items' locks depend on, and storing what changed: one statement for each table, whatever their number.

One transaction at a time changes stock (StockConnection.changing). So what is read here stays true until its end,
but for the facts of items: a sync that changes them writes an event or a recheck, and the next look finds it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString, NamedTuple

from psycopg.sql import SQL, Identifier

from orders_sync.database.copy import array_text
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import (
    LAST,
    Cause,
    Lock,
    LockKey,
    Movement,
    Settled,
    StockLevel,
    has_lock,
    pieces_left,
)
from orders_sync.stock.departures import Departure, ItemMovement, departures_of
from orders_sync.stock.labels import with_labels
from orders_sync.stock.needs import (
    ItemFacts,
    ItemKey,
    Parcel,
    StockPart,
    StockSkus,
    over_reported_now,
    parts_of,
    reported_pieces,
    unreported_now,
)
from orders_sync.stock.sku_case import SkuCase


class Loaded(NamedTuple):
    """What is stored about items. The levels are locked for update."""

    items: list[ItemFacts]
    locks: dict[ItemKey, list[Lock]]
    levels: dict[str, StockLevel]
    stock_skus: StockSkus


def collect_missing_statistics(stock: StockConnection) -> None:
    """Collects the statistics of tables that have none yet, as they do within the minutes after a first load.

    Without them, PostgreSQL takes an index on the account alone for as good as the primary key.
    """
    for (table,) in stock.execute(_WITHOUT_STATISTICS).fetchall():
        stock.connection.execute(SQL("ANALYZE {}").format(Identifier("public", table)))


def load(stock: StockConnection, keys: Collection[ItemKey]) -> Loaded:
    """Loads items with their locks and levels. Call it in the transaction that stores the outcome."""
    requested = _columns(sorted(set(keys)), 2)
    stock_skus = load_stock_skus(stock)
    items = list(map(_facts, stock.execute(_ITEMS, requested).fetchall()))
    locks: dict[ItemKey, list[Lock]] = {}
    for lock in map(Lock._make, stock.execute(_LOCKS, requested).fetchall()):
        locks.setdefault((lock.account, lock.item_id), []).append(lock)
    items = _with_taken(stock, with_labels(stock, items, locks), locks)
    ordered = {(item.account, item.sku) for item in items}
    skus = {part.sku for account, sku in ordered for part in parts_of(account, sku, stock_skus)}
    skus.update(lock.sku for found in locks.values() for lock in found)
    return Loaded(items, locks, load_levels(stock, skus), stock_skus)


def _with_taken(
    stock: StockConnection, items: list[ItemFacts], locks: Mapping[ItemKey, Sequence[Lock]]
) -> list[ItemFacts]:
    """Sets `taken` of the items that have parcels, and of which some pieces have left before."""
    partly_left = [
        item.key
        for item in items
        if item.parcels and 0 < pieces_left(locks.get(item.key, ())) < reported_pieces(item) + item.unreported
    ]
    if not partly_left:
        return items
    departures = _departures(stock, partly_left)
    return [
        item._replace(taken=[Parcel(each.pieces, each.left_at) for each in departures[item.key]])
        if item.key in departures
        else item
        for item in items
    ]


def stored_sku_case(stock: StockConnection) -> SkuCase:
    """Whether the case of SKUs counts. Read it in the transaction that changes stock: it stays so until its end."""
    row = stock.execute("SELECT sku_case FROM stock_settings").fetchone()
    return SkuCase(row[0]) if row else SkuCase.EXACT


def _facts(columns: Sequence[Any]) -> ItemFacts:
    """The columns of _ITEMS. A time in the future is not believed: nothing has left that late."""
    facts, shipments = columns[:-1], columns[-1]
    if shipments is None:
        return ItemFacts(*facts)
    now = datetime.now(UTC)
    parcels = [Parcel(each["pieces"], min(now, datetime.fromisoformat(each["at"]))) for each in shipments]
    return ItemFacts(*facts, parcels=sorted(parcels, key=_left_at))


def _left_at(parcel: Parcel) -> datetime:
    return parcel.left_at or LAST


def load_departures(stock: StockConnection, key: ItemKey) -> list[Departure]:
    """What has left for an item, the earliest first."""
    return _departures(stock, [key])[key]


def _departures(stock: StockConnection, keys: Sequence[ItemKey]) -> dict[ItemKey, list[Departure]]:
    """What has left for each of these items, the earliest first."""
    movements: dict[ItemKey, list[ItemMovement]] = {key: [] for key in keys}
    rows = stock.execute(_MOVEMENTS, _columns(keys, 2)).fetchall()
    for _, account, item_id, *movement in sorted(rows):  # PostgreSQL would read all movements in the order of their ids
        movements[account, item_id].append(ItemMovement._make(movement))
    return {key: departures_of(found) for key, found in movements.items()}


def note_corrections(stock: StockConnection, loaded: Loaded) -> None:
    """Notes which undone shipments the marketplace has corrected, what it reports of the items now, and is to report.

    What it is not to report any more, as pieces were cancelled, it is not to report later either.
    """
    for item in loaded.items:
        if item.over_reported:
            note_over_report(stock, item, over_reported_now(item))
        if item.unreported:
            locks = loaded.locks.get(item.key, ())
            expected = unreported_now(item, has_lock=has_lock(locks), left=pieces_left(locks)).expected
            if expected != item.expected:
                note_unreported(stock, item, item.unreported, expected)


def note_unreported(stock: StockConnection, item: ItemFacts, pieces: int, expected: int) -> None:
    """Notes that so many cancelled pieces left all the same. `expected`: see ItemFacts."""
    if pieces:
        stock.execute(_NOTE_UNREPORTED, [*item.key, pieces, expected])
    else:
        stock.execute("DELETE FROM stock_unreported WHERE account = %s AND item_id = %s", [*item.key])


def note_over_report(stock: StockConnection, item: ItemFacts, pieces: int) -> None:
    """Notes that so many pieces which the marketplace reports as shipped did not leave."""
    if not pieces:
        stock.execute("DELETE FROM stock_over_reports WHERE account = %s AND item_id = %s", [*item.key])
    elif (pieces, reported_pieces(item)) != (item.over_reported, item.reported_before):
        stock.execute(_NOTE_OVER_REPORT, [*item.key, pieces, reported_pieces(item)])


def load_stock_skus(stock: StockConnection) -> StockSkus:
    """The aliases and bundles, and the case rule."""
    found: dict[tuple[str, str], list[StockPart]] = {}
    rows = stock.execute("SELECT account, sku, stock_sku, pieces FROM stock_skus ORDER BY account, sku, stock_sku")
    for account, sku, stock_sku, pieces in rows:
        found.setdefault((account, sku), []).append(StockPart(stock_sku, pieces))
    return StockSkus(found, stored_sku_case(stock))


def load_levels(stock: StockConnection, skus: Iterable[str]) -> dict[str, StockLevel]:
    """The levels of these SKUs; a SKU that had none gets an empty one."""
    requested = sorted(set(skus))
    levels = {sku: StockLevel(*level) for sku, *level in stock.execute(_LEVELS, [array_text(requested)]).fetchall()}
    if missing := [sku for sku in requested if sku not in levels]:
        stock.execute("INSERT INTO stock_levels (sku) SELECT unnest(%s::text[])", [array_text(missing)])
        levels |= dict.fromkeys(missing, StockLevel(None, 0, None))
    return levels


def other_active_locks(stock: StockConnection, settled: Settled) -> list[Lock]:
    """The active locks outside `settled` that get pieces of its SKUs, or may have to give some back."""
    # The stored oldest may be among the settled ones, and no longer wait.
    settled_locks = Counter(lock.sku for lock in settled.locks.values())
    available = [
        (sku, level.available() + settled_locks[sku]) for sku, level in settled.levels.items() if level.available() > 0
    ]
    found = list(map(Lock._make, stock.execute(_WAITING, _columns(available, 2)))) if available else []
    if settled.overdrawn:
        found += active_locks(stock, sorted(settled.overdrawn))
    return [lock for lock in found if lock.key not in settled.locks]


def active_locks(stock: StockConnection, skus: Sequence[str]) -> list[Lock]:
    """The locks that hold pieces of these SKUs, or wait for some."""
    return list(map(Lock._make, stock.execute(_ACTIVE, [list(skus)])))


def active_skus(stock: StockConnection) -> list[str]:
    """The SKUs that have active locks."""
    return [sku for (sku,) in stock.execute("SELECT DISTINCT sku FROM stock_locks WHERE {active}")]


class Transition(NamedTuple):
    """A change of a lock; its fields are columns of stock_lock_history."""

    account: str
    item_id: str
    sku: str
    event_id: int | None
    cause: str
    from_state: str | None
    to_state: str
    quantity: int
    locked: int
    short: int
    consumed: int
    held: int


def store(
    stock: StockConnection, before: Mapping[LockKey, Lock], levels: Mapping[str, StockLevel], after: Settled
) -> list[Transition]:
    """Stores the locks and levels that differ from before, with the history; returns the transitions.

    `before`: the locks as they were stored. `levels`: the levels as they were stored.
    """
    changed = [
        (key, stored, lock) for key, lock in after.locks.items() for stored in [before.get(key)] if lock != stored
    ]
    transitions = [
        _transition(stored, lock, after.causes[key])
        for key, stored, lock in changed
        if stored is None or (lock.pieces(), lock.held) != (stored.pieces(), stored.held)
    ]
    new = [(*lock, lock.state) for _, stored, lock in changed if stored is None]
    stock.copy("stock_locks", (*Lock._fields, "state"), new)
    if changed_before := [(*lock, lock.state) for _, stored, lock in changed if stored is not None]:
        stock.execute(_UPDATE_LOCKS, _columns(changed_before, len(Lock._fields) + 1))
    stock.copy("stock_lock_history", Transition._fields, transitions)
    store_levels(stock, levels, after.levels)
    store_movements(stock, after.movements)
    return transitions


def store_levels(stock: StockConnection, before: Mapping[str, StockLevel], after: Mapping[str, StockLevel]) -> None:
    """Stores the pieces of the levels that differ from before."""
    rows = [
        (sku, level.on_hand, level.reserved, level.missing)
        for sku, level in after.items()
        if (level.on_hand, level.reserved, level.missing)
        != (before[sku].on_hand, before[sku].reserved, before[sku].missing)
    ]
    if rows:
        stock.execute(_STORE_LEVELS, _columns(rows, 4))


def store_movements(stock: StockConnection, movements: Sequence[Movement]) -> None:
    """Stores changes of the pieces on hand."""
    stock.copy("stock_movements", Movement._fields, movements)


def _transition(before: Lock | None, after: Lock, cause: Cause) -> Transition:
    text = cause.text if after.problem is None else f"{cause.text}: {after.problem}"
    state = None if before is None else before.state
    return Transition(*after.key, cause.event_id, text, state, after.state, after.quantity, *after.pieces(), after.held)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[str]:
    """Rows as one array per column, which `unnest` takes."""
    return [array_text(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * width


_WITHOUT_STATISTICS = """
SELECT name FROM (VALUES ('orders'), ('order_items'), ('order_events'), ('stock_locks')) AS requested (name)
WHERE NOT EXISTS (
  SELECT FROM pg_stats WHERE schemaname = 'public' AND tablename = requested.name AND attname = 'account')
"""
_STATUSES_OF_WHAT_LEFT: LiteralString = "('shipped', 'refunded_after_shipping', 'returned')"
_SEEN_GONE: LiteralString = """coalesce((
  SELECT max(gone.recorded_at) FROM public.order_events gone
  WHERE item.shipped IS NULL AND gone.account = item.account AND gone.order_id = item.order_id
    AND gone.item_id = item.item_id AND gone.kind = 'OrderStatusChanged' AND gone.new_status IN {statuses}
    AND coalesce(gone.old_status, '') NOT IN {statuses}), placed.stored_at)""".replace(
    "{statuses}", _STATUSES_OF_WHAT_LEFT
)
"""When it was stored that the item has left: the order may have been stored again since. Where the marketplace gives
numbers of pieces, its status does not say when the last of them left: then it was when the order was stored."""
LEFT_AT: LiteralString = """coalesce(placed.shipped_at, CASE
  WHEN placed.revision = 1 THEN placed.created_at
  WHEN EXISTS (SELECT FROM record_flaws flaw WHERE flaw.account = placed.account AND flaw.kind = 'order'
    AND flaw.record_id = placed.order_id AND flaw.field = 'modified_at' AND starts_with(flaw.stored, 'unknown'))
    THEN {seen_gone}
  WHEN placed.modified_at IS NOT NULL THEN placed.modified_at
  WHEN (SELECT unknown_shipping_time FROM stock_settings) = 'before_count' THEN coalesce((
    SELECT max(pass.started_at) FROM (SELECT {seen_gone} AS at OFFSET 0) seen JOIN lane_runs pass
      ON pass.account = placed.account AND pass.sync_type = 'modified' AND pass.outcome = 'succeeded'
      AND pass.finished_at < seen.at),
    placed.first_stored_at) END)""".replace("{seen_gone}", _SEEN_GONE)
"""The moment by which what has left of the `item` of the order `placed` had left: ItemFacts.left_at.

An order whose modified time is not to be believed keeps that of an earlier version: it counts as of when it was stored.
Where the marketplace gives no time at all, the pieces left after the last `modified` pass that saw them here; a setting
says whether they count as having left right after it. It is NULL if not: they then left when that was stored.
"""
HOLDING_DECISIONS: LiteralString = "('lock', 'release', 'shipped')"
"""The decisions that hold until the item's status changes. What the others do is done at once, and they end none."""
IN_FORCE: LiteralString = """(decided.item_status = item.status AND NOT EXISTS (
  SELECT FROM public.order_events later
  WHERE later.account = item.account AND later.order_id = item.order_id
    AND later.item_id IN (item.item_id, CASE item.status WHEN 'unknown' THEN '' ELSE item.item_id END)
    AND later.kind = 'OrderStatusChanged' AND later.recorded_at > decided.made_at)
  AND NOT (decided.decision = 'shipped' AND EXISTS (
    SELECT FROM public.stock_decisions undone
    WHERE undone.account = item.account AND undone.item_id = item.item_id AND undone.decision = 'not_shipped'
      AND undone.decision_id > decided.decision_id)))"""
"""Whether the decision `decided` about `item` holds: its status, or its order's if its own is unknown, has not changed
since. Once ended, it stays so, also if the status comes back. An undone shipment ends that an item counts as shipped.
"""
CORRECTIONS: LiteralString = """LEFT JOIN stock_over_reports over_report
  ON over_report.account = item.account AND over_report.item_id = item.item_id
LEFT JOIN stock_unreported unreported
  ON unreported.account = item.account AND unreported.item_id = item.item_id
"""
"""Joins `item` with the pieces that the marketplace reports as shipped and that did not leave, and with those that left
and that it does not report.
"""
DECIDED: LiteralString = """LEFT JOIN LATERAL (
  SELECT * FROM public.stock_decisions made
  WHERE made.account = item.account AND made.item_id = item.item_id AND made.decision IN {holding}
  ORDER BY made.decision_id DESC LIMIT 1) decided ON true
""".replace("{holding}", HOLDING_DECISIONS)
"""Joins `item` with the newest decision about it, `decided`: the one that counts."""
_ITEMS: LiteralString = (
    """
SELECT item.account, item.item_id, item.order_id, item.sku, item.kind = 'goods', item.quantity, item.cancelled,
       item.shipped, item.status, placed.status, coalesce(placed.created_at, placed.first_stored_at),
       CASE WHEN in_force AND decided.decision = 'shipped' THEN least(now(), coalesce(
           CASE WHEN item.status IN """
    + _STATUSES_OF_WHAT_LEFT
    + """ THEN placed.shipped_at END, decided.left_at, decided.made_at))
         WHEN item.shipped IS NULL AND item.status IN ('pending', 'accepted', 'awaiting_payment') THEN NULL
         ELSE least(now(), """
    + LEFT_AT
    + """) END,
       CASE WHEN in_force THEN decided.decision END,
       coalesce(over_report.pieces, 0), coalesce(over_report.reported, 0), decided.pieces,
       coalesce(unreported.pieces, 0), coalesce(unreported.expected, 0), item.shipments
FROM unnest(%s::text[], %s::text[]) AS requested (account, item_id)
JOIN order_items item USING (account, item_id)
JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
"""
    + CORRECTIONS
    + DECIDED
    + """CROSS JOIN LATERAL (SELECT decided.account IS NOT NULL AND """
    + IN_FORCE
    + """ AS in_force) decision
"""
)
_LEVELS = (
    "SELECT sku, on_hand, reserved, counted_at, imported_at, missing FROM stock_levels WHERE sku = ANY(%s::text[])"
)
_LOCKS = """
SELECT account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, problem, ordered_at,
  held
FROM stock_locks
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
"""
_WAITING = """
SELECT lock.* FROM unnest(%s::text[], %s::int[]) AS level (sku, takers) CROSS JOIN LATERAL (
  SELECT account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, problem, ordered_at,
    held
  FROM stock_locks waiting WHERE waiting.state = 'short' AND waiting.sku = level.sku
  ORDER BY ordered_at, account COLLATE "C", item_id COLLATE "C" LIMIT level.takers) lock
"""
_ACTIVE = """
SELECT account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, problem, ordered_at,
  held
FROM stock_locks WHERE {active} AND sku = ANY(%s)
"""
_UPDATE_LOCKS = """
UPDATE stock_locks stored SET
  order_id = changed.order_id, quantity = changed.quantity, locked = changed.locked, short = changed.short,
  consumed = changed.consumed, item_pieces = changed.item_pieces, problem = changed.problem,
  ordered_at = changed.ordered_at, held = changed.held, state = changed.state,
  since = CASE WHEN stored.state = changed.state THEN stored.since ELSE now() END
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[],
  %s::text[], %s::timestamptz[], %s::int[], %s::text[])
  AS changed (account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, problem, ordered_at,
    held, state)
WHERE stored.account = changed.account AND stored.item_id = changed.item_id AND stored.sku = changed.sku
"""
# Its first condition lets PostgreSQL use the index of items.
_MOVEMENTS = """
SELECT movement_id, account, item_id, kind, sku, pieces, on_hand_change, item_pieces, moved_at, at
FROM stock_movements JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
WHERE item_id <> '' AND kind IN ('shipped', 'not_shipped', 'returned', 'received')
"""
_NOTE_OVER_REPORT = """
INSERT INTO stock_over_reports (account, item_id, pieces, reported) VALUES (%s, %s, %s, %s)
ON CONFLICT (account, item_id) DO UPDATE SET pieces = excluded.pieces, reported = excluded.reported
"""
_NOTE_UNREPORTED = """
INSERT INTO stock_unreported (account, item_id, pieces, expected) VALUES (%s, %s, %s, %s)
ON CONFLICT (account, item_id) DO UPDATE SET pieces = excluded.pieces, expected = excluded.expected
"""
_STORE_LEVELS = """
UPDATE stock_levels stored SET on_hand = changed.on_hand, reserved = changed.reserved,
  missing = changed.missing
FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[]) AS changed (sku, on_hand, reserved, missing)
WHERE stored.sku = changed.sku
"""
