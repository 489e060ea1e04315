"""What `orders-sync doctor` finds, and what it says to do."""

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from orders_sync.alerts.troubles import is_trouble
from orders_sync.cli import main
from orders_sync.config import code_location
from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings, check_schedules
from orders_sync.cutover.phases import note_moves
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.health.finding import Level
from orders_sync.health.lanes import examine_lane
from orders_sync.lanes.authority import Phase
from orders_sync.lanes.history import LaneState
from orders_sync.marketplaces.kit.accounts import find_account
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.waiting_lines import MAX_REQUESTS
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.cutover.moved import BY
from orders_sync_tests.dagster_instance.dagster_sensors import store_sensor
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order

NOW = datetime(2026, 1, 5, 12, 45, tzinfo=UTC)
"""Three quarters of an hour after the tick of `new` at 12:00."""


def state(**values: Any) -> LaneState:
    defaults: dict[str, Any] = {
        "lane": Lane("shop", SyncType.NEW), "watermark": NOW - timedelta(minutes=40), "last_run_id": "r1",
        "last_started_at": NOW - timedelta(minutes=44), "last_finished_at": NOW - timedelta(minutes=43),
        "last_succeeded_at": NOW - timedelta(minutes=43), "last_outcome": "succeeded", "last_problem": None,
        "last_summary": {}, "holder": None,
    }  # fmt: skip
    return LaneState(**(defaults | values))


@pytest.mark.parametrize(
    ("values", "ok", "text"),
    [
        ({}, True, "shop/new: succeeded, 40 min behind"),
        (
            {"last_outcome": "running", "holder": "run r1", "last_started_at": NOW - timedelta(hours=2)},
            True,
            "shop/new: running, 40 min behind",
        ),
        (
            {"last_outcome": "running", "holder": "run r1", "last_started_at": NOW - timedelta(hours=4)},
            False,
            "shop/new: run r1 has been running for 4 h 0 min",
        ),
        (
            {"last_outcome": "running", "holder": None},
            False,
            "shop/new: run r1 died",
        ),
        (
            {"last_outcome": "running", "holder": "run r1", "progressed_at": NOW - timedelta(minutes=12)},
            False,
            "shop/new: run r1: no progress for 12 min",
        ),
        (
            {"last_outcome": "failed", "last_problem": "the credential is wrong"},
            False,
            "shop/new: its last run failed: the credential is wrong",
        ),
        (
            {"last_started_at": NOW - timedelta(hours=2)},
            False,
            "shop/new: did not run at its last tick, 2026-01-05 12:00 UTC",
        ),
        (
            {"watermark": datetime(1, 1, 1, tzinfo=UTC), "last_outcome": "failed", "last_problem": "x"},
            False,
            "shop/new: its watermark lies before 2000-01-01, so that every pass fails",
        ),
        (
            {"watermark": NOW + timedelta(days=1)},
            False,
            "shop/new: its watermark lies 24 h 0 min ahead of our clock",
        ),
        (
            {"watermark": None, "last_started_at": None, "last_outcome": None},
            False,
            "shop/new: did not run at its last tick, 2026-01-05 12:00 UTC",
        ),
    ],
)
def test_a_lane_is_examined(values: dict[str, Any], ok: bool, text: str) -> None:
    finding = examine_lane(state(**values), ScheduleSettings(), NOW)
    assert (finding.ok, finding.text) == (ok, text)
    assert bool(finding.remedy) is not ok


def test_a_lane_may_start_half_an_hour_late() -> None:
    finding = examine_lane(
        state(watermark=None, last_started_at=None, last_outcome=None),
        ScheduleSettings(),
        datetime(2026, 1, 5, 12, 20, tzinfo=UTC),
    )
    assert (finding.ok, finding.text) == (True, "shop/new: has not run yet")


def test_the_lanes_of_a_new_account_have_half_an_hour_for_their_first_run() -> None:
    new = state(watermark=None, last_started_at=None, last_outcome=None)
    assert examine_lane(new, ScheduleSettings(), NOW, written_at=NOW - timedelta(minutes=29)).ok
    assert examine_lane(new, ScheduleSettings(), NOW, written_at=NOW - timedelta(minutes=31)).kind == "silent"
    ran = state(last_started_at=NOW - timedelta(hours=2))
    assert examine_lane(ran, ScheduleSettings(), NOW, written_at=NOW).kind == "silent", "an edit excuses nothing"


def test_rate_limits_and_records_are_examined(connection: Connection) -> None:
    assert [finding.ok for finding in EXAMINATIONS["rate limits"]()] == [True]
    assert [finding.ok for finding in EXAMINATIONS["records"]()] == [True] * 4
    connection.execute(
        "INSERT INTO rate_limits (account, bucket, next_slot, blocked_until) "
        "SELECT 'shop', bucket, now(), now() + interval '1 hour' FROM unnest(ARRAY['a', 'b']) AS bucket"
    )
    connection.execute(
        "INSERT INTO lane_runs (account, sync_type, run_id, outcome, summary) "
        """VALUES ('shop', 'new', 'r1', 'succeeded', '{"too_many_requests": 3}')"""
    )
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', '1', '', '[]')"
    )
    blocked, limited = EXAMINATIONS["rate limits"]()
    assert blocked.text.startswith("shop is blocked by its marketplace until ")
    assert limited.text == "the marketplace of shop answered 3 requests of the last day with 429 (too many requests)"
    assert [finding.text for finding in EXAMINATIONS["records"]() if not finding.ok] == ["shop: 1 rejected records"]


def test_events_that_wait_and_events_that_failed_are_two_findings(connection: Connection) -> None:
    """Of those that failed, the daemon's life is no remedy."""
    for order_id in ("1", "2", "3"):
        store_order(connection, StoredOrder(order_id, [StoredItem(f"{order_id}00")]))
    connection.execute("UPDATE order_events SET recorded_at = now() - interval '11 minutes'")
    connection.execute("UPDATE order_events SET attempts = 5 WHERE order_id = '1'")
    waiting, failed = (finding for finding in EXAMINATIONS["records"]() if not finding.ok)
    assert waiting.text == "shop: 2 order events wait for the stock job for more than 10 minutes"
    assert failed.text == "shop: 1 order events that could not be applied"
    assert "orders-sync stock retry-event" in str(failed.remedy)


def test_damage_is_found_and_a_reread_is_offered(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in (1, 2, 3):
        an_order(marketplace, number)
    sync(account)
    assert [finding.ok for finding in EXAMINATIONS["damage"]()] == [True] * 3
    connection.execute("DELETE FROM order_items WHERE order_id = '1'")
    connection.execute("UPDATE orders SET status = 'shipped' WHERE order_id = '2'")
    connection.execute("DELETE FROM orders WHERE order_id = '3'")
    found = list(EXAMINATIONS["damage"]())
    assert [finding.text for finding in found] == [
        "shop: 1 orders without items",
        "shop: 1 items without their order",
        "shop: 1 orders whose status is not that of their last event",
    ]
    assert all("orders-sync sync --type modified --reread" in finding.remedy for finding in found)
    connection.execute("DELETE FROM order_events WHERE order_id = '3'")
    sync(account, "modified", reread=True)
    assert [finding.ok for finding in EXAMINATIONS["damage"]()] == [True] * 3


def test_an_examination_that_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/orders")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "FAIL database: The orders database postgresql://me@127.0.0.1:1/orders does not answer" in result.output
    settings = "its settings are valid, its credentials are set"
    assert f"ok   accounts: back_market_sandbox, mirakl_sandbox, refurbed_sandbox: {settings}" in result.output
    assert "FAIL daemon: the scheduler daemon is not alive (never seen)" in result.output
    assert "→ Start it: `make run`" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(("deadline", "is_found"), [("495m", True), ("496m", False)])
def test_a_deadline_that_may_run_out_before_a_pass_has_answered_is_found(
    shop: Marketplace, tmp_path: Path, deadline: str, is_found: bool
) -> None:
    """By default, `new` has no ticks from 22:00 to 6:00, and a pass may take 15 minutes until it has answered a line."""
    add_account(tmp_path, shop, "shop", acceptance_deadline=deadline)
    found = [finding.text for finding in EXAMINATIONS["acceptance deadlines"]()]
    assert found == [
        "shop: its acceptance_deadline of 8 h 15 min is no longer than the 8 h 15 min that a line may wait for a pass of "
        "`new` to answer it: one that is paid right after a pass runs out"
    ] * is_found  # fmt: skip
    add_account(tmp_path, shop, "shop", acceptance_deadline=deadline, schedules={"new": "@hourly"})
    assert list(EXAMINATIONS["acceptance deadlines"]()) == []
    add_account(tmp_path, shop, "shop", acceptance_deadline=deadline, syncs={"new": False})
    assert list(EXAMINATIONS["acceptance deadlines"]()) == []


def test_waiting_lines_that_a_person_has_to_answer_are_counted_also_of_an_account_whose_file_has_an_error(
    shop: Marketplace, tmp_path: Path
) -> None:
    """One line each, though the requests were about the order: the pass sends no more, and the clock says so."""
    add_account(tmp_path, shop, "shop", accept_orderlines=True, accept_by="order")
    an_order(shop, 1, state=1, line_state=1, skus=("PHONE", "CASE"))
    an_order(shop, 2, state=1, line_state=1)
    shop.fault("status", method="POST", path="/ws/orders/1", status=400, times=0)
    for _ in range(MAX_REQUESTS):
        assert [finding.text for finding in EXAMINATIONS["waiting orderlines"]()] == [
            "no orderlines could not be accepted, or refused, in 5 requests"
        ]
        sync(find_account("shop"))
    write_account(tmp_path, "shop", {"marketplace": "none"})
    assert [finding.text for finding in EXAMINATIONS["waiting orderlines"]()] == [
        "shop: 2 orderlines could not be accepted, or refused, in 5 requests"
    ]


def test_a_database_that_may_be_written_to_is_fine(connection: Connection) -> None:
    assert all(finding.ok for finding in EXAMINATIONS["database"]())
    assert connection.execute("SELECT count(*) FROM lanes").fetchone() == (0,)


def test_a_user_without_a_right_is_found(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("DROP ROLE IF EXISTS reads_orders")
    connection.execute("CREATE ROLE reads_orders LOGIN")
    try:
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reads_orders")
        connection.execute("REVOKE INSERT ON orders FROM reads_orders")
        monkeypatch.setenv("ORDERS_DATABASE_URL", database_url.replace("postgres@", "reads_orders@"))
        _, finding = EXAMINATIONS["database"]()
        assert (finding.ok, finding.text) == (
            False, "the user of the orders database may not write to 1 of its tables: orders",
        )  # fmt: skip
    finally:
        connection.execute("DROP OWNED BY reads_orders")
        connection.execute("DROP ROLE reads_orders")


def test_a_read_only_database_is_found_in_one_line(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only = quote("-c default_transaction_read_only=on")
    monkeypatch.setenv("ORDERS_DATABASE_URL", f"{database_url}&options={read_only}")
    result = CliRunner().invoke(main, ["doctor"])
    assert "FAIL database: The orders database is read-only: cannot execute INSERT in a read-only" in result.output


def test_what_several_lanes_have_in_common_is_one_finding_and_the_summary_names_the_first(
    shop: Marketplace, tmp_path: Path
) -> None:
    add_account(tmp_path, shop, "another")
    for name in ("shop", "another"):
        os.utime(find_account(name).file, (0, 0))
    result = CliRunner().invoke(main, ["doctor"])
    late = [line for line in result.output.splitlines() if "did not run at its last tick" in line]
    assert late
    # Two syncs whose last tick was at the same time have one text, too.
    assert all(
        re.match(r"     so also lanes: another/\w+, ((another|shop)/\w+, )*shop/\w+: did not run", line)
        for line in late
    ), late
    assert result.output.splitlines()[0].startswith("FAIL daemon: the scheduler daemon is not alive")
    summary = result.output.splitlines()[-1]
    assert summary.startswith("1 problem; start with daemon: the scheduler daemon is not alive")


def test_findings_are_printed_as_json(shop: Marketplace) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    found = json.loads(result.output)
    assert result.exit_code == 1
    assert {each["examination"] for each in found} <= EXAMINATIONS.keys()
    assert {"ok": True, "about": "shop", "what": "its settings are valid, its credentials are set"}.items() <= next(
        each for each in found if each["examination"] == "accounts"
    ).items()


@pytest.mark.parametrize(("failures", "is_alerted"), [(1, False), (2, False), (3, True), (9, True)])
def test_a_lane_is_a_trouble_once_its_retries_have_failed(failures: int, is_alerted: bool) -> None:
    failed = state(last_outcome="failed", last_problem="HTTP 500")
    finding = examine_lane(failed, ScheduleSettings(), NOW, failures=failures)
    assert not finding.ok
    assert is_trouble(finding) == is_alerted


def test_a_lane_that_missed_a_tick_stays_missed_when_the_next_tick_comes() -> None:
    """With ticks of less than half an hour, too: else it would be well again at each of them."""
    long_ago = state(last_started_at=NOW - timedelta(hours=5), last_finished_at=NOW - timedelta(hours=5))
    for minutes in range(0, 180, 7):
        for crons in ({}, {"schedules": {"new": "*/10 * * * *"}}):
            finding = examine_lane(long_ago, check_schedules(crons, "f"), NOW + timedelta(minutes=minutes))
            assert finding.kind == "silent", (minutes, crons)


def test_a_lane_that_is_tried_again_has_still_failed() -> None:
    running = state(last_outcome="running", holder="run r1", last_started_at=NOW - timedelta(minutes=2))
    assert examine_lane(running, ScheduleSettings(), NOW, failures=3).kind == "failed"
    assert examine_lane(running, ScheduleSettings(), NOW, failures=2).ok


def test_a_partial_pass_is_well_and_shown_nevertheless() -> None:
    finding = examine_lane(state(last_summary={"put_off": 2, "documents_put_off": 1}), ScheduleSettings(), NOW)
    assert finding.ok
    assert finding.text == (
        "shop/new: its last pass was partial: 3 records or documents could not be fetched, and are tried again"
    )
    assert (is_trouble(finding), finding.level) == (True, Level.WARNING)


def test_many_records_that_are_rejected_within_an_hour_are_a_burst(connection: Connection) -> None:
    rejected = (
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) "
        "SELECT 'shop', 'order', number::text, '', '[]' FROM generate_series(%s::int, %s::int) AS number"
    )
    connection.execute(rejected, [1, 19])
    assert [each.kind for each in EXAMINATIONS["records"]() if not each.ok] == ["rejected records"]
    connection.execute(rejected, [20, 20])
    _, burst = (each for each in EXAMINATIONS["records"]() if not each.ok)
    assert (burst.text, burst.page) == ("shop: 20 records were rejected within an hour", "/operations/rejected")
    connection.execute(rejected.replace("'shop'", "'another'"), [1, 1])
    assert [each.about for each in EXAMINATIONS["records"]() if not each.ok] == ["another", "shop", "shop"]
    connection.execute("DELETE FROM rejected_records WHERE account = 'another'")
    connection.execute("UPDATE rejected_records SET first_seen_at = now() - interval '61 minutes'")
    assert [each.kind for each in EXAMINATIONS["records"]() if not each.ok] == ["rejected records"]


def test_a_day_of_the_cutover_that_is_not_good_is_found(connection: Connection) -> None:
    of_v1 = "back_market_sandbox"
    assert list(EXAMINATIONS["cutover"]()) == []
    note_moves(connection, [of_v1], Phase.LIVE, Phase.PARALLEL, BY)
    for missing, good in ((0, True), (1, False)):
        connection.execute(
            "INSERT INTO migration_comparisons (account, day, orders_v1, orders_v2, orders_in_both, only_in_v1, "
            "missing_in_v2, only_in_v2, differing, in_flight, agreement, correct, locks_v1, locks_v2, locks_differing, "
            "first_in_v1, first_in_v2, calls_v2, too_many_requests_v2, verdict, compared_orders, is_whole_day) "
            "VALUES (%s, (now() AT TIME ZONE 'UTC')::date - 1, 9, 9, 9, 0, %s, 0, 0, 0, 100, 100, 1, 1, 0, 0, 0, 1, 0, "
            "'text', 9, true)",
            [of_v1, missing],
        )
        found = list(EXAMINATIONS["cutover"]())
        assert (found == []) is good
    (bad,) = EXAMINATIONS["cutover"]()
    assert re.fullmatch(rf"{of_v1}: \d{{4}}-\d\d-\d\d is not a good day of the cutover: text", bad.text)


def test_lines_that_run_out_before_the_next_pass_are_found(
    shop: Marketplace, connection: Connection, tmp_path: Path
) -> None:
    add_account(tmp_path, shop, "shop", acceptance_deadline="30m", schedules={"new": "0 0 1 1 *"})
    an_order(shop, 1, state=1, line_state=1, age=timedelta(minutes=10))
    sync(find_account("shop"), "new")
    _, late = EXAMINATIONS["waiting orderlines"]()
    assert late.what == "1 waiting orderlines run out before the next pass of `new` has answered them"
    assert (late.about, late.page) == ("shop", "/operations/waiting")
    add_account(tmp_path, shop, "shop", acceptance_deadline="1m", schedules={"new": "0 0 1 1 *"})
    assert len(list(EXAMINATIONS["waiting orderlines"]())) == 1, "its time is over: it must not hide what runs out next"


def test_what_the_code_server_left_out_and_what_has_changed_since_is_found(
    shop: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(code_location, "accounts_folder", lambda: tmp_path)

    def found() -> list[str]:
        return [each.text for each in EXAMINATIONS["code location"]() if not each.ok]

    code_location.note_code_location({}, ["alerts"])
    assert [each.what for each in EXAMINATIONS["code location"]()] == ["no code server runs on this machine"]
    monkeypatch.setattr("sys.argv", ["dagster", "api", "grpc"])
    code_location.note_code_location({Path("mine.py"): "mine.py: ValueError: not today"}, [])
    assert found() == ["mine.py is left out: mine.py: ValueError: not today"]
    code_location.note_code_location({}, ["alerts"])
    assert found() == []
    add_account(tmp_path, shop, "another")
    add_account(tmp_path, shop, "shop", accept_orderlines=True)
    assert [text.split(": ")[0] for text in found()] == [
        str(tmp_path / name / "defs.yaml") for name in ("another", "shop")
    ]
    added, changed = (text.partition(": ")[2] for text in found())
    assert added.startswith("added after the code location was loaded at ")
    assert changed.startswith("changed after the code location was loaded at ")
    assert [code_location.is_loaded(name) for name in ("alerts", "gone_schedule")] == [True, False]
    noted = tmp_path / "state" / "code_location.json"
    noted.write_text(noted.read_text().replace('"started_at": ', '"started_at": 1'))
    (ended,) = found()  # another process has the number of the code server's now
    assert re.fullmatch(r"the code server that loaded the definitions at .* UTC has ended", ended)
    with open_instance() as instance:
        store_sensor(instance, "alerts", time.time())
    (finding,) = EXAMINATIONS["code location"]()
    assert (finding.ok, finding.what) == (True, f"{ended}; another one evaluates the ticks")
