"""Alerts from outside Dagster, also while the database does not work."""

import time

import pytest

from orders_sync.alerts.watch import AlertWatch
from orders_sync.config.alerts import AlertConfigError, AlertSettings
from orders_sync.database.engine import Connection
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.alerts.conftest import settings
from orders_sync_tests.alerts.receivers import Webhook


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
