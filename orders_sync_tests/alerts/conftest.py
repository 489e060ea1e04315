"""Channels on this machine, and evaluations whose findings a test chooses."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import apprise
import pytest

from orders_sync.alerts import channels
from orders_sync.alerts.channels import SEND_SECONDS
from orders_sync.alerts.evaluation import Outcome, evaluate
from orders_sync.config.alerts import AlertSettings, check_alerts
from orders_sync.database.engine import Connection
from orders_sync.health.finding import Finding
from orders_sync.model import known_credentials
from orders_sync.model.known_credentials import KnownCredentials
from orders_sync_tests.alerts.receivers import Webhook, a_webhook

FILE = "defs/alerts/defs.yaml"
TEAM = {"team": {"url": "TEAM_URL"}}


@pytest.fixture(scope="session", autouse=True)
def loaded_apprise() -> None:
    """Apprise loads its hundred kinds of channels with the first one: seconds, on a busy machine, of a short limit."""
    apprise.Apprise().add("json://127.0.0.1/")


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL of a channel is a credential. Without this, later tests would find parts of their own URLs masked."""
    monkeypatch.setattr(known_credentials, "_KNOWN", KnownCredentials())


@pytest.fixture(autouse=True)
def own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs in another test has sent nothing of this one."""
    monkeypatch.setattr(channels, "_hanging", {})


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The channel of TEAM_URL."""
    with a_webhook() as receiver:
        monkeypatch.setenv("TEAM_URL", f"json://{receiver.address}/")
        yield receiver


class Evaluations:
    """Evaluates chosen findings; time passes in the database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.settings = settings()

    def evaluate(self, *found: Finding, failing: bool = False, seconds: float = SEND_SECONDS) -> Outcome:
        def examine() -> Iterator[Finding]:
            if failing:
                raise ValueError("it can't be examined")
            yield from found

        self.connection.execute("UPDATE alert_channels SET called_at = called_at - interval '1 minute'")
        outcome = evaluate(self.connection, self.settings, FILE, {"a test": examine}, seconds)
        assert outcome is not None
        return outcome

    def pass_time(self, minutes: float) -> None:
        by = timedelta(minutes=minutes)
        self.connection.execute("UPDATE troubles SET began_at = began_at - %s, ended_at = ended_at - %s", [by, by])
        self.connection.execute(
            "UPDATE alert_channels SET called_at = called_at - %s, failed_at = failed_at - %s", [by, by]
        )


def settings(**values: Any) -> AlertSettings:
    return check_alerts({"channels": TEAM, **values}, FILE)


@pytest.fixture
def evaluations(connection: Connection) -> Evaluations:
    return Evaluations(connection)
