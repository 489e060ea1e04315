"""`orders-sync alerts`, and the channels as the doctor and Dagster's sensor see them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders_sync.alerts.evaluation import evaluate
from orders_sync.config import alerts as config
from orders_sync.config.alerts import check_alerts
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.health.finding import Finding
from orders_sync.model import known_credentials
from orders_sync.model.known_credentials import KnownCredentials
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.alerts.receivers import Webhook, a_webhook
from orders_sync_tests.cli.command_line import run

FAILED = Finding(False, "its last 3 runs failed", "Look.", "shop/new", kind="failed")
BEGIN = f"type: {config.COMPONENT_TYPE}\nattributes:\n"


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the tests of orders_sync.alerts: the URL of a channel is a credential, of no later test's texts."""
    monkeypatch.setattr(known_credentials, "_KNOWN", KnownCredentials())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's file of the alerts."""
    path = tmp_path / "alerts.yaml"
    monkeypatch.setattr(config, "alerts_file", lambda: path)
    return path


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch, file: Path) -> Iterator[Webhook]:
    with a_webhook() as receiver:
        monkeypatch.setenv("TEAM_URL", f"json://{receiver.address}/")
        file.write_text(f"{BEGIN}  channels:\n    team: {{url: TEAM_URL}}\n    pager: {{url: PAGER_URL}}\n")
        yield receiver


def test_each_channel_is_tested_and_says_why_it_failed(shop: Marketplace, webhook: Webhook) -> None:
    tested = run("alerts", "test")
    assert tested.exit_code == 1
    assert webhook.titles == ["orders_sync: a test"]
    assert "PAGER_URL is not set" in " ".join(tested.output.replace("│", " ").split())
    assert run("alerts", "test", "team").exit_code == 0
    mistyped = run("alerts", "test", "teem")
    assert mistyped.exit_code == 1
    assert "there is no channel teem (did you mean team?); its channels are: team, pager." in mistyped.output
    assert len(webhook.received) == 2


def test_without_a_channel_nobody_is_alerted_and_the_commands_say_so(shop: Marketplace, file: Path) -> None:
    assert "no channel is named, so that nobody is alerted" in run("alerts", "test").output
    (found,) = EXAMINATIONS["alerts"]()
    assert (found.ok, "nobody is alerted: no channel is named" in found.what) == (True, True)


def test_the_doctor_reports_channels_that_can_not_be_reached(
    shop: Marketplace, webhook: Webhook, connection: Connection, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    team, pager = EXAMINATIONS["alerts"]()
    assert (team.ok, pager.ok) == (True, False)
    assert "PAGER_URL is not set here" in pager.what
    monkeypatch.setenv("PAGER_URL", "json://127.0.0.1:1/")
    settings = config.read_alerts(file)
    for _ in range(2):
        connection.execute("UPDATE troubles SET began_at = began_at - interval '3 minutes'")
        connection.execute("UPDATE alert_channels SET called_at = called_at - interval '3 minutes'")
        evaluate(connection, settings, str(file), {"a test": lambda: iter([FAILED])})
    _, pager = EXAMINATIONS["alerts"]()
    assert pager.what.startswith("channel pager can't be reached: ")
    listed = json.loads(run("alerts", "list", "--json").output)
    assert [(each["what"], each["reported_to"]) for each in listed] == [("shop/new: its last 3 runs failed", "team")]
    file.write_text("attributes: {}\n")
    (unusable,) = EXAMINATIONS["alerts"]()
    assert "type: must be orders_sync.components.alerts.Alerts" in unusable.what


def test_a_test_that_works_ends_the_recorded_problem_of_a_channel(
    shop: Marketplace, webhook: Webhook, connection: Connection, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    def evaluated(name: str, *found: Finding) -> None:
        connection.execute("UPDATE troubles SET began_at = began_at - interval '3 minutes'")
        connection.execute("UPDATE alert_channels SET called_at = called_at - interval '3 minutes'")
        evaluate(connection, config.read_alerts(file), str(file), {name: lambda: iter(found)})

    def listed() -> list[str]:
        return [each["what"] for each in json.loads(run("alerts", "list", "--json").output)]

    monkeypatch.setenv("PAGER_URL", "json://127.0.0.1:1/")
    for _ in range(2):
        evaluated("a test", FAILED)
    evaluated("alerts", *EXAMINATIONS["alerts"]())
    assert [each.ok for each in EXAMINATIONS["alerts"]()] == [True, False]
    assert [what for what in listed() if what.startswith("channel pager can't be reached: ")]
    assert run("alerts", "test", "team").exit_code == 0
    assert [each.ok for each in EXAMINATIONS["alerts"]()] == [True, False], "only what works is well"
    monkeypatch.setenv("PAGER_URL", f"json://{webhook.address}/pager")
    assert run("alerts", "test", "pager").exit_code == 0
    assert [each.ok for each in EXAMINATIONS["alerts"]()] == [True, True]
    assert listed() == ["shop/new: its last 3 runs failed"]


def test_channels_are_tested_while_the_database_does_not_answer(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me@127.0.0.1:1/orders")
    tested = run("alerts", "test", "team")
    assert (tested.exit_code, webhook.titles) == (0, ["orders_sync: a test"])
    assert "Recorded problems of channels stay until their next calls: " in tested.stderr


def test_a_heartbeat_that_fails_is_found_and_is_well_again_once_a_call_works(
    shop: Marketplace, webhook: Webhook, connection: Connection, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """It is called while there is no error, so that its own failure is none."""
    file.write_text(f"{BEGIN}  heartbeat: BEAT_URL\n")

    def evaluated() -> None:
        connection.execute("UPDATE troubles SET began_at = began_at - interval '6 minutes'")
        connection.execute("UPDATE alert_channels SET called_at = called_at - interval '6 minutes'")
        connection.execute("UPDATE alert_channels SET failed_at = failed_at - interval '6 minutes'")
        evaluate(connection, config.read_alerts(file), str(file), {"alerts": EXAMINATIONS["alerts"]})

    def listed() -> list[list[str]]:
        return [[each["level"], each["what"]] for each in json.loads(run("alerts", "list", "--json").output)]

    *_, unset = EXAMINATIONS["alerts"]()
    assert unset.what == "the heartbeat can't be called: the environment variable BEAT_URL is not set here"
    monkeypatch.setenv("BEAT_URL", f"http://{webhook.address}/beat")
    webhook.status = 404
    for _ in range(2):
        evaluated()
    *_, failing = EXAMINATIONS["alerts"]()
    assert (failing.ok, failing.what) == (False, "the heartbeat can't be called: it answers HTTP 404")
    assert "Compare BEAT_URL with the URL that its service shows." in failing.remedy
    assert listed() == [["warning", failing.what]]
    webhook.status = 200
    for _ in range(2):
        evaluated()
    *_, well = EXAMINATIONS["alerts"]()
    assert (well.ok, listed()) == (True, [])


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (
            {"channels": {"team": {"url": "https://hooks.example.com/secret"}}},
            "channels.team.url: can't be read; write it like ALERT_TEAM_URL",
        ),
        ({"channels": {"team": {}}}, "channels.team.url: is missing. NAME of the environment variable with Apprise's"),
        (
            {"channels": {"team": {"url": "A", "level": "fatal"}}},
            "channels.team.level: Input should be 'error' or 'warning'",
        ),
        (
            {"channels": {"team": {"url": "A", "quiet_hours": {"begin": "10pm", "end": "07:00"}}}},
            "quiet_hours.begin: '10pm' is no time of day; write it in quotes, e.g. '22:00'",
        ),
        (
            {"channels": {"team": {"url": "A", "digest": "daily"}}},
            "channels.team.digest: 'daily' is no cron expression",
        ),
        (
            {"chanels": {}},
            "chanels: no such setting (did you mean channels?); allowed are timezone, ui_url, channels, heartbeat",
        ),
        ({"ui_url": "orders.example.com"}, "ui_url: can't be read; write it like https://orders.example.com"),
        ({"timezone": "Berlin"}, "timezone: 'Berlin' is no time zone"),
        ({"heartbeat": "http://x"}, "heartbeat: can't be read; write it like ALERT_HEARTBEAT_URL"),
    ],
)
def test_an_error_in_the_file_names_the_key_and_what_is_allowed(attributes: dict[str, object], problem: str) -> None:
    with pytest.raises(config.AlertConfigError) as error:
        check_alerts(attributes, "defs/alerts/defs.yaml")
    assert problem in str(error.value)
    assert "secret" not in str(error.value)
