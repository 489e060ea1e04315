"""Figures for Prometheus: how far the syncs, stock and subscriptions are, and what waits for a person.

All are read from the orders database at each request, so that each process, and each restart, says the same. What a
counter would count is a gauge of the last 24 hours: the rows behind are deleted one day.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import short_locks, stock_position
from orders_sync.subscriptions.deliveries import positions

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus's text format."""
_PREFIX = "orders_sync_"
_LANE = ("account", "sync_type")


class _Figures(Collector):
    """All figures; each query is made once."""

    def __init__(self, stock: StockConnection) -> None:
        self._stock = stock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        connection, now = self._stock.connection, datetime.now(UTC)
        yield from _of_lanes(connection)
        yield from _of_passes(connection)
        yield from _of_subscriptions(self._stock, now)
        yield _family("short_locks", "Stock locks that wait for pieces.", (), [((), short_locks(self._stock))])
        for name, text, labels, query in _COUNTS:
            rows = connection.execute(query).fetchall()
            yield _family(name, text, labels, [(row[:-1], row[-1]) for row in rows])


def metrics_text(stock: StockConnection) -> bytes:
    """All figures in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(stock))
    return generate_latest(registry)


def _family(
    name: str, text: str, labels: Sequence[str], samples: Sequence[tuple[Sequence[Any], Any]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for values, number in samples:
        if number is not None:
            family.add_metric([str(value) for value in values], float(number))
    return family


def _of_lanes(connection: Connection) -> Iterator[GaugeMetricFamily]:
    rows = connection.execute(_LANES).fetchall()
    for place, (name, text) in enumerate(
        (
            ("lane_lag_seconds", "Seconds that the lane's watermark lies behind."),
            ("lane_last_success_timestamp_seconds", "When a pass of the lane last succeeded, in seconds since 1970."),
            ("lane_failed", "1 if the lane's last pass failed, else 0."),
        ),
        start=2,
    ):
        yield _family(name, text, _LANE, [(row[:2], row[place]) for row in rows])


def _of_passes(connection: Connection) -> Iterator[GaugeMetricFamily]:
    rows = connection.execute(_PASSES).fetchall()
    outcomes = ("succeeded", "partial", "failed")
    counted = [((*row[:2], outcome), row[2 + place]) for row in rows for place, outcome in enumerate(outcomes)]
    yield _family("passes_last_day", "Passes that ended in the last 24 hours.", (*_LANE, "outcome"), counted)
    for place, (name, text) in enumerate(
        (
            ("api_calls_last_day", "Calls of the marketplace by passes of the last 24 hours."),
            ("too_many_requests_last_day", "Answers of 429 to passes of the last 24 hours."),
            ("throttled_seconds_last_day", "Seconds that passes of the last 24 hours waited for rate limits."),
        ),
        start=5,
    ):
        yield _family(name, text, _LANE, [(row[:2], row[place]) for row in rows])


def _of_subscriptions(stock: StockConnection, now: datetime) -> Iterator[GaugeMetricFamily]:
    of_stock = stock_position(stock)
    found = positions(stock.connection)
    waiting = [(("stock",), of_stock.waiting), *(((each.subscription,), each.waiting) for each in found)]
    since = [("stock", of_stock.waiting_since), *((each.subscription, each.waiting_since) for each in found)]
    given_up = [(("stock",), of_stock.given_up), *(((each.subscription,), each.given_up) for each in found)]
    ages = [((name,), (now - at).total_seconds() if at is not None else 0) for name, at in since]
    label = ("subscription",)
    yield _family("pending_events", "Order events that wait for the subscription.", label, waiting)
    yield _family("oldest_pending_event_seconds", "Seconds that the oldest of them waits.", label, ages)
    yield _family("given_up_events", "Order events that are tried no more.", label, given_up)


_LANES: LiteralString = """
SELECT account, sync_type, extract(epoch FROM now() - watermark), extract(epoch FROM last_succeeded_at),
  (last_outcome = 'failed')::integer
FROM lanes ORDER BY account, sync_type
"""
_PASSES: LiteralString = """
SELECT account, sync_type, count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE outcome = 'partial'),
  count(*) FILTER (WHERE outcome = 'failed'), coalesce(sum((summary->>'api_calls')::numeric), 0),
  coalesce(sum((summary->>'too_many_requests')::numeric), 0),
  coalesce(sum((summary->>'throttled_seconds')::numeric), 0)
FROM lanes JOIN lane_runs USING (account, sync_type)
WHERE started_at > now() - interval '2 days' AND finished_at > now() - interval '1 day'
GROUP BY account, sync_type ORDER BY account, sync_type
"""
_COUNTS: Sequence[tuple[str, str, tuple[str, ...], LiteralString]] = (
    (
        "rejected_records",
        "Records that could not be stored, neither resolved nor dismissed.",
        ("account", "kind"),
        "SELECT account, kind, count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL "
        "GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "flaws",
        "Wrong values of records that are stored nevertheless.",
        ("account",),
        "SELECT account, count(*) FROM record_flaws GROUP BY 1 ORDER BY 1",
    ),
    (
        "waiting_orderlines",
        "Orderlines that wait for the merchant to accept them.",
        ("account",),
        "SELECT account, count(*) FROM order_items WHERE status = 'pending' GROUP BY 1 ORDER BY 1",
    ),
    (
        "late_orders",
        "Orders that are not shipped though the marketplace expects that by now.",
        ("account",),
        "SELECT account, count(*) FROM orders WHERE created_at > now() - interval '92 days' "
        "AND status IN ('pending', 'accepted') AND dispatch_due_at < now() GROUP BY 1 ORDER BY 1",
    ),
    (
        "open_troubles",
        "What is wrong, as the last evaluation of the alerts found it.",
        ("level",),
        "SELECT level, count(*) FROM troubles WHERE ended_at IS NULL GROUP BY 1 ORDER BY 1",
    ),
)
