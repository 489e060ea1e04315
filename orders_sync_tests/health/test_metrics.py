"""Figures for Prometheus: as the reference parser reads them, with the dashboard, the rules and the page that name them."""

import json
import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from docs.generate.grafana import dashboard_file, rules_file
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.health.metrics import metrics_text
from orders_sync.stock.connection import StockConnection
from orders_sync.subscriptions.registration import register
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.subscriptions.conftest import an_event, settings

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    """Each figure by its name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def busy(shop: Marketplace, connection: Connection) -> None:
    register(connection, {"erp": settings()})
    an_order(shop, 1, state=1, line_state=1)
    an_order(shop, 2, orderlines=[])
    run("sync", "--type", "new")
    an_event(connection, "9")


@pytest.mark.usefixtures("busy")
def test_figures_are_what_the_database_says(connection: Connection) -> None:
    found = samples(metrics_text(StockConnection(connection)).decode())
    lane = ("shop", "new")
    assert found["orders_sync_lane_lag_seconds", lane] >= 0
    assert found["orders_sync_lane_last_success_timestamp_seconds", lane] > 1.7e9
    assert found["orders_sync_lane_failed", lane] == 0
    assert found["orders_sync_passes_last_day", ("shop", "succeeded", "new")] == 1
    assert found["orders_sync_passes_last_day", ("shop", "failed", "new")] == 0
    assert found["orders_sync_api_calls_last_day", lane] >= 1
    assert found["orders_sync_pending_events", ("stock",)] == 2
    assert found["orders_sync_pending_events", ("erp",)] == 2
    assert found["orders_sync_oldest_pending_event_seconds", ("erp",)] > 0
    assert found["orders_sync_waiting_orderlines", ("shop",)] == 1
    assert found["orders_sync_rejected_records", ("shop", "order")] == 1
    assert found["orders_sync_short_locks", ()] == 0


@pytest.mark.usefixtures("busy")
def test_the_command_the_dashboard_the_rules_and_the_page_name_the_same_figures() -> None:
    families = {family.name: family for family in text_string_to_metric_families(run("metrics").stdout)}
    page = (PROJECT_ROOT / "docs" / "metrics.md").read_text()
    described = dict(re.findall(r"^\| `(orders_sync_\w+)` \| ([\w, ]*) ?\|", page, re.MULTILINE))
    assert described.keys() == families.keys()
    for name, labels in described.items():
        for sample in families[name].samples:
            assert set(sample.labels) == set(filter(None, labels.strip().split(", ")))
    drawn = {name for panel in json.loads(dashboard_file())["panels"] for name in named(panel["targets"][0]["expr"])}
    watched = {name for rule in yaml.safe_load(rules_file())["groups"][0]["rules"] for name in named(rule["expr"])}
    assert drawn | watched == families.keys()


def named(expression: str) -> list[str]:
    return re.findall(r"orders_sync_\w+", expression)


@pytest.mark.usefixtures("busy")
def test_late_is_what_is_due_and_a_day_has_24_hours(connection: Connection) -> None:
    run("sync", "--type", "new")
    for order, due in (("1", "1 hour"), ("9", "-1 hour")):
        connection.execute(
            "UPDATE orders SET created_at = now(), dispatch_due_at = now() + %s::interval WHERE order_id = %s",
            [due, order],
        )
    connection.execute(
        "UPDATE lane_runs SET started_at = started_at - interval '30 hours', finished_at = finished_at - interval '30 hours' "
        "WHERE lane_run_id = (SELECT min(lane_run_id) FROM lane_runs)"
    )
    found = samples(metrics_text(StockConnection(connection)).decode())
    assert found["orders_sync_late_orders", ("shop",)] == 1
    assert found["orders_sync_passes_last_day", ("shop", "succeeded", "new")] == 1


def test_an_empty_database_has_figures_too(connection: Connection) -> None:
    found = samples(metrics_text(StockConnection(connection)).decode())
    assert found["orders_sync_short_locks", ()] == 0
    assert found["orders_sync_pending_events", ("stock",)] == 0


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "new\nline"])
def test_odd_names_stay_what_they_are(connection: Connection, name: str) -> None:
    connection.execute("INSERT INTO record_flaws VALUES (%s, 'order', '1', 'fee', 'is odd', 'nothing')", [name])
    assert samples(metrics_text(StockConnection(connection)).decode())["orders_sync_flaws", (name,)] == 1
