"""`orders-sync subscriptions`: who gets order events, how far they are, and what people do about it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from orders_sync.config import subscriptions as config
from orders_sync.config.subscriptions import COMPONENT_TYPE
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.subscriptions.deliveries import acknowledge, claim, positions, refuse
from orders_sync.subscriptions.webhooks.signatures import key_of, make_secret
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.subscriptions.conftest import an_event, event_ids
from orders_sync_tests.subscriptions.webhooks.receivers import a_receiver

WHY = ("--reason", "a test")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Path:
    """The project's folder of subscriptions, with one in SQL."""
    folder = tmp_path / "subscriptions"
    monkeypatch.setattr(config, "subscriptions_folder", lambda: folder)
    write(folder, "erp", sql={"role": "erp"})
    return folder


def write(folder: Path, name: str, **attributes: Any) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "defs.yaml").write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes}))


def listed() -> dict[str, dict[str, Any]]:
    return {row["subscription"]: row for row in json.loads(run("subscriptions", "list", "--json").stdout)}


def findings() -> list[tuple[bool, str, str]]:
    return [(each.ok, each.about, each.what) for each in EXAMINATIONS["subscriptions"]()]


@pytest.mark.usefixtures("folder")
def test_stock_is_the_first_and_a_new_file_counts_from_now_on(connection: Connection) -> None:
    an_event(connection, "1")
    assert list(listed()) == ["stock", "erp"]
    an_event(connection, "2")
    found = listed()
    assert (found["stock"]["waiting"], found["erp"]["waiting"]) == (2, 1)
    assert found["erp"]["consumer"] == "SQL, role erp"
    shown = run("subscriptions", "list").output
    assert max(map(len, shown.splitlines())) <= 180


@pytest.mark.usefixtures("folder")
def test_what_waits_is_listed_printed_skipped_and_replayed(connection: Connection) -> None:
    listed()
    an_event(connection, "1")
    (event_id,) = event_ids(connection)
    claim(connection, "erp", 1)
    refuse(connection, "erp", event_id, "HTTP 500")
    (row,) = json.loads(run("subscriptions", "waiting", "erp", "--json").stdout)
    assert (row["event"], row["kind"], row["attempts"], row["problem"]) == (event_id, "OrderCreated", 1, "HTTP 500")
    assert json.loads(run("subscriptions", "event", str(event_id)).stdout)["items"][0]["sku"] == "PHONE"
    assert "There is no event 999." in run("subscriptions", "event", "999").stderr
    assert f"erp does not get the event {event_id}." in run("subscriptions", "skip", "erp", str(event_id), *WHY).output
    assert run("subscriptions", "skip", "erp", str(event_id), *WHY).exit_code == 1
    assert "erp gets 1 events again." in run("subscriptions", "replay", "erp", "--order", "shop/1", *WHY).output
    assert listed()["erp"]["waiting"] == 1
    assert "erp gets 0 events again." in run("subscriptions", "replay", "erp", "--since", "2026-01-01", *WHY).output
    assert "erp gets 0 events again." in run("subscriptions", "replay", "erp", "--given-up", *WHY).output
    assert run("subscriptions", "replay", "erp", *WHY).exit_code == 2
    assert run("subscriptions", "replay", "erp", "--order", "1", *WHY).exit_code == 2


@pytest.mark.usefixtures("folder")
def test_a_pause_is_shown_until_somebody_ends_it(connection: Connection) -> None:
    listed()
    assert "erp is paused." in run("subscriptions", "pause", "erp", *WHY).output
    assert listed()["erp"]["state"] == "paused"
    assert "is paused already" in run("subscriptions", "pause", "erp", *WHY).stderr
    assert "erp gets events again." in run("subscriptions", "resume", "erp", *WHY).output
    assert "There is no subscription epr; allowed are erp." in run("subscriptions", "pause", "epr", *WHY).stderr


def test_one_whose_file_is_gone_is_named_and_can_be_removed(folder: Path, connection: Connection) -> None:
    listed()
    assert "still has a file" in run("subscriptions", "remove", "erp", *WHY).stderr
    shutil.rmtree(folder / "erp")
    an_event(connection)
    assert "erp has no file any more, and goes on to collect events" in run("subscriptions", "list").stderr
    assert "erp is forgotten; 1 events were waiting for it." in run("subscriptions", "remove", "erp", *WHY).output
    assert positions(connection) == []


@pytest.mark.usefixtures("shop")
def test_webhooks_are_sent_without_dagster(
    folder: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_receiver() as receiver:
        monkeypatch.setenv("ERP_URL", receiver.url)
        monkeypatch.setenv("ERP_SECRET", run("subscriptions", "secret").stdout.strip())
        write(folder, "shop_floor", webhook={"url": "ERP_URL", "secret": "ERP_SECRET", "allow_private": True})
        listed()
        an_event(connection, "1")
        done = run("subscriptions", "deliver", "--once")
        assert (done.exit_code, "shop_floor: 1 delivered, 0 failed" in done.output) == (0, True)
        receiver.status = 500
        an_event(connection, "2")
        done = run("subscriptions", "deliver", "--once")
        assert (done.exit_code, "shop_floor: it answers HTTP 500" in done.stderr) == (1, True)
        receiver.status = 200
        connection.execute("UPDATE event_deliveries SET due_at = now()")
        assert "webhook shop_floor" in run("schedule", "run", "--dry-run").output
        done = run("schedule", "run").output
        assert "shop_floor: 1 events delivered." in done
        assert "Nothing is due." not in done
        assert len(receiver.calls) == 3


def test_a_secret_is_new_each_time() -> None:
    one, two = (run("subscriptions", "secret").stdout.strip() for _ in range(2))
    assert one != two
    assert len(key_of(one)) == 32


def test_the_doctor_reports_what_keeps_events_from_their_consumers(
    folder: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [each[1:] for each in findings()] == [
        ("erp", "the orders database does not know it yet, so that it gets no events")
    ]
    listed()
    assert findings() == [(True, "erp", "0 events delivered in 24 h, 0 wait")]
    an_event(connection, "1")
    connection.execute("UPDATE event_deliveries SET waiting_since = now() - interval '2 hours'")
    assert findings() == [(False, "erp", "1 events wait, the oldest for 2 h 0 min")]
    write(folder, "erp", sql={"role": "erp"}, alert_after="3h", accounts=["shpo"])
    assert [each[2] for each in findings()] == [
        "it asks for the events of shpo: there is no such account", "0 events delivered in 24 h, 1 wait",
    ]  # fmt: skip
    write(folder, "erp", sql={"role": "erp"}, buyer_data=True)
    assert findings()[0] == (
        False, "erp", "it asks for buyers' data, and no account shares them: its events have none",
    )  # fmt: skip
    write(folder, "erp", sql={"role": "erp"})
    run("subscriptions", "pause", "erp", *WHY)
    ((ok, _, what),) = findings()
    assert (ok, what.startswith("it is paused, and 1 events wait.")) == (True, True)
    run("subscriptions", "resume", "erp", *WHY)
    acknowledge(connection, "erp", event_ids(connection))
    connection.execute("UPDATE event_deliveries SET outcome = 'given_up'")
    assert findings() == [(False, "erp", "1 events could not be delivered, and are tried no more")]
    write(folder, "wrong", sql={"role": "erp"}, kinds=["Order"])
    assert "there is no kind 'Order'" in findings()[0][2]
    assert "there is no kind 'Order'" in run("subscriptions", "list").stderr


def test_the_doctor_reports_a_receiver_that_fails(
    folder: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_receiver() as receiver:
        receiver.status = 503
        monkeypatch.setenv("ERP_URL", receiver.url)
        monkeypatch.setenv("ERP_SECRET", make_secret())
        write(folder, "erp", webhook={"url": "NOT_SET", "secret": "ERP_SECRET", "allow_private": True})
        listed()
        an_event(connection, "0")
        run("subscriptions", "deliver", "--once")
        assert "its receiver fails: the environment variable NOT_SET is not set" in findings()[0][2]
        write(folder, "erp", webhook={"url": "ERP_URL", "secret": "ERP_SECRET", "allow_private": True})
        for order in range(1, 3):
            an_event(connection, str(order))
        run("subscriptions", "deliver", "--once")
    assert findings() == [(False, "erp", "its receiver fails: it answers HTTP 503")]
    assert listed()["erp"]["state"] == "receiver rests"
