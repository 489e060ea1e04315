"""What the command line and Dagster show of stock: levels, the transitions of locks, and what is wrong with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection

HISTORY = """
SELECT entry.at, entry.account, coalesce(lock.order_id, '') AS order_id, entry.item_id, entry.sku, entry.quantity,
       entry.locked, entry.short, entry.held, entry.consumed, entry.from_state, entry.to_state, entry.cause,
       entry.event_id
FROM stock_lock_history entry LEFT JOIN stock_locks lock USING (account, item_id, sku)
"""
"""The start of a query whose rows are StoredTransition."""


class SkuLevel(NamedTuple):
    """The level of a SKU. `on_hand` is None where the SKU is not in the stock list."""

    sku: str
    on_hand: int | None
    reserved: int
    short: int
    """Pieces that locks wait for."""
    held: int
    """Reserved pieces of cancelled items that may have left."""
    quarantine: int
    """Pieces that came back and are not put away yet; they are not on hand."""
    counted_at: datetime | None

    def available(self) -> int:
        """Pieces on hand that no lock has reserved."""
        return (self.on_hand or 0) - self.reserved


class StoredTransition(NamedTuple):
    """A stored transition of a lock. `event_id` is None where an import or the cutover caused it, not an event."""

    at: datetime
    account: str
    order_id: str
    item_id: str
    sku: str
    quantity: int
    locked: int | None
    short: int | None
    held: int
    consumed: int | None
    from_state: str | None
    to_state: str
    cause: str
    event_id: int | None


class StockPosition(NamedTuple):
    """How far the stock job is with the order events."""

    waiting: int
    """Events that are not applied."""
    waiting_since: datetime | None
    """When the oldest of them was stored, by our clock; None: none waits."""
    failing: int
    """Those of them whose last attempt failed."""
    given_up: int
    """Those of them that are tried no more."""


class Shortage(NamedTuple):
    """An item that waits for pieces, with the reason."""

    account: str
    order_id: str
    item_id: str
    sku: str
    short: int
    locked: int
    problem: str | None
    since: datetime


class Holder(NamedTuple):
    """An active lock: who has or waits for pieces of a SKU, since when, and why."""

    sku: str
    account: str
    order_id: str
    item_id: str
    ordered_sku: str
    """The marketplace's SKU; '' where the item is not stored."""
    locked: int
    short: int
    held: int
    since: datetime
    ordered_at: datetime | None
    why: str
    """The cause of the lock's last change."""


class OnHandMismatch(NamedTuple):
    """A SKU whose pieces on hand are not the sum of its movements."""

    sku: str
    on_hand: int
    moved: int


class ReservedMismatch(NamedTuple):
    """A SKU whose reserved pieces are not those of its active locks."""

    sku: str
    reserved: int
    locked_and_held: int


class FailedEvent(NamedTuple):
    """An event that could not be applied yet. Later events of its order do not wait for it."""

    event_id: int
    account: str
    order_id: str
    kind: str
    problem: str | None
    attempts: int
    is_given_up: bool
    """Whether it is not tried again until a person says so, or a later event of its order is applied."""
    behind: int | None
    """The first failed event of its order, if that is another one: both may have the same cause."""
    later_applied: int
    """How many later events of its order were applied."""


QUARANTINE: LiteralString = """(
  SELECT coalesce(sum(received.pieces - coalesce(away.pieces, 0)), 0)::bigint FROM stock_received received
  LEFT JOIN (SELECT received_id, sum(pieces) AS pieces FROM stock_put_away GROUP BY received_id) away
    USING (received_id)
  WHERE received.sku = level.sku)"""
"""The pieces in quarantine of the SKU of `level`."""


def sku_levels(
    stock: StockConnection, *, skus: Sequence[str] | None = None, only_short: bool = False
) -> list[SkuLevel]:
    """The levels of these SKUs, or of all, by SKU. `only_short`: only of SKUs that have short locks."""
    parameters = {"skus": None if skus is None else list(skus), "only_short": only_short}
    return stock.rows_as(SkuLevel, _LEVELS, parameters)


def holders(stock: StockConnection, skus: Sequence[str], limit: int | None = None) -> list[Holder]:
    """The active locks of these SKUs, by SKU, the oldest order first."""
    return stock.rows_as(
        Holder,
        """
        SELECT lock.sku, lock.account, lock.order_id, lock.item_id, coalesce(item.sku, '') AS ordered_sku, lock.locked,
          lock.short, lock.held, lock.since, lock.ordered_at, coalesce(entry.cause, '') AS why
        FROM stock_locks lock LEFT JOIN order_items item USING (account, item_id) LEFT JOIN LATERAL (
          SELECT cause FROM stock_lock_history entry
          WHERE entry.account = lock.account AND entry.item_id = lock.item_id AND entry.sku = lock.sku
          ORDER BY entry_id DESC LIMIT 1) entry ON true
        WHERE {active} AND lock.sku = ANY(%s)
        ORDER BY lock.sku, lock.ordered_at, lock.account, lock.item_id LIMIT %s
        """,
        [list(skus), limit],
    )


def has_stock_list(stock: StockConnection) -> bool:
    """Whether a stock list was ever imported. A return, or an adjustment of one SKU, makes no stock list."""
    return stock.execute("SELECT EXISTS (SELECT FROM stock_levels WHERE imported_at IS NOT NULL)").fetchone() == (True,)


def locks_by_state(stock: StockConnection) -> dict[str, int]:
    """How many locks are in each state."""
    return dict(stock.execute("SELECT state, count(*) FROM stock_locks GROUP BY state ORDER BY state").fetchall())


def stock_position(stock: StockConnection) -> StockPosition:
    """How far the stock job is with the order events."""
    (position,) = stock.rows_as(StockPosition, _POSITION, [MAX_ATTEMPTS])
    return position


_POSITION: LiteralString = """
SELECT count(*) AS waiting, min(recorded_at) AS waiting_since, count(problem) AS failing,
  count(*) FILTER (WHERE attempts >= %s) AS given_up
FROM order_events WHERE applied_at IS NULL
"""


def short_locks(stock: StockConnection) -> int:
    """How many locks wait for stock."""
    ((count,),) = stock.execute("SELECT count(*) FROM stock_locks WHERE state = 'short'")
    return int(count)


def latest_history(stock: StockConnection, limit: int) -> list[StoredTransition]:
    """The last transitions of all locks, the newest first."""
    return stock.rows_as(StoredTransition, HISTORY + "ORDER BY entry.entry_id DESC LIMIT %s", [limit])


def shortages(stock: StockConnection, limit: int | None = None) -> list[Shortage]:
    """The items whose stock can't be locked, the oldest first. `limit`: how many at most; None: all."""
    return stock.rows_as(
        Shortage,
        """
        SELECT lock.account, lock.order_id, lock.item_id, lock.sku, lock.short, lock.locked, lock.problem,
          lock.since
        FROM stock_locks lock WHERE lock.state = 'short' ORDER BY lock.ordered_at, lock.account, lock.item_id LIMIT %s
        """,
        [limit],
    )


def reserved_mismatches(stock: StockConnection) -> list[ReservedMismatch]:
    """The SKUs whose reserved pieces are not those that locks hold. Empty unless stock has an error."""
    return stock.rows_as(
        ReservedMismatch,
        """
        SELECT level.sku, level.reserved, coalesce(active.pieces, 0) AS locked_and_held
        FROM stock_levels level LEFT JOIN (
          SELECT sku, sum(locked + held) AS pieces FROM stock_locks WHERE {active} GROUP BY sku
        ) active USING (sku)
        WHERE level.reserved <> coalesce(active.pieces, 0)
        """,
    )


def on_hand_mismatches(stock: StockConnection) -> list[OnHandMismatch]:
    """The SKUs whose pieces on hand are not the sum of their movements. Empty unless stock has an error."""
    return stock.rows_as(
        OnHandMismatch,
        """
        SELECT level.sku, coalesce(level.on_hand, 0) AS on_hand, coalesce(moved.pieces, 0) AS moved
        FROM stock_levels level
        LEFT JOIN (SELECT sku, sum(on_hand_change) AS pieces FROM stock_movements GROUP BY sku) moved USING (sku)
        WHERE coalesce(level.on_hand, 0) <> coalesce(moved.pieces, 0)
        """,
    )


def failed_events(stock: StockConnection) -> list[FailedEvent]:
    """The events that could not be applied yet, the oldest first."""
    return stock.rows_as(
        FailedEvent,
        """
        SELECT event_id, account, order_id, kind, problem, attempts, NOT ({due}) AS is_given_up,
          nullif(min(event_id) OVER (PARTITION BY account, order_id), event_id) AS behind,
          (SELECT count(*) FROM order_events later WHERE later.account = failed.account
             AND later.order_id = failed.order_id AND later.event_id > failed.event_id
             AND later.applied_at IS NOT NULL) AS later_applied
        FROM order_events failed WHERE applied_at IS NULL AND attempts > 0 ORDER BY event_id
        """,
    )


_LEVELS = """
SELECT level.sku, level.on_hand, level.reserved, coalesce(sum(lock.short), 0) AS short,
  coalesce(sum(lock.held), 0) AS held, {quarantine} AS quarantine, level.counted_at
FROM stock_levels level
LEFT JOIN stock_locks lock ON lock.sku = level.sku AND {active}
WHERE %(skus)s::text[] IS NULL OR level.sku = ANY(%(skus)s::text[])
GROUP BY level.sku HAVING NOT %(only_short)s OR coalesce(sum(lock.short), 0) > 0 ORDER BY level.sku
""".replace("{quarantine}", QUARANTINE)
