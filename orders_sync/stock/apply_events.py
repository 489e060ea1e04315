"""Applying order events to stock locks: whatever the order, the repetition or the concurrency, each lock ends right.

A worker takes some pending events, brings the locks of their items to what the items need as they are stored now, and
sets `applied_at`, all in one transaction; only one changes stock at a time. An event says that a lock has to be looked
at, and is its cause in the history; what the lock becomes follows from the item alone. So an event that is applied
late, or twice, undoes nothing.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, NotedOnce
from orders_sync.database.bulk_work import rare_garbage_collection
from orders_sync.marketplaces.kit.errors import place_of
from orders_sync.model.errors import UserFacingError
from orders_sync.model.shown_ids import shown_id
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.stock.data_faults import is_data_fault
from orders_sync.stock.decision import Cause
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import StockResult, reconcile, reconcile_each
from orders_sync.stock.returns import apply_returns
from orders_sync.stock.store import collect_missing_statistics

log = logging.getLogger("orders_sync.stock")

MAX_EVENTS_PER_TRANSACTION = 2_000
RECHECKED = Cause("the item changed without its status")


class _Event(NamedTuple):
    event_id: int
    account: str
    order_id: str
    item_id: str
    """Empty where the event is about the whole order."""
    kind: str
    new_status: str
    items: dict[str, str] | None
    """OrderCreated: item id → status."""


def _event(columns: Sequence[Any]) -> _Event:
    """The columns of _PENDING_EVENTS; psycopg's own way to read JSON takes several times as long."""
    *rest, items = columns
    return _Event._make([*rest, None if items is None else msgspec.json.decode(items)])


def apply_pending(
    stock: StockConnection,
    oversell: frozenset[str] = frozenset(),
    *,
    batch: int = MAX_EVENTS_PER_TRANSACTION,
    by: By | None = None,
) -> StockResult:
    """Applies all pending events, looks at the items that changed without one, and books the returns that are due.

    `oversell`: the accounts that may lock stock below zero. `batch`: the maximum of events per transaction. `by`: the
    person who does, whose act it is if something was pending; None: the stock job does.
    """
    note = NotedOnce(stock.connection, by, Act.APPLY_EVENTS)
    with rare_garbage_collection():
        applied = _apply_all(stock, oversell, batch, note) + _apply_rechecks(stock, oversell, batch, note)
        return applied + apply_returns(stock, oversell, batch, note)


def _apply_all(stock: StockConnection, oversell: frozenset[str], batch: int, note: NotedOnce) -> StockResult:
    total = StockResult()
    last_event_id = 0
    max_attempts = MAX_ATTEMPTS
    while True:
        applied = _apply_batch(stock, oversell, batch, last_event_id, max_attempts, note)
        if applied.last_event_id is not None:
            if not last_event_id and applied.result.events == MAX_EVENTS_PER_TRANSACTION:
                collect_missing_statistics(stock)
            total += applied.result
            last_event_id = applied.last_event_id
        elif last_event_id:
            last_event_id = 0  # events are not committed in the order of their ids: look at the first ones again
            max_attempts = 1  # but not at those that have just failed: the next call does
        else:
            return total


def lock_orders(
    stock: StockConnection, account: str, order_ids: Sequence[str], oversell: frozenset[str] = frozenset()
) -> StockResult:
    """Brings the locks of some orders to what their items need now, and applies their pending events."""
    total = StockResult()
    for start in range(0, len(order_ids), MAX_EVENTS_PER_TRANSACTION):
        some = list(order_ids[start : start + MAX_EVENTS_PER_TRANSACTION])
        with stock.changing():
            events = list(map(_event, stock.execute(_PENDING_EVENTS_OF_ORDERS, [account, some])))
            items = stock.execute(_ITEMS_OF_ORDERS, [account, some])
            causes: dict[ItemKey, Cause] = {(account, item_id): Cause("before the acceptance") for (item_id,) in items}
            result, failed = reconcile_each(stock, causes | _causes(stock, events), oversell)
            total += result
            if not failed:  # otherwise the stock job finds out which event fails
                _note_applied(stock, [event.event_id for event in events])
                total += StockResult(events=len(events))
    return total


def has_news(stock: StockConnection, account: str, order_id: str) -> bool:
    """Whether an event of the order, or a change of its items without one, waits to be looked at."""
    parameters = {"account": account, "order": order_id}
    return stock.execute(_HAS_NEWS, parameters).fetchone() == (True,)


def pending_events(stock: StockConnection) -> int:
    """How many events, rechecks and returns the stock job has to deal with."""
    row = stock.execute(_PENDING).fetchone()
    return int(row[0]) if row else 0


def _apply_rechecks(stock: StockConnection, oversell: frozenset[str], size: int, note: NotedOnce) -> StockResult:
    """Looks at the locks of the items that changed without an event.

    One that fails would always fail: it is not looked at again, and the check of wrong locks lists it.
    """
    total = StockResult()
    while True:
        with stock.changing():
            rows = stock.execute(_TAKE_RECHECKS, [size]).fetchall()
            if not rows:
                return total
            causes: dict[ItemKey, Cause] = dict.fromkeys(rows, RECHECKED)
            total += reconcile_each(stock, causes, oversell)[0]
            note()


class _Applied(NamedTuple):
    result: StockResult
    last_event_id: int | None
    """The last event that was taken; None where none is pending."""


_NOTHING = _Applied(StockResult(), None)


def _apply_batch(
    stock: StockConnection, oversell: frozenset[str], size: int, after: int, max_attempts: int, note: NotedOnce
) -> _Applied:
    """Applies up to `size` pending events whose ids are greater than `after`, and that failed less than `max_attempts`.

    When a batch fails, it is tried in parts, down to single events, so that a bad one does not stop the others.
    """
    taken: list[int] = []
    try:
        with stock.changing():
            limits = {"after": after, "max_attempts": max_attempts, "size": size}
            events = list(map(_event, stock.execute(_PENDING_EVENTS, limits).fetchall()))
            if not events:
                return _NOTHING
            taken = [event.event_id for event in events]
            result = reconcile(stock, _causes(stock, events), oversell)
            _note_applied(stock, taken)
            note()
    except Exception as error:
        if not taken or not is_data_fault(error):
            raise
        if size > 1:
            return _apply_in_parts(stock, oversell, len(taken), after, max_attempts, note)
        with stock.transaction():
            failed = stock.execute(_FAILED, [_problem_of(error), taken]).fetchall()
            note()
        _report_given_up(failed)
        return _Applied(StockResult(failed=1), taken[-1])
    return _Applied(StockResult(events=len(taken)) + result, taken[-1])


def _problem_of(error: Exception) -> str:
    """What is stored about a failed attempt: no values of a row, which other errors than our own may quote."""
    if isinstance(error, UserFacingError):
        return str(error)
    return type(error).__name__ + ("" if isinstance(error, psycopg.Error) else place_of(error))


def _report_given_up(failed: Sequence[Sequence[Any]]) -> None:
    """Logs the events that are not tried again, so that a person gets to know of them. `failed`: rows of _FAILED."""
    for event_id, account, order_id, attempts, problem in failed:
        if attempts >= MAX_ATTEMPTS:
            log.error(
                "%s: event %s of order %s is given up after %s attempts: %s. Mend the cause, then `orders-sync stock "
                "retry-event %s`, or `skip-event`.", account, event_id, shown_id(order_id), attempts, problem, event_id,
            )  # fmt: skip


def _note_applied(stock: StockConnection, event_ids: Sequence[int]) -> None:
    """Stores that these events are applied. Events of their orders that had failed too often are tried once more.

    The order is another one by now: what could not be stored before may be right, or not needed any more.
    """
    stock.execute(_APPLIED, [list(event_ids)])
    stock.execute(_TRY_ONCE_MORE, {"attempts": MAX_ATTEMPTS, "applied": list(event_ids)})


def _apply_in_parts(
    stock: StockConnection, oversell: frozenset[str], count: int, after: int, max_attempts: int, note: NotedOnce
) -> _Applied:
    """Applies the `count` events of a batch that failed, a tenth at a time."""
    total = _Applied(StockResult(), after)
    size = max(1, count // 10)
    while count > 0:
        applied = _apply_batch(stock, oversell, min(size, count), total.last_event_id or 0, max_attempts, note)
        if applied.last_event_id is None:
            break
        count -= applied.result.events + applied.result.failed
        total = _Applied(total.result + applied.result, applied.last_event_id)
    return total


def _causes(stock: StockConnection, events: list[_Event]) -> dict[ItemKey, Cause]:
    """The items that events are about, each with the event that changed it last."""
    causes: dict[ItemKey, Cause] = {}
    items_of_orders = _items_without_status(stock, [event for event in events if event.items is None])
    for event in events:
        statuses: Iterable[tuple[str, str]]
        if event.items is not None:
            statuses = event.items.items()
        elif event.item_id:
            statuses = [(event.item_id, event.new_status)]
        else:
            found = items_of_orders.get((event.account, event.order_id), [])
            statuses = [(item_id, event.new_status) for item_id in found]
        for item_id, status in statuses:
            causes[event.account, item_id] = Cause(f"{event.kind} {status}", event.event_id)
    return causes


def _items_without_status(stock: StockConnection, events: list[_Event]) -> dict[tuple[str, str], list[str]]:
    """(account, order id) → the ids of its items whose status is unknown: for them, the order's own counts."""
    orders = sorted({(event.account, event.order_id) for event in events if not event.item_id})
    found: dict[tuple[str, str], list[str]] = {}
    if orders:
        rows = stock.execute(_UNKNOWN_ITEMS, [[account for account, _ in orders], [order for _, order in orders]])
        for account, order_id, item_id in rows:
            found.setdefault((account, order_id), []).append(item_id)
    return found


_PENDING_EVENTS = """
SELECT event_id, account, order_id, item_id, kind, new_status, items::text
FROM order_events WHERE {due} AND event_id > %(after)s AND attempts < %(max_attempts)s
ORDER BY event_id LIMIT %(size)s
"""
_PENDING_EVENTS_OF_ORDERS = """
SELECT event_id, account, order_id, item_id, kind, new_status, items::text
FROM order_events WHERE account = %s AND order_id = ANY(%s) AND {due}
ORDER BY event_id
"""
_HAS_NEWS = """
SELECT EXISTS (
    SELECT FROM order_events WHERE account = %(account)s AND order_id = %(order)s AND {due})
  OR EXISTS (
    SELECT FROM stock_rechecks JOIN order_items item USING (account, item_id)
    WHERE item.account = %(account)s AND item.order_id = %(order)s)
"""
_PENDING = """
SELECT (SELECT count(*) FROM order_events WHERE {due})
  + (SELECT count(*) FROM stock_rechecks) + (SELECT count(*) FROM stock_returns WHERE handled_at IS NULL)
"""
_TAKE_RECHECKS = """
DELETE FROM stock_rechecks WHERE recheck_id IN (
  SELECT recheck_id FROM stock_rechecks ORDER BY recheck_id LIMIT %s)
RETURNING account, item_id
"""
_ITEMS_OF_ORDERS = "SELECT item_id FROM order_items WHERE account = %s AND order_id = ANY(%s)"
_APPLIED = """
UPDATE order_events SET applied_at = now(), attempts = attempts + 1, problem = NULL WHERE event_id = ANY(%s::bigint[])
"""
_TRY_ONCE_MORE = """
UPDATE order_events failed SET attempts = %(attempts)s - 1
FROM order_events applied
WHERE applied.event_id = ANY(%(applied)s::bigint[])
  AND (failed.account, failed.order_id) = (applied.account, applied.order_id)
  AND failed.applied_at IS NULL AND failed.attempts >= %(attempts)s
"""
_FAILED = """
UPDATE order_events SET attempts = attempts + 1, problem = %s WHERE event_id = ANY(%s) AND applied_at IS NULL
RETURNING event_id, account, order_id, attempts, problem
"""
_UNKNOWN_ITEMS = """
SELECT account, order_id, item_id FROM order_items
JOIN unnest(%s::text[], %s::text[]) AS requested (account, order_id) USING (account, order_id)
WHERE status = 'unknown'
"""
