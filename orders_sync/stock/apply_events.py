"""Applying order events to stock locks: each event once, each item one lock, whatever the concurrency.

A worker claims the earliest pending events of some orders (`FOR UPDATE SKIP LOCKED`), applies them and sets their
`applied_at` in one transaction. Of one order only its earliest pending revision can be claimed, so changes are applied
in the order in which they were stored.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import psycopg

from orders_sync.model.statuses import Status
from orders_sync.stock.actions import lock_action_of
from orders_sync.stock.apply_commands import StockResult, apply_commands
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import LockCommand
from orders_sync.stock.retry import relock_changed_items, retry_short

MAX_EVENTS_PER_TRANSACTION = 500
MAX_ATTEMPTS = 5
"""An event that failed so often is not tried again; the check `every_event_could_be_applied` reports it."""


class _Event(NamedTuple):
    event_id: int
    account: str
    order_id: str
    item_id: str
    """Empty where the event is about the whole order."""
    kind: str
    revision: int
    new_status: str
    items: dict[str, str] | None
    """OrderCreated: item id → status."""


def apply_pending(
    stock: StockConnection, oversell: frozenset[str] = frozenset(), *, batch: int = MAX_EVENTS_PER_TRANSACTION
) -> StockResult:
    """Applies all pending events, then locks items anew whose quantity or SKU changed, then tries short locks again.

    `oversell`: the accounts that may lock stock below zero. `batch`: the maximum of events per transaction.
    """
    total = StockResult()
    while (applied := _apply_batch(stock, oversell, batch)) is not None:
        total += applied
    return total + relock_changed_items(stock, oversell) + retry_short(stock, oversell)


def pending_events(stock: StockConnection) -> int:
    """How many events the stock job has to apply."""
    row = stock.execute(
        "SELECT count(*) FROM {events} WHERE applied_at IS NULL AND attempts < %s", [MAX_ATTEMPTS]
    ).fetchone()
    return int(row[0]) if row else 0


def _apply_batch(stock: StockConnection, oversell: frozenset[str], size: int) -> StockResult | None:
    """Claims and applies up to `size` events; None where no event could be claimed.

    When a batch fails, its events are tried one by one, so that a bad one does not stop the others. After a deadlock
    the events stay pending.
    """
    claimed: list[int] = []
    try:
        with stock.transaction():
            events = [_Event(*row) for row in stock.execute(_CLAIM, [MAX_ATTEMPTS, size])]
            claimed = [event.event_id for event in events]
            applied = apply_commands(stock, list(_commands(stock, events)), oversell)
            stock.execute(_APPLIED, [claimed])
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
        return StockResult()
    except (psycopg.Error, ValueError, KeyError) as error:
        if isinstance(error, psycopg.OperationalError) or not claimed:
            raise
        if size > 1:
            return _apply_one_by_one(stock, oversell, len(claimed))
        stock.execute(_FAILED, [type(error).__name__, claimed])
        return StockResult(failed=1)
    return StockResult(events=len(claimed)) + applied if claimed else None


def _apply_one_by_one(stock: StockConnection, oversell: frozenset[str], count: int) -> StockResult:
    total = StockResult()
    for _ in range(count):
        total += _apply_batch(stock, oversell, 1) or StockResult()
    return total


def _commands(stock: StockConnection, events: list[_Event]) -> Iterator[LockCommand]:
    """The commands of the events: of an item's event for its item, of an order's for its items without a status."""
    unknown_items = _unknown_items(stock, [event for event in events if event.items is None and not event.item_id])
    for event in events:
        statuses: Iterable[tuple[str, str, str | None]]
        if event.items is not None:
            statuses = [(item_id, status, event.new_status) for item_id, status in event.items.items()]
        elif event.item_id:
            statuses = [(event.item_id, event.new_status, None)]
        else:
            unknown = unknown_items.get((event.account, event.order_id), [])
            statuses = [(item_id, Status.UNKNOWN, event.new_status) for item_id in unknown]
        for item_id, status, order_status in statuses:
            action = lock_action_of(status, order_status)
            cause = f"{event.kind} {status if event.items is not None else event.new_status}"
            yield LockCommand(event.account, item_id, event.order_id, action, event.revision, event.event_id, cause)


def _unknown_items(stock: StockConnection, events: list[_Event]) -> dict[tuple[str, str], list[str]]:
    """(account, order id) → the ids of its items whose status is unknown."""
    found: dict[tuple[str, str], list[str]] = {}
    if events:
        orders = sorted({(event.account, event.order_id) for event in events})
        rows = stock.execute(_UNKNOWN_ITEMS, [[account for account, _ in orders], [order for _, order in orders]])
        for account, order_id, item_id in rows:
            found.setdefault((account, order_id), []).append(item_id)
    return found


_CLAIM = """
SELECT event_id, account, order_id, item_id, kind, revision, new_status, items
FROM {events} event
WHERE applied_at IS NULL AND attempts < %s
  AND NOT EXISTS (
    SELECT FROM {events} earlier
    WHERE earlier.account = event.account AND earlier.order_id = event.order_id
      AND earlier.revision < event.revision AND earlier.applied_at IS NULL)
ORDER BY event_id LIMIT %s FOR UPDATE OF event SKIP LOCKED
"""
_APPLIED = """
UPDATE {events} SET applied_at = now(), attempts = attempts + 1, problem = NULL WHERE event_id = ANY(%s)
"""
_FAILED = "UPDATE {events} SET attempts = attempts + 1, problem = %s WHERE event_id = ANY(%s)"
_UNKNOWN_ITEMS = """
SELECT account, order_id, item_id FROM order_items
JOIN unnest(%s::text[], %s::text[]) AS requested (account, order_id) USING (account, order_id)
WHERE status = 'unknown'
"""
