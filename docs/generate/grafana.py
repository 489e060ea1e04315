"""A dashboard for Grafana and alert rules for Prometheus, over the figures of orders_sync/health/metrics.py."""

import json
from typing import Any, NamedTuple

import yaml

_LANE = "{{account}}/{{sync_type}}"


class Panel(NamedTuple):
    """A panel of the dashboard."""

    title: str
    query: str
    legend: str
    unit: str = "short"


PANELS = (
    Panel("Lag of the lanes", "orders_sync_lane_lag_seconds", _LANE, "s"),
    Panel("Time since the last success", "time() - orders_sync_lane_last_success_timestamp_seconds", _LANE, "s"),
    Panel("Failed passes of 24 hours", 'orders_sync_passes_last_day{outcome="failed"}', _LANE),
    Panel("Calls of the marketplaces in 24 hours", "orders_sync_api_calls_last_day", _LANE),
    Panel("Answers of 429 in 24 hours", "orders_sync_too_many_requests_last_day", _LANE),
    Panel("Waiting for rate limits in 24 hours", "orders_sync_throttled_seconds_last_day", _LANE, "s"),
    Panel("Order events that wait", "orders_sync_pending_events", "{{subscription}}"),
    Panel("How long the oldest event waits", "orders_sync_oldest_pending_event_seconds", "{{subscription}}", "s"),
    Panel("Locks without stock", "orders_sync_short_locks", "short"),
    Panel("Orderlines that wait for the merchant", "orders_sync_waiting_orderlines", "{{account}}"),
    Panel("Late orders", "orders_sync_late_orders", "{{account}}"),
    Panel("Rejected records", "orders_sync_rejected_records", "{{account}} {{kind}}"),
    Panel("Flaws", "orders_sync_flaws", "{{account}}"),
    Panel("Open troubles", "orders_sync_open_troubles", "{{level}}"),
)
RULES = (
    (
        "OrdersSyncLaneSilent",
        'time() - orders_sync_lane_last_success_timestamp_seconds{sync_type=~"new|incomplete"} > 14 * 3600',
        "The lane {{ $labels.account }}/{{ $labels.sync_type }} has not succeeded for 14 hours.",
    ),
    (
        "OrdersSyncNightlyLaneSilent",
        'time() - orders_sync_lane_last_success_timestamp_seconds{sync_type=~"modified|care"} > 26 * 3600',
        "The lane {{ $labels.account }}/{{ $labels.sync_type }} has not succeeded for 26 hours.",
    ),
    (
        "OrdersSyncLaneFailed",
        "orders_sync_lane_failed == 1",
        "The last pass of {{ $labels.account }}/{{ $labels.sync_type }} failed.",
    ),
    (
        "OrdersSyncEventsWait",
        "orders_sync_oldest_pending_event_seconds > 1800",
        "Order events wait for {{ $labels.subscription }} for more than 30 minutes.",
    ),
    (
        "OrdersSyncEventsGivenUp",
        "orders_sync_given_up_events > 0",
        "Events for {{ $labels.subscription }} were given up.",
    ),
    ("OrdersSyncTrouble", 'orders_sync_open_troubles{level="error"} > 0', "`orders-sync doctor` finds an error."),
    ("OrdersSyncNoFigures", "absent(orders_sync_short_locks)", "Prometheus gets no figures of orders_sync."),
)  # fmt: skip
"""The names of the alert rules, their expressions, and what they say."""


def dashboard_file() -> str:
    """The dashboard as Grafana imports it."""
    dashboard: dict[str, Any] = {
        "title": "orders_sync", "uid": "orders-sync", "schemaVersion": 39, "version": 1, "editable": True,
        "time": {"from": "now-7d", "to": "now"}, "refresh": "1m", "tags": ["orders_sync"],
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }  # fmt: skip
    return json.dumps(dashboard, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1, "type": "timeseries", "title": panel.title, "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": number % 2 * 12, "y": number // 2 * 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": panel.query, "legendFormat": panel.legend}],
    }  # fmt: skip


def rules_file() -> str:
    """The alert rules as Prometheus reads them."""
    rules = [
        {
            "alert": name, "expr": expression, "for": "5m", "labels": {"severity": "error"},
            "annotations": {"summary": text},
        }
        for name, expression, text in RULES
    ]  # fmt: skip
    return yaml.safe_dump({"groups": [{"name": "orders_sync", "rules": rules}]}, sort_keys=False, width=120)
