"""What the command line and Dagster show of stock: levels, the transitions of locks, and what is wrong with them."""

from datetime import datetime
from typing import NamedTuple

from orders_sync.stock.connection import StockConnection

HISTORY = """
SELECT entry.at, entry.account, coalesce(lock.order_id, '') AS order_id, entry.item_id, entry.sku, entry.quantity,
       entry.from_state, entry.to_state, entry.cause, entry.event_id
FROM {history} entry LEFT JOIN {locks} lock USING (account, item_id)
"""
"""The start of a query whose rows are StoredTransition."""


class SkuLevel(NamedTuple):
    """The level of a SKU. `on_hand` is None where the SKU is not in the stock list; `short` counts its short locks."""

    sku: str
    on_hand: int | None
    reserved: int
    short: int

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
    from_state: str | None
    to_state: str
    cause: str
    event_id: int | None


class Shortage(NamedTuple):
    """An item whose stock can't be locked, with the reason."""

    account: str
    order_id: str
    item_id: str
    sku: str
    quantity: int
    problem: str | None
    since: str


class ReservedMismatch(NamedTuple):
    """A SKU whose reserved pieces are not those of its active locks."""

    sku: str
    reserved: int
    locked: int


class FailedEvent(NamedTuple):
    """An event that could not be applied yet."""

    event_id: int
    account: str
    order_id: str
    kind: str
    problem: str | None
    attempts: int


def sku_levels(stock: StockConnection, *, only_short: bool = False) -> list[SkuLevel]:
    """The levels of all SKUs, by SKU. `only_short`: only of SKUs that have short locks."""
    return stock.rows_as(
        SkuLevel,
        """
        SELECT level.sku, level.on_hand, level.reserved, count(lock.item_id) AS short
        FROM {levels} level LEFT JOIN {locks} lock ON lock.sku = level.sku AND lock.state = 'short'
        GROUP BY level.sku HAVING NOT %s OR count(lock.item_id) > 0 ORDER BY level.sku
        """,
        [only_short],
    )


def locks_by_state(stock: StockConnection) -> dict[str, int]:
    """How many locks are in each state."""
    return dict(stock.execute("SELECT state, count(*) FROM {locks} GROUP BY state ORDER BY state").fetchall())


def latest_history(stock: StockConnection, limit: int) -> list[StoredTransition]:
    """The last transitions of all locks, the newest first."""
    return stock.rows_as(StoredTransition, HISTORY + "ORDER BY entry.entry_id DESC LIMIT %s", [limit])


def shortages(stock: StockConnection) -> list[Shortage]:
    """The items whose stock can't be locked, the oldest first."""
    return stock.rows_as(
        Shortage,
        """
        SELECT lock.account, lock.order_id, lock.item_id, lock.sku, lock.quantity, lock.problem, lock.since::text
        FROM {locks} lock WHERE lock.state = 'short' ORDER BY lock.since
        """,
    )


def reserved_mismatches(stock: StockConnection) -> list[ReservedMismatch]:
    """The SKUs whose reserved pieces are not those of their active locks. Empty unless stock has an error."""
    return stock.rows_as(
        ReservedMismatch,
        """
        SELECT level.sku, level.reserved, coalesce(sum(lock.quantity), 0) AS locked
        FROM {levels} level LEFT JOIN {locks} lock ON lock.sku = level.sku AND lock.state = 'locked'
        GROUP BY level.sku, level.reserved HAVING level.reserved <> coalesce(sum(lock.quantity), 0)
        """,
    )


def failed_events(stock: StockConnection) -> list[FailedEvent]:
    """The events that could not be applied yet."""
    return stock.rows_as(
        FailedEvent,
        "SELECT event_id, account, order_id, kind, problem, attempts FROM {events} "
        "WHERE applied_at IS NULL AND attempts > 0",
    )
