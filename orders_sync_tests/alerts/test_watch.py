"""Alerts from outside Dagster, also while the database does not work."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orders_sync.alerts import outage
from orders_sync.alerts.watch import AlertWatch
from orders_sync.config.alerts import AlertConfigError, AlertSettings
from orders_sync.database.engine import Connection
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.alerts.conftest import settings
from orders_sync_tests.alerts.receivers import Webhook


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the outage, in a folder of the test's own."""
    monkeypatch.setattr(outage, "state_folder", lambda: tmp_path)
    return tmp_path / "database_outage.json"


def test_a_database_that_does_not_answer_is_reported_once_and_once_as_resolved(
    webhook: Webhook, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = AlertWatch(settings, steady=0.5)
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me:secret99secret@127.0.0.1:1/orders")
    assert watch.evaluate().sent == [], "it may answer in a moment"
    time.sleep(0.6)
    for _ in range(2):
        watch.evaluate()
    (report,) = webhook.received
    assert report["title"].startswith("orders_sync: error: the orders database does not work: ")
    assert "secret99secret" not in str(report)
    monkeypatch.setenv("ORDERS_DATABASE_URL", database_url)
    for _ in range(2):
        watch.evaluate()
    assert "resolved: the orders database did not work" in str(webhook.titles)
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    watch.evaluate()
    monkeypatch.setenv("ORDERS_DATABASE_URL", database_url)
    watch.evaluate()
    assert len([title for title in webhook.titles if "the orders database" in title]) == 2


def test_a_watch_that_is_started_again_repeats_no_alert_and_reports_the_end(
    webhook: Webhook, database_url: str, connection: Connection, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    AlertWatch(settings, steady=0.5).evaluate()
    time.sleep(0.6)
    for _ in range(3):
        AlertWatch(settings, steady=0.5).evaluate()
    assert len(webhook.received) == 1, "how long it lasts does not begin anew with each start, either"
    monkeypatch.setenv("ORDERS_DATABASE_URL", database_url)
    for _ in range(2):
        AlertWatch(settings, steady=0.5).evaluate()
    assert ["resolved" in title for title in webhook.titles] == [False, True]
    assert not kept.exists()


def test_an_outage_that_nobody_has_seen_for_long_is_another_one(
    webhook: Webhook, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    for _ in range(2):
        AlertWatch(settings, steady=0).evaluate()
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"began_at": before, "seen_at": before}))
    AlertWatch(settings, steady=0).evaluate()
    assert len(webhook.received) == 2
    assert f"Since {datetime.now(UTC):%Y-%m-%d}" in webhook.received[1]["message"]
    kept.write_text("no JSON")
    assert AlertWatch(settings, steady=0).evaluate().problems == []


def test_it_evaluates_in_a_thread_of_its_own_and_survives_a_file_with_an_error(
    webhook: Webhook, connection: Connection, database_url: str
) -> None:
    looks: list[int] = []

    def read() -> AlertSettings:
        looks.append(1)
        if len(looks) == 1:
            raise AlertConfigError("the file has an error")
        if len(looks) == 2:
            raise ValueError("something else")
        return settings()

    watch = AlertWatch(read, every=0.05)
    watch.start()
    try:
        wait_for(
            lambda: connection.execute("SELECT FROM alert_channels WHERE channel = ''").rowcount == 1,
            what="an evaluation",
        )
    finally:
        watch.stop()
    assert len(looks) >= 3


def test_nothing_is_examined_without_a_channel(connection: Connection, database_url: str) -> None:
    AlertWatch(lambda: settings(channels={})).evaluate()
    assert connection.execute("SELECT FROM alert_channels").rowcount == 0
