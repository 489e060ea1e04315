"""Why stock is as it is: who holds a SKU now, which events still wait, and what led to it."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple, TypeVar

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.input import check_characters
from orders_sync.stock.queries import HISTORY, Holder, SkuLevel, StoredTransition, holders
from orders_sync.stock.store import IN_FORCE, stored_sku_case

MAX_SHOWN = 20


class PendingItem(NamedTuple):
    """An item that has changed, and whose lock the stock job has yet to look at."""

    account: str
    order_id: str
    item_id: str
    sku: str
    status: str
    waits_since: datetime


class StoredMovement(NamedTuple):
    """A stored change of a SKU's pieces on hand."""

    at: datetime
    sku: str
    kind: str
    pieces: int
    on_hand: int
    account: str
    item_id: str
    reason: str
    made_by: str


class StoredDecision(NamedTuple):
    """What a person decided about an item's lock. `in_force`: the item's status is still what it was then."""

    made_at: datetime
    account: str
    item_id: str
    decision: str
    reason: str
    made_by: str
    in_force: bool


class StoredReturn(NamedTuple):
    """Pieces of an item that come back by a care record. `handled_at`: None while the stock job has yet to book it."""

    at: datetime
    account: str
    care_id: str
    item_id: str
    pieces: int | None
    booked: int
    handled_at: datetime | None
    note: str | None


class Explanation(NamedTuple):
    """What is known about a SKU, an item or an order. Transitions and movements: the latest ones, the oldest first."""

    levels: list[SkuLevel]
    holders: list[Holder]
    pending: list[PendingItem]
    transitions: list[StoredTransition]
    movements: list[StoredMovement]
    decisions: list[StoredDecision]
    returns: list[StoredReturn]

    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not any(self)


def explain(stock: StockConnection, subject: str, limit: int | None = MAX_SHOWN) -> Explanation:
    """Explains a SKU, an item or an order. `subject`: its id, or `account/id`.

    `limit`: how many holders, transitions and movements at most; None: all. Raises StockInputError for a subject that
    can't be an id.
    """
    subject = check_characters(subject.strip(), "the subject")
    sku = stored_sku_case(stock).form(subject)
    account, _, own_id = subject.rpartition("/")
    named = {"subject": subject, "account": account, "id": own_id}
    items = stock.execute(_ITEMS_OF, named).fetchall()
    keys = [[account for account, _ in items], [item_id for _, item_id in items]]
    skus = sorted({sku} | {sku for (sku,) in stock.execute(_SKUS_OF, keys)})
    shown = {"accounts": keys[0], "items": keys[1], "skus": [] if items else skus, "limit": limit}
    return Explanation(
        levels=stock.rows_as(SkuLevel, _LEVELS, [skus]),
        holders=holders(stock, skus, limit),
        pending=stock.rows_as(PendingItem, _PENDING, shown | named),
        transitions=_oldest_first(stock.rows_as(StoredTransition, HISTORY + _OF_SUBJECT, shown)),
        movements=_oldest_first(stock.rows_as(StoredMovement, _MOVEMENTS, shown)),
        decisions=stock.rows_as(StoredDecision, _DECISIONS, keys),
        returns=stock.rows_as(StoredReturn, _RETURNS, keys),
    )


Row = TypeVar("Row")


def _oldest_first(rows: Sequence[Row]) -> list[Row]:
    return list(reversed(rows))


_ITEMS_OF = """
SELECT account, item_id FROM order_items
WHERE item_id = %(subject)s OR order_id = %(subject)s
   OR (account = %(account)s AND (item_id = %(id)s OR order_id = %(id)s))
UNION
SELECT account, item_id FROM {locks} WHERE item_id = %(subject)s OR (account = %(account)s AND item_id = %(id)s)
"""
_SKUS_OF = """
SELECT DISTINCT sku FROM {locks}
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
"""
_LEVELS = """
SELECT level.sku, level.on_hand, level.reserved, level.counted_at, (
  SELECT coalesce(sum(lock.short), 0) FROM {locks} lock WHERE lock.sku = level.sku AND lock.state = 'short') AS short
FROM {levels} level WHERE level.sku = ANY(%s) ORDER BY level.sku
"""
_PENDING = """
SELECT account, order_id, item_id, sku, status, min(recorded_at) AS waits_since
FROM (
  SELECT item.*, event.recorded_at FROM {events} event JOIN order_items item USING (account, order_id)
  WHERE event.applied_at IS NULL
  UNION ALL
  SELECT item.*, recheck.recorded_at FROM stock_rechecks recheck JOIN order_items item USING (account, item_id)
) waiting
WHERE {sku_form} = ANY(%(skus)s) OR (account, item_id) IN (
  SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))
GROUP BY 1, 2, 3, 4, 5 ORDER BY waits_since LIMIT %(limit)s
"""
_OF_SUBJECT = """
WHERE entry.sku = ANY(%(skus)s) OR (entry.account, entry.item_id) IN (
  SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))
ORDER BY entry.entry_id DESC LIMIT %(limit)s
"""
_MOVEMENTS = """
SELECT at, sku, kind, pieces, on_hand, account, item_id, reason, made_by FROM {movements}
WHERE sku = ANY(%(skus)s) OR (account, item_id) IN (
  SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))
ORDER BY movement_id DESC LIMIT %(limit)s
"""
_DECISIONS: LiteralString = (
    """
SELECT decided.made_at, account, item_id, decided.decision, decided.reason, decided.made_by,
  coalesce("""
    + IN_FORCE
    + """, false) AS in_force
FROM stock_decisions decided
JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
LEFT JOIN order_items item USING (account, item_id)
ORDER BY decided.made_at
"""
)
_RETURNS = """
SELECT back.at, account, back.care_id, item_id, back.pieces, back.booked, back.handled_at, back.note
FROM stock_returns back JOIN unnest(%s::text[], %s::text[]) AS requested (account, item_id) USING (account, item_id)
ORDER BY back.at, back.care_id
"""
