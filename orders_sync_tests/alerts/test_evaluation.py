"""What is reported: each trouble once, when it lasts, and when it is resolved."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.alerts.evaluation import evaluate
from orders_sync.database.engine import Connection, connect
from orders_sync.health.finding import Finding, Level
from orders_sync_tests.alerts.conftest import FILE, TEAM, Evaluations, settings
from orders_sync_tests.alerts.receivers import Webhook, a_mail_server

FAILED = Finding(False, "its last 3 runs failed: HTTP 500", "Look at the log.", "shop/new", kind="failed", page="/x")
SHORT = Finding(False, "2 items whose stock can't be locked", "Import levels.", kind="shortage", level=Level.WARNING)


def test_a_trouble_that_lasts_is_reported_once_and_once_as_resolved(evaluations: Evaluations, webhook: Webhook) -> None:
    evaluations.settings = settings(ui_url="https://orders.example.com/")
    evaluations.evaluate(FAILED)
    assert webhook.received == [], "it may be over in a moment"
    evaluations.pass_time(2)
    for _ in range(3):
        evaluations.evaluate(FAILED)
    (report,) = webhook.received
    assert report["title"] == "orders_sync: error: shop/new: its last 3 runs failed: HTTP 500"
    assert report["message"].splitlines()[2:] == ["What to do: Look at the log.", "https://orders.example.com/x"]
    evaluations.evaluate()
    assert len(webhook.received) == 1, "it may come back in a moment"
    evaluations.pass_time(6)
    for _ in range(2):
        evaluations.evaluate()
    assert webhook.titles[1:] == ["orders_sync: resolved: shop/new: its last 3 runs failed: HTTP 500"]


def test_a_trouble_that_comes_back_within_five_minutes_never_was_over(
    evaluations: Evaluations, webhook: Webhook
) -> None:
    evaluations.evaluate(FAILED)
    evaluations.pass_time(2)
    evaluations.evaluate(FAILED)
    for _ in range(3):
        evaluations.evaluate()
        evaluations.pass_time(4)
        evaluations.evaluate(FAILED)
    assert len(webhook.received) == 1
    evaluations.evaluate()
    evaluations.pass_time(6)
    evaluations.evaluate()
    evaluations.evaluate(FAILED)
    evaluations.pass_time(2)
    evaluations.evaluate(FAILED)
    assert ["resolved" in title for title in webhook.titles] == [False, True, False]


def test_what_is_resolved_before_it_was_reported_is_never_reported(evaluations: Evaluations, webhook: Webhook) -> None:
    evaluations.evaluate(FAILED)
    evaluations.evaluate()
    evaluations.pass_time(10)
    evaluations.evaluate()
    assert webhook.received == []


def test_what_is_new_at_the_same_time_is_one_message_errors_first(evaluations: Evaluations, webhook: Webhook) -> None:
    more = [FAILED._replace(what=f"failed {number} times", about=f"shop{number}/new") for number in range(30)]
    evaluations.evaluate(SHORT, *more)
    evaluations.pass_time(2)
    evaluations.evaluate(SHORT, *more)
    (report,) = webhook.received
    assert report["title"].startswith("orders_sync: 30 errors and 1 warning, first shop0/new: failed 0 times")
    assert "And 11 more" in report["message"]
    assert evaluations.evaluate(SHORT, *more).sent == []


def test_what_several_lanes_have_in_common_is_reported_as_one(evaluations: Evaluations, webhook: Webhook) -> None:
    lanes = [FAILED._replace(about=f"shop{number}/new") for number in range(10)]
    evaluations.evaluate(*lanes[:2])
    evaluations.pass_time(2)
    evaluations.evaluate(*lanes[:2])
    assert webhook.titles == ["orders_sync: error: shop0/new, shop1/new: its last 3 runs failed: HTTP 500"]
    evaluations.pass_time(2)
    evaluations.evaluate(*lanes)
    evaluations.pass_time(2)
    evaluations.evaluate(*lanes)
    assert ", shop9/new: its last 3 runs failed" in webhook.titles[1]
    assert "shop0" not in webhook.titles[1]
    evaluations.evaluate(lanes[3])
    evaluations.pass_time(6)
    evaluations.evaluate(lanes[3])
    assert "shop8/new and 1 more: its last 3 runs" in webhook.received[2]["message"]


def test_an_examination_that_fails_ends_no_trouble_and_is_one(evaluations: Evaluations, webhook: Webhook) -> None:
    evaluations.evaluate(FAILED)
    evaluations.pass_time(2)
    evaluations.evaluate(FAILED)
    evaluations.evaluate(failing=True)
    evaluations.pass_time(9)
    evaluations.evaluate(failing=True)
    assert [title.split(": ")[1] for title in webhook.titles] == ["error", "error"]
    assert webhook.titles[1].endswith("it can't be examined")


def test_a_channel_gets_the_levels_that_it_asks_for(evaluations: Evaluations, webhook: Webhook) -> None:
    evaluations.settings = settings(channels={"pager": {"url": "TEAM_URL", "level": "error"}})
    evaluations.evaluate(SHORT)
    evaluations.pass_time(2)
    evaluations.evaluate(SHORT)
    assert webhook.received == []
    evaluations.evaluate(SHORT._replace(level=Level.ERROR))
    assert len(webhook.received) == 1


def test_in_quiet_hours_warnings_wait_and_errors_do_not(evaluations: Evaluations, webhook: Webhook) -> None:
    def hours(begin: int, end: int) -> dict[str, str]:
        now = datetime.now(UTC)
        return {name: f"{now + timedelta(hours=by):%H:%M}" for name, by in (("begin", begin), ("end", end))}

    evaluations.settings = settings(channels={"team": {"url": "TEAM_URL", "quiet_hours": hours(-1, 1)}})
    evaluations.evaluate(SHORT, FAILED)
    evaluations.pass_time(2)
    evaluations.evaluate(SHORT, FAILED)
    assert [title.split(": ")[1] for title in webhook.titles] == ["error"]
    evaluations.settings = settings(channels={"team": {"url": "TEAM_URL", "quiet_hours": hours(2, 1)}})
    evaluations.evaluate(SHORT, FAILED)
    assert len(webhook.received) == 1, "hours past midnight"
    evaluations.settings = settings(channels={"team": {"url": "TEAM_URL", "quiet_hours": hours(1, 2)}})
    evaluations.evaluate(SHORT, FAILED)
    assert [title.split(": ")[1] for title in webhook.titles] == ["error", "warning"]


def test_a_channel_that_fails_stops_no_other_and_gets_it_later(
    evaluations: Evaluations, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOWN_URL", "json://127.0.0.1:1/")
    monkeypatch.setenv("ODD_URL", "nonsense")
    urls = {"down": "DOWN_URL", "odd": "ODD_URL", "unset": "NOT_SET_URL", "team": "TEAM_URL"}
    evaluations.settings = settings(channels={name: {"url": url} for name, url in urls.items()})
    evaluations.evaluate(FAILED)
    evaluations.pass_time(2)
    outcome = evaluations.evaluate(FAILED)
    assert [line.split(":")[0] for line in outcome.problems] == ["down", "odd", "unset"]
    assert "Apprise does not recognize its URL" in outcome.problems[1]
    assert "the environment variable NOT_SET_URL is not set" in outcome.problems[2]
    assert len(webhook.received) == 1
    (unset,) = evaluations.evaluate(FAILED).problems  # the others are called again after five minutes
    assert "NOT_SET_URL" in unset
    monkeypatch.setenv("DOWN_URL", f"json://{webhook.address}/later")
    evaluations.pass_time(6)
    assert [line.split(":")[0] for line in evaluations.evaluate(FAILED).sent] == ["down"]
    assert [line.split(":")[0] for line in evaluations.evaluate(FAILED).sent] == []


def test_a_process_without_the_variables_leaves_the_calls_to_one_that_has_them(
    evaluations: Evaluations, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    monkeypatch.setenv("BEAT_URL", f"http://{webhook.address}/beat")
    evaluations.settings = settings(heartbeat="BEAT_URL")
    evaluations.evaluate(SHORT)
    evaluations.pass_time(6)
    with monkeypatch.context() as without:
        without.delenv("TEAM_URL")
        without.delenv("BEAT_URL")
        assert [line.split(":")[0] for line in evaluations.evaluate(SHORT).problems] == ["team", "heartbeat"]
    ((problem,),) = connection.execute("SELECT problem FROM alert_channels WHERE channel = 'heartbeat '")
    assert problem == "the environment variable BEAT_URL is not set"
    outcome = evaluate(connection, evaluations.settings, FILE, {"a test": lambda: iter([SHORT])})
    assert outcome is not None, "it need not wait for a minute"
    assert outcome.problems == []
    assert webhook.calls.count("/beat") == 2
    assert [line.split(":")[0] for line in outcome.sent] == ["team"]
    rows = connection.execute("SELECT problem FROM alert_channels WHERE problem IS NOT NULL").fetchall()
    assert rows == [], "the problem is over"


def test_an_answer_that_refuses_is_a_failure(evaluations: Evaluations, webhook: Webhook) -> None:
    webhook.status = 500
    evaluations.evaluate(FAILED)
    evaluations.pass_time(2)
    (problem,) = evaluations.evaluate(FAILED).problems
    assert problem.startswith("team: ")
    assert "500" in problem
    webhook.status = 200
    evaluations.pass_time(6)
    assert len(evaluations.evaluate(FAILED).sent) == 1


def test_a_mail_is_sent_with_text_as_it_is(evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_mail_server() as (mails, port):
        monkeypatch.setenv(
            "TEAM_URL", f"mailto://127.0.0.1:{port}/?from=sync@example.com&to=team@example.com&mode=insecure"
        )
        odd = FAILED._replace(what="SKU [b]<script>*x*\x1b[31m broke & more")
        evaluations.evaluate(odd)
        evaluations.pass_time(2)
        assert evaluations.evaluate(odd).problems == []
        (mail,) = mails.received
    assert (mail["To"], mail["From"]) == ("team@example.com", "sync@example.com")
    assert mail.get_content_type() == "text/plain"
    (text,) = mails.texts()
    assert "SKU [b]<script>*x*^[[31m broke & more" in text


def test_a_service_learns_what_kind_of_message_it_is(evaluations: Evaluations, webhook: Webhook) -> None:
    """A pager opens an incident by a failure, and closes it by a success."""
    evaluations.evaluate(SHORT)
    evaluations.pass_time(3)
    evaluations.evaluate(SHORT, FAILED)
    evaluations.pass_time(3)
    evaluations.evaluate(SHORT, FAILED)
    evaluations.evaluate()
    evaluations.pass_time(6)
    evaluations.evaluate()
    assert [each["type"] for each in webhook.received] == ["warning", "failure", "success"]


def test_a_day_that_passes_by_is_not_reported_as_resolved(evaluations: Evaluations, webhook: Webhook) -> None:
    day = SHORT._replace(kind="cutover day 2026-01-01")
    evaluations.evaluate(day)
    evaluations.pass_time(3)
    evaluations.evaluate(day)
    evaluations.evaluate()
    evaluations.pass_time(9)
    evaluations.evaluate()
    assert len(webhook.received) == 1


def test_a_channel_gets_no_report_about_itself(evaluations: Evaluations, webhook: Webhook) -> None:
    unreachable = FAILED._replace(what="channel team can't be reached", about="", kind="channel team")
    evaluations.evaluate(unreachable)
    evaluations.pass_time(3)
    evaluations.evaluate(unreachable)
    assert webhook.received == []


def test_what_nobody_has_looked_at_meanwhile_begins_anew(
    evaluations: Evaluations, webhook: Webhook, connection: Connection
) -> None:
    """As overnight on a laptop: the daemon is not alive yet when the first look is taken in the morning."""
    evaluations.evaluate(FAILED)
    evaluations.pass_time(600)
    connection.execute("UPDATE troubles SET seen_at = seen_at - interval '10 hours'")
    evaluations.evaluate(FAILED)
    evaluations.evaluate(FAILED)
    assert webhook.received == []


def test_a_token_alone_is_masked_too(
    evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = "TIiajkdnlazkcOXrIdev_i7F0"
    monkeypatch.setenv("TEAM_URL", f"slack://TAAAAAAAA/B1A1A1A1A/{token}[]/#orders")
    evaluations.evaluate(FAILED)
    evaluations.pass_time(3)
    outcome = evaluations.evaluate(FAILED)
    assert outcome.problems
    assert token not in str(outcome) + caplog.text


def test_no_credential_is_in_an_alert_nor_in_a_problem(
    evaluations: Evaluations, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    secret = "a-Secret-of-20-characters"
    monkeypatch.setenv("DOWN_URL", f"json://user:{secret}@127.0.0.1:1/")
    evaluations.settings = settings(channels={"down": {"url": "DOWN_URL"}, **TEAM})
    odd = FAILED._replace(what=f"the answer was json://user:{secret}@127.0.0.1:1/")
    evaluations.evaluate(odd)
    evaluations.pass_time(2)
    outcome = evaluations.evaluate(odd)
    stored = connection.execute("SELECT problem FROM alert_channels").fetchall()
    assert len(webhook.received) == 1
    assert not any(secret in str(each) for each in (webhook.received, outcome, stored))


def test_a_digest_comes_once_for_each_tick(evaluations: Evaluations, webhook: Webhook, connection: Connection) -> None:
    evaluations.settings = settings(channels={"team": {"url": "TEAM_URL", "digest": "0 7 * * *"}})
    evaluations.evaluate()
    assert webhook.received == [], "the first one is that of the next morning"
    connection.execute("UPDATE alert_channels SET digest_at = digest_at - interval '1 day' WHERE channel = 'team'")
    for _ in range(2):
        evaluations.evaluate(SHORT)
    (digest,) = webhook.received
    assert digest["title"].endswith(" UTC: 0 new orders")
    assert "0 passes ran" in digest["message"]
    assert "WARNING 2 items whose stock can't be locked" in digest["message"]


def test_the_heartbeat_is_called_every_five_minutes_while_there_is_no_error(
    evaluations: Evaluations, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAT_URL", f"http://{webhook.address}/beat")
    evaluations.settings = settings(channels={}, heartbeat="BEAT_URL")
    evaluations.evaluate(SHORT)
    evaluations.evaluate()
    assert webhook.calls == ["/beat"]
    evaluations.pass_time(6)
    evaluations.evaluate(FAILED)
    assert webhook.calls == ["/beat"]
    evaluations.evaluate()
    assert webhook.calls == ["/beat", "/beat"]


def test_two_processes_evaluate_no_trouble_twice(
    evaluations: Evaluations, webhook: Webhook, connection: Connection
) -> None:
    evaluations.evaluate(FAILED)
    assert evaluate(connection, evaluations.settings, FILE, {}) is None, "it was done a moment ago"
    evaluations.pass_time(2)
    with connect(application="another") as another:
        another.execute("SELECT pg_advisory_lock(hashtextextended('alerts', 0))")
        assert evaluate(connection, evaluations.settings, FILE, {}) is None
    assert webhook.received == []
