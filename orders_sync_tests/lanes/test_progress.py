"""Progress of passes: noted while they work or wait; a pass whose process is gone or frozen is found and ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database import heartbeat
from orders_sync.database.engine import Connection, connect
from orders_sync.lanes import lock
from orders_sync.lanes.activity import Activity, ActivityKind, activity
from orders_sync.lanes.history import LaneState, finished, lane_states, started
from orders_sync.lanes.lock import hold, holder
from orders_sync.lanes.progress import (
    Wait,
    end_frozen_holders,
    end_stalled_passes,
    fail_dead_passes,
    failures_in_row,
    note_progress,
)
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.sync_order import sync_order
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.waiting import limit, wait_for

LANE = Lane("shop", SyncType.NEW)
ROW = "SELECT run_id, outcome, problem, waits_for FROM lane_runs ORDER BY lane_run_id"


def state(connection: Connection) -> LaneState:
    return lane_states(connection, [Lane("shop", SyncType.NEW)])[0]


def doing(connection: Connection, later: timedelta = timedelta(0)) -> Activity:
    return activity(state(connection), datetime.now(UTC) + later)


@contextmanager
def a_pass_in_its_own_process(account: SellerAccount, run_id: str) -> Iterator["subprocess.Popen[str]"]:
    program = f"""
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.sync.pass_request import PassRequest
from orders_sync.passes.run_pass import run_pass
from orders_sync.model.lane import SyncType
run_pass(PassRequest(account_from("shop", {account.settings.model_dump()!r}, "f"), SyncType.NEW, {run_id!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=limit(10))


def test_a_lane_is_idle_before_and_after_its_passes(connection: Connection) -> None:
    assert doing(connection) == (ActivityKind.IDLE, "idle")
    with hold(LANE, "run-1") as holding:
        number = started(holding, LANE, "run-1")
        assert doing(connection) == (ActivityKind.RUNNING, "run run-1")
        finished(holding, LANE, number, PassSummary(), None)
    assert doing(connection) == (ActivityKind.IDLE, "idle")


def test_a_pass_without_progress_is_said_to_have_none(connection: Connection) -> None:
    with hold(LANE, "run-1") as holding:
        number = started(holding, LANE, "run-1")
        assert doing(connection, timedelta(minutes=2)).text == "run run-1, last progress 2 min ago"
        stalled = doing(connection, timedelta(minutes=12, seconds=1))
        assert stalled == (ActivityKind.STALLED, "run run-1: no progress for 12 min")
        until = datetime.now(UTC) + timedelta(minutes=5)
        assert note_progress(connection, number, Wait("the end of a pause", until))
        assert doing(connection) == (
            ActivityKind.WAITING,
            f"run run-1, waits for the end of a pause, until {until:%H:%M:%S} UTC",
        )


def test_somebody_elses_work_on_the_lane_of_a_dead_pass_is_not_taken_for_the_pass(connection: Connection) -> None:
    with hold(LANE, "run-1") as holding:
        started(holding, LANE, "run-1")
    assert doing(connection) == (ActivityKind.DIED, "run run-1 died")
    with hold(LANE, "cli-2"):
        assert doing(connection) == (ActivityKind.DIED, "run run-1 died; orders_sync shop/new cli-2 works on it")


def test_dead_passes_are_failed_and_living_ones_are_not(connection: Connection) -> None:
    with hold(LANE, "run-1") as holding:
        started(holding, LANE, "run-1")
        assert fail_dead_passes(connection) == []
    assert fail_dead_passes(connection) == [(LANE, "run-1", "its process died")]
    assert fail_dead_passes(connection) == []
    assert connection.execute(ROW).fetchall() == [("run-1", "failed", "its process died", None)]
    assert (state(connection).last_outcome, state(connection).last_problem) == ("failed", "its process died")
    assert failures_in_row(connection, [LANE, Lane("shop", SyncType.CARE)]) == {LANE: 1}


def test_a_row_that_somebody_has_locked_keeps_no_other_lane_waiting(
    connection: Connection, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = [Lane(name, SyncType.NEW) for name in ("a", "b", "c")]
    for lane in lanes:
        with hold(lane, f"run of {lane.account}") as holding:
            started(holding, lane, f"run of {lane.account}")
    with connect(database_url) as other, other.transaction():
        other.execute("SELECT FROM lanes WHERE account = 'b' FOR UPDATE")
        assert {each.lane.account for each in fail_dead_passes(connection)} == {"a", "c"}
        assert (
            "b/new: run run of b: its process died. This can't be stored: somebody has locked its row." in caplog.text
        )
    assert [each.lane.account for each in fail_dead_passes(connection)] == ["b"]


def test_the_progress_of_a_pass_that_was_ended_is_not_noted(connection: Connection) -> None:
    with hold(LANE, "run-1") as holding:
        number = started(holding, LANE, "run-1")
    fail_dead_passes(connection)
    assert not note_progress(connection, number, None)


def test_a_killed_pass_is_said_to_have_died(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    with marketplace.closed_gate("/ws/orders") as gate, a_pass_in_its_own_process(account, "doomed") as process:
        wait_for(lambda: gate.reached, seconds=60, what="the first call")
        assert doing(connection).text == "run doomed"
        process.kill()
        wait_for(lambda: doing(connection).text == "run doomed died", seconds=5, what="the death")


def test_a_pass_that_waits_for_a_slow_answer_makes_progress_and_says_until_when(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    with marketplace.closed_gate("/ws/orders") as gate, a_pass_in_its_own_process(account, "patient"):
        wait_for(lambda: state(connection).waits is not None, seconds=60, what="the noted wait")
        shown = doing(connection)
        assert shown.kind is ActivityKind.WAITING
        assert shown.text.startswith("run patient, waits for the answer to GET /ws/orders, until ")
        progressed_at = state(connection).progressed_at
        wait_for(lambda: state(connection).progressed_at != progressed_at, seconds=20, what="further progress")
        gate.is_open = True
        wait_for(lambda: state(connection).last_outcome == "succeeded", seconds=60, what="the end of the pass")
    assert connection.execute("SELECT waits_for, waits_until FROM lane_runs").fetchall() == [(None, None)]


def test_a_pass_that_waits_for_the_end_of_a_pause_says_so(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.fault("status", status=429, times=1, path="/ws/orders", headers={"Retry-After": "12"})
    passing = threading.Thread(target=sync, args=[account])
    passing.start()
    try:
        wait_for(lambda: state(connection).waits is not None, seconds=20, what="the noted wait")
        assert "waits for the end of the pause that the marketplace requested, until" in doing(connection).text
    finally:
        passing.join()
    assert state(connection).last_outcome == "succeeded"


def test_a_frozen_pass_is_ended_and_writes_nothing_when_it_wakes_up(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 51):
        an_order(marketplace, number)
    with marketplace.closed_gate("/ws/orders") as gate, a_pass_in_its_own_process(account, "frozen") as process:
        wait_for(lambda: gate.reached, seconds=60, what="the first call")
        process.send_signal(signal.SIGSTOP)
        assert end_stalled_passes(connection, timedelta(minutes=10)) == []
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert end_stalled_passes(connection, timedelta(minutes=10)) == [
            (LANE, "frozen", "it made no progress for 11 min, and was ended")
        ]
        assert holder(connection, LANE) is None
        assert state(connection).last_problem == "it made no progress for 11 min, and was ended"
        assert [(line.levelname, line.message) for line in caplog.records if line.name == "orders_sync.lanes"] == [
            ("ERROR", "shop/new: run frozen: it made no progress for 11 min, and was ended")
        ]
        gate.is_open = True
        sync(account)  # the next run is not kept waiting
        versions = connection.execute("SELECT order_id, xmin::text FROM orders ORDER BY 1").fetchall()
        rows = connection.execute("SELECT * FROM lane_runs ORDER BY 1").fetchall()
        assert len(versions) == 50
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=limit(60))
    assert process.returncode == 1
    assert "orders database" in errors
    assert connection.execute("SELECT order_id, xmin::text FROM orders ORDER BY 1").fetchall() == versions
    assert connection.execute("SELECT * FROM lane_runs ORDER BY 1").fetchall() == rows
    check_invariants(connection)


@contextmanager
def a_command_in_its_own_process(account: SellerAccount, call: str) -> Iterator["subprocess.Popen[str]"]:
    program = f"""
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.passes.sync_order import sync_order
account = account_from("shop", {account.settings.model_dump()!r}, "f")
{call}
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=limit(10))


def test_a_frozen_command_is_said_to_be_and_ended_and_writes_nothing_when_it_wakes_up(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    an_order(marketplace, 1)
    with (
        marketplace.closed_gate("/ws/orders") as gate,
        a_command_in_its_own_process(account, 'sync_order(account, "1", "cli-1")') as process,
    ):
        wait_for(lambda: gate.reached, seconds=60, what="the call")
        name = "orders_sync shop/new cli-1"
        assert doing(connection) == (ActivityKind.RUNNING, name)
        process.send_signal(signal.SIGSTOP)
        assert doing(connection, timedelta(minutes=12)) == (ActivityKind.STALLED, f"{name}: no progress for 12 min")
        time.sleep(2)
        assert end_frozen_holders(connection, [LANE], timedelta(minutes=10)) == []
        problem = "it showed no sign of life for 0 min, and was ended"
        assert end_frozen_holders(connection, [LANE], timedelta(seconds=1)) == [(LANE, name, problem)]
        assert [(line.levelname, line.message) for line in caplog.records if line.name == "orders_sync.lanes"] == [
            ("ERROR", f"shop/new: {name}: {problem}")
        ]
        assert doing(connection) == (ActivityKind.IDLE, "idle")
        gate.is_open = True
        sync(account)  # the next run is not kept waiting
        versions = connection.execute("SELECT order_id, xmin::text FROM orders ORDER BY 1").fetchall()
        assert len(versions) == 1
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=limit(60))
    assert process.returncode == 1
    assert "OperationalError" in errors or "AdminShutdown" in errors
    assert connection.execute("SELECT order_id, xmin::text FROM orders ORDER BY 1").fetchall() == versions
    check_invariants(connection)


def test_a_command_whose_process_works_is_left_alone_however_slow_its_answer(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(lock, "LOOK_SECONDS", 0.3)
    an_order(marketplace, 1)
    with marketplace.closed_gate("/ws/orders") as gate:
        working = threading.Thread(target=sync_order, args=[account, "1", "cli-1"])
        working.start()
        try:
            wait_for(lambda: gate.reached, seconds=60, what="the call")
            for _ in range(12):
                time.sleep(0.3)
                assert end_frozen_holders(connection, [LANE], timedelta(seconds=limit(2.0))) == []
                assert holder(connection, LANE) is not None
        finally:
            gate.is_open = True
            working.join()
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_failures_are_counted_since_the_last_success(connection: Connection, outcome: str) -> None:
    for problem in ("first", "second", None if outcome == "succeeded" else "third"):
        with hold(LANE, "run") as holding:
            finished(holding, LANE, started(holding, LANE, "run"), PassSummary(), problem)
    assert failures_in_row(connection, [LANE]) == ({} if outcome == "succeeded" else {LANE: 3})
