"""All channels are called at once, and are waited for together: a tick of Dagster's sensor has 60 seconds."""

import time
from collections.abc import Iterator

import pytest

from orders_sync.alerts import channels
from orders_sync.health.finding import Finding, Level
from orders_sync.testing.waiting import limit, wait_for
from orders_sync_tests.alerts.conftest import Evaluations, settings
from orders_sync_tests.alerts.receivers import HangingServer, Webhook

SHORT = Finding(False, "2 items whose stock can't be locked", kind="shortage", level=Level.WARNING)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingServer]:
    """The server of SLOW_URL and BEAT_URL."""
    server = HangingServer()
    monkeypatch.setenv("SLOW_URL", f"json://{server.address}/")
    monkeypatch.setenv("BEAT_URL", f"http://{server.address}/")
    yield server
    server.stop()
    wait_for_calls()


def wait_for_calls() -> None:
    wait_for(
        lambda: not any(each.thread.is_alive() for each in channels._hanging.values()), what="the end of all calls"
    )


def test_channels_that_hang_delay_no_other_and_end_in_time(
    evaluations: Evaluations, webhook: Webhook, hanging: HangingServer
) -> None:
    slow = {f"slow{number}": {"url": "SLOW_URL"} for number in range(5)}
    evaluations.settings = settings(channels={**slow, "team": {"url": "TEAM_URL"}}, heartbeat="BEAT_URL")

    def problems() -> list[str]:
        began = time.monotonic()
        found = evaluations.evaluate(SHORT, seconds=5).problems
        assert time.monotonic() - began < limit(5 + 8)
        return found

    assert problems() == ["heartbeat: no answer within 5 s"]
    evaluations.pass_time(2)
    assert problems() == [f"{name}: no answer within 5 s" for name in slow]
    assert len(webhook.received) == 1
    evaluations.pass_time(6)
    assert problems() == [f"{name}: the call before has not ended yet" for name in (*slow, "heartbeat")]
    assert hanging.calls == 1 + len(slow), "no second thread hangs"
    assert len(webhook.received) == 1


def test_a_channel_that_has_hung_is_called_again_once_its_call_has_ended(
    evaluations: Evaluations, webhook: Webhook, hanging: HangingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluations.settings = settings(channels={"slow": {"url": "SLOW_URL"}})
    evaluations.evaluate(SHORT)
    evaluations.pass_time(2)
    assert evaluations.evaluate(SHORT, seconds=1).problems == ["slow: no answer within 1 s"]
    hanging.stop()
    wait_for_calls()
    monkeypatch.setenv("SLOW_URL", f"json://{webhook.address}/")
    evaluations.pass_time(6)
    assert [line.split(":")[0] for line in evaluations.evaluate(SHORT).sent] == ["slow"]


def test_an_alert_that_took_its_time_is_not_sent_again(
    evaluations: Evaluations, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat that throttles takes longer than a tick has."""
    evaluations.settings = settings()
    webhook.seconds = 1.5
    evaluations.evaluate(SHORT)
    evaluations.pass_time(2)
    assert evaluations.evaluate(SHORT, seconds=0.3).problems == ["team: no answer within 0.3 s"]
    wait_for_calls()
    assert len(webhook.received) == 1
    webhook.seconds = 0
    evaluations.pass_time(6)
    assert (evaluations.evaluate(SHORT).sent, len(webhook.received)) == ([], 1)
    evaluations.evaluate()
    evaluations.pass_time(6)
    evaluations.evaluate()
    assert ["resolved" in title.lower() for title in webhook.titles] == [False, True]


def test_a_tick_has_the_time_for_the_examinations_too() -> None:
    assert channels.SEND_SECONDS <= 30


def test_a_channel_that_was_too_slow_is_not_sent_its_further_messages_unnoticed() -> None:
    sent: list[str] = []

    def slow() -> None:
        time.sleep(1)
        sent.append("first")

    found = list(channels.call_all({"slow": [slow, lambda: sent.append("second")]}, seconds=0.2))
    assert found == [channels.Called("slow", 0, "no answer within 0.2 s")]
    wait_for_calls()
    assert sent == ["first"]
