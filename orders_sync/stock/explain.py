"""Why stock is as it is: who holds a SKU now, which events still wait, and what led to it."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple, TypeVar

from orders_sync.acts.manual_acts import COLUMNS, ManualAct
from orders_sync.model.keys import UNSTORABLE
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import HISTORY, Holder, SkuLevel, StoredTransition, holders, sku_levels
from orders_sync.stock.received import Receipt, receipts_of
from orders_sync.stock.stock_skus import StockSku
from orders_sync.stock.store import HOLDING_DECISIONS, IN_FORCE, stored_sku_case

MAX_SHOWN = 20


class OrderedItem(NamedTuple):
    """An order item as it is stored; `sku` is the marketplace's, and None as in ItemFacts."""

    account: str
    order_id: str
    item_id: str
    sku: str
    status: str
    quantity: int
    cancelled: int | None
    shipped: int | None


class PendingItem(NamedTuple):
    """An item that has changed, and whose lock the stock job has yet to look at. `sku` is the marketplace's."""

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
    """What was decided about an item's lock.

    `in_force`: it is the newest decision about the item that holds, and the item's status is still what it was then. An
    undone shipment, and what a person found of held pieces, are only on record.
    """

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
    care_state: str
    """The care record's state: open, closed, cancelled or unknown; '' where it is not stored any more."""
    item_id: str
    pieces: int | None
    booked: int
    handled_at: datetime | None
    note: str | None


class Explanation(NamedTuple):
    """What is known about a SKU, an item or an order. Of the history, the latest rows, the oldest first."""

    levels: list[SkuLevel]
    holders: list[Holder]
    pending: list[PendingItem]
    items: list[OrderedItem]
    """The order items that the subject names."""
    stock_skus: list[StockSku]
    """Aliases and bundles: of the subject, of what it stands for, and of the items."""
    transitions: list[StoredTransition]
    movements: list[StoredMovement]
    decisions: list[StoredDecision]
    returns: list[StoredReturn]
    received: list[Receipt]
    acts: list[ManualAct]
    """What people did by hand: with the items that the subject names and their orders, or with the SKUs."""

    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not any(self)


_NOTHING = Explanation([], [], [], [], [], [], [], [], [], [], [])


def explain(stock: StockConnection, subject: str, limit: int | None = MAX_SHOWN) -> Explanation:
    """Explains a SKU, an item or an order; if the subject names several of them, all.

    `subject`: a SKU of the stock list or of a marketplace, or the id of an item or an order, also as `account/id`.
    `limit`: how many rows of each kind at most, but of levels and items; None: all.
    """
    if UNSTORABLE.search(subject):
        return _NOTHING
    subject = subject.strip()
    account, _, own_id = subject.rpartition("/")
    items = stock.execute(_ITEMS_OF, {"subject": subject, "account": account, "id": own_id}).fetchall()
    keys = [[account for account, _ in items], [item_id for _, item_id in items]]
    sku = stored_sku_case(stock).form(subject)
    skus = [sku, *(part for (part,) in stock.execute(_PARTS_OF_SKU, [sku]))]
    ordered = [name for (name,) in stock.execute(_SKUS_WITH_PARTS, [skus])]
    shown = {"accounts": keys[0], "items": keys[1], "skus": skus, "ordered": [*skus, *ordered], "limit": limit}
    with_those_of_items = sorted({*skus, *(sku for (sku,) in stock.execute(_SKUS_OF_ITEMS, shown))})
    return Explanation(
        levels=sku_levels(stock, skus=with_those_of_items),
        holders=holders(stock, with_those_of_items, limit),
        pending=stock.rows_as(PendingItem, _PENDING, shown),
        items=stock.rows_as(OrderedItem, _ITEMS, shown),
        stock_skus=stock.rows_as(StockSku, _STOCK_SKUS, shown),
        transitions=_oldest_first(stock.rows_as(StoredTransition, HISTORY + _OF_SUBJECT, shown)),
        movements=_oldest_first(stock.rows_as(StoredMovement, _MOVEMENTS, shown)),
        decisions=_oldest_first(stock.rows_as(StoredDecision, _DECISIONS, shown)),
        returns=_oldest_first(stock.rows_as(StoredReturn, _RETURNS, shown)),
        received=receipts_of(stock, skus, items, limit),
        acts=_oldest_first(stock.rows_as(ManualAct, _ACTS, shown)),
    )


Row = TypeVar("Row")


def _oldest_first(rows: Sequence[Row]) -> list[Row]:
    return list(reversed(rows))


_ITEMS_OF = """
SELECT account, item_id FROM order_items
WHERE item_id = %(subject)s OR order_id = %(subject)s
   OR (account = %(account)s AND (item_id = %(id)s OR order_id = %(id)s))
UNION
SELECT account, item_id FROM stock_locks WHERE item_id = %(subject)s OR (account = %(account)s AND item_id = %(id)s)
"""
_PARTS_OF_SKU = "SELECT DISTINCT stock_sku FROM stock_skus WHERE sku = %s ORDER BY stock_sku"
_SKUS_WITH_PARTS = "SELECT DISTINCT sku FROM stock_skus WHERE stock_sku = ANY(%s) ORDER BY sku"
_ITEM: LiteralString = "(SELECT *, {sku_form} AS form FROM order_items) item"
_NAMED: LiteralString = "(account, item_id) IN (SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))"
"""Whether an item is one that the subject names."""
_PARTS_OF_ITEM: LiteralString = """(
  SELECT alias.stock_sku FROM stock_skus alias WHERE alias.sku = item.form AND (alias.account = item.account
    OR alias.account = '' AND NOT EXISTS (
      SELECT FROM stock_skus own WHERE own.account = item.account AND own.sku = item.form))
  UNION ALL
  SELECT item.form WHERE NOT EXISTS (
    SELECT FROM stock_skus alias WHERE alias.sku = item.form AND alias.account IN (item.account, '')))"""
"""What `item` takes of the stock list, as orders_sync.stock.needs.parts_of says."""
_OF_SKU: LiteralString = """(item.form = ANY(%(ordered)s)
  AND EXISTS (SELECT FROM {parts_of_item} part WHERE part.stock_sku = ANY(%(skus)s))
  OR EXISTS (SELECT FROM stock_locks lock WHERE lock.account = item.account AND lock.item_id = item.item_id
    AND lock.sku = ANY(%(skus)s)))"""
"""Whether `item` takes one of the SKUs, or has a lock of one, e.g. from before its alias changed."""


def _sql(statement: LiteralString) -> LiteralString:
    """A statement with the parts above for `{item}`, `{named}`, `{of_sku}` and `{parts_of_item}`.

    And with those of `store` for `{in_force}` and `{holding}`.
    """
    with_parts = statement.replace("{of_sku}", _OF_SKU).replace("{parts_of_item}", _PARTS_OF_ITEM)
    return (
        with_parts.replace("{named}", _NAMED)
        .replace("{item}", _ITEM)
        .replace("{in_force}", IN_FORCE)
        .replace("{holding}", HOLDING_DECISIONS)
    )


_SKUS_OF_ITEMS = _sql("""
SELECT sku FROM stock_locks WHERE {named}
UNION
SELECT part.stock_sku FROM {item} CROSS JOIN LATERAL {parts_of_item} part WHERE {named}
""")
_ITEMS = _sql("""
SELECT account, order_id, item_id, sku, status, quantity, cancelled, shipped FROM order_items WHERE {named}
ORDER BY account, order_id, item_id
""")
_STOCK_SKUS = _sql("""
SELECT account, sku, stock_sku, pieces FROM stock_skus
WHERE sku = ANY(%(skus)s) OR stock_sku = ANY(%(skus)s) OR sku IN (SELECT form FROM {item} WHERE {named})
ORDER BY sku, account, stock_sku LIMIT %(limit)s
""")
_PENDING = _sql("""
SELECT account, order_id, item_id, sku, status, min(recorded_at) AS waits_since
FROM (
  SELECT item.*, event.recorded_at FROM order_events event JOIN {item} USING (account, order_id)
  WHERE event.applied_at IS NULL
  UNION ALL
  SELECT item.*, recheck.recorded_at FROM stock_rechecks recheck JOIN {item} USING (account, item_id)
) item
WHERE {of_sku} OR {named}
GROUP BY 1, 2, 3, 4, 5 ORDER BY waits_since, account, item_id LIMIT %(limit)s
""")
_OF_SUBJECT = """
WHERE entry.sku = ANY(%(skus)s) OR (entry.account, entry.item_id) IN (
  SELECT * FROM unnest(%(accounts)s::text[], %(items)s::text[]))
ORDER BY entry.entry_id DESC LIMIT %(limit)s
"""
_MOVEMENTS = _sql("""
SELECT at, sku, kind, pieces, on_hand, account, item_id, reason, made_by FROM stock_movements
WHERE sku = ANY(%(skus)s) OR {named} ORDER BY movement_id DESC LIMIT %(limit)s
""")
_DECISIONS = _sql("""
SELECT decided.made_at, account, item_id, decided.decision, decided.reason, decided.made_by,
  coalesce({in_force} AND decided.decision IN {holding} AND NOT EXISTS (
    SELECT FROM stock_decisions newer WHERE newer.account = decided.account AND newer.item_id = decided.item_id
      AND newer.decision IN {holding} AND newer.decision_id > decided.decision_id), false) AS in_force
FROM stock_decisions decided LEFT JOIN {item} USING (account, item_id)
WHERE {of_sku} OR {named} ORDER BY decided.decision_id DESC LIMIT %(limit)s
""")
_RETURNS = _sql("""
SELECT back.at, account, back.care_id, coalesce(care.state, '') AS care_state, item_id, back.pieces, back.booked,
  back.handled_at, back.note
FROM stock_returns back LEFT JOIN care_records care USING (account, care_id) LEFT JOIN {item} USING (account, item_id)
WHERE {of_sku} OR {named} ORDER BY back.at DESC, back.care_id DESC LIMIT %(limit)s
""")
_ACTS = _sql(
    """
SELECT {columns} FROM (SELECT *, {sku_form} AS form FROM manual_acts) act
WHERE form = ANY(%(ordered)s) OR {named} OR item_id IS NULL AND (account, order_id) IN (
  SELECT account, order_id FROM order_items WHERE {named})
ORDER BY act_id DESC LIMIT %(limit)s
""".replace("{columns}", COLUMNS)
)
