"""Deletes old rows of tables that only grow: the history of passes and ticks, error answers, and applied events.

Orders, items, stock and its history, acts by hand and changes of orders are never deleted.
"""

from datetime import timedelta
from typing import LiteralString, NamedTuple

from orders_sync.database.engine import Connection

MAX_ROWS_PER_TRANSACTION = 5_000
TICKS_KEPT = timedelta(days=30)
"""How long ticks of the schedules are kept: a daemon that was down catches up on the latest one only."""


class Pruned(NamedTuple):
    """How many rows were deleted."""

    lane_runs: int
    schedule_ticks: int
    order_events: int
    event_deliveries: int
    error_answers: int
    troubles: int


def prune_rows(connection: Connection, *, runs: timedelta, events: timedelta) -> Pruned:
    """Deletes what is older. `runs`: how long passes, error answers and troubles are kept, `events`: order events.

    The last pass of each lane stays, and so do all events of an order whose newest one is not old, or whose events are
    not all applied. Of the others, that of its creation and the latest of the order and of each item stay: decisions by
    hand and checks look at them. Each transaction is short: no pass waits for it.
    """
    return Pruned(
        _delete(connection, _LANE_RUNS, runs),
        _delete(connection, _TICKS, TICKS_KEPT),
        _delete_events(connection, events),
        _delete(connection, _DELIVERIES, events),
        _delete(connection, _ERROR_ANSWERS, runs),
        _delete(connection, _TROUBLES, runs),
    )


def _delete(connection: Connection, query: LiteralString, older_than: timedelta) -> int:
    total = 0
    while True:
        deleted = connection.execute(query, {"age": older_than, "rows": MAX_ROWS_PER_TRANSACTION}).rowcount
        total += deleted
        if deleted == 0:
            return total


def _delete_events(connection: Connection, older_than: timedelta) -> int:
    """Finds the orders once, since that reads all events, and then deletes their events in short transactions."""
    values = {"age": older_than, "rows": MAX_ROWS_PER_TRANSACTION}
    connection.execute(_FIND_ORDERS, values)
    total = 0
    try:
        while connection.execute("SELECT FROM prunable_orders LIMIT 1").rowcount:
            total += connection.execute(_EVENTS, values).rowcount
    finally:
        connection.execute("DROP TABLE prunable_orders")
    return total


_LANE_RUNS: LiteralString = """
DELETE FROM lane_runs WHERE lane_run_id IN (
  SELECT lane_run_id FROM lane_runs run
  WHERE started_at < now() - %(age)s AND outcome <> 'running' AND EXISTS (
    SELECT FROM lane_runs later
    WHERE later.account = run.account AND later.sync_type = run.sync_type AND later.started_at > run.started_at)
  LIMIT %(rows)s)
"""
_TICKS: LiteralString = """
DELETE FROM schedule_ticks WHERE (account, sync_type, tick_at) IN (
  SELECT account, sync_type, tick_at FROM schedule_ticks WHERE taken_at < now() - %(age)s LIMIT %(rows)s)
"""
_DELIVERIES: LiteralString = """
DELETE FROM event_deliveries WHERE (subscription, event_id) IN (
  SELECT delivery.subscription, delivery.event_id
  FROM event_deliveries delivery LEFT JOIN subscriptions known USING (subscription)
  WHERE delivery.ended_at < now() - %(age)s OR known.subscription IS NULL LIMIT %(rows)s)
"""
_ERROR_ANSWERS: LiteralString = """
DELETE FROM error_answers WHERE error_answer_id IN (
  SELECT error_answer_id FROM error_answers WHERE answered_at < now() - %(age)s LIMIT %(rows)s)
"""
_TROUBLES: LiteralString = """
DELETE FROM troubles WHERE trouble_id IN (
  SELECT trouble_id FROM troubles WHERE ended_at < now() - %(age)s LIMIT %(rows)s)
"""
_FIND_ORDERS: LiteralString = """
CREATE TEMPORARY TABLE prunable_orders AS
SELECT account, order_id FROM order_events GROUP BY account, order_id
HAVING max(recorded_at) < now() - %(age)s AND bool_and(applied_at IS NOT NULL) AND NOT EXISTS (
  SELECT FROM subscriptions known JOIN event_deliveries waiting USING (subscription)
  WHERE (waiting.account, waiting.order_id) = (order_events.account, order_events.order_id) AND ended_at IS NULL)
"""
# An order may have got a new event meanwhile: that one stays.
_EVENTS: LiteralString = """
WITH chosen AS (
  DELETE FROM prunable_orders WHERE ctid IN (SELECT ctid FROM prunable_orders LIMIT %(rows)s / 5)
  RETURNING account, order_id)
DELETE FROM order_events event USING chosen
WHERE event.account = chosen.account AND event.order_id = chosen.order_id
  AND event.recorded_at < now() - %(age)s AND event.applied_at IS NOT NULL AND event.kind <> 'OrderCreated'
  AND (event.details IS NOT NULL OR EXISTS (SELECT FROM order_events later
    WHERE (later.account, later.order_id, later.item_id) = (event.account, event.order_id, event.item_id)
      AND later.kind = event.kind AND later.revision > event.revision))
"""
