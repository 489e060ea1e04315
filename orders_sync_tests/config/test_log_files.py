"""Logs do not grow for ever, with real files and real writers."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orders_sync.cli.kept_databases import KeptDatabases
from orders_sync.cli.supervisor import Supervisor, TimedReport
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.log_files import OLD_FILES, empty_if_full, old_file
from orders_sync.passes.sync_log import LOGGER, log_to_file
from orders_sync.testing.waiting import limit, wait_for

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the logs, in a state folder of the test's own; a log is full with one megabyte."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))
    monkeypatch.setenv("ORDERS_SYNC_LOG_MEGABYTES", "1")
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def numbers(log: Path) -> list[int]:
    return [number for number in range(1, OLD_FILES + 3) if old_file(log, number).exists()]


def test_a_full_log_is_emptied_for_those_who_keep_it_open(logs: Path) -> None:
    log = logs / "web.log"
    with log.open("a") as writer:
        for turn in range(OLD_FILES + 2):
            writer.write(f"{turn}" * (MEGABYTE - 1))
            writer.flush()
            assert empty_if_full(log) is None
            assert log.stat().st_size == MEGABYTE - 1
            writer.write("\n")
            writer.flush()
            assert empty_if_full(log) is None
            assert log.stat().st_size == 0
    assert numbers(log) == list(range(1, OLD_FILES + 1))
    firsts = [old_file(log, number).read_text()[:1] for number in numbers(log)]
    assert firsts == ["5", "4", "3", "2"]


def test_a_log_that_can_not_be_kept_is_emptied_all_the_same(logs: Path) -> None:
    """As with a full disk; here the place of the copy is taken by a folder."""
    log = logs / "web.log"
    log.write_text("x" * MEGABYTE)
    old_file(log, 1).symlink_to("/dev/full")
    old_file(log, 2).mkdir()
    (old_file(log, 2) / "something").touch()
    (old_file(log, 3)).mkdir()
    (old_file(log, 3) / "something").touch()
    (old_file(log, 4)).mkdir()
    (old_file(log, 4) / "something").touch()
    assert str(empty_if_full(log)).startswith(f"the full log {log} could not be kept, and is emptied: ")
    assert log.stat().st_size == 0


def test_up_keeps_the_logs_of_its_processes_small(logs: Path) -> None:
    program = "import time\nwhile True:\n    print('x' * 999, flush=True); time.sleep(0.0005)"
    supervisor = Supervisor(KeptDatabases("test"), TimedReport())
    part = supervisor.start("part", [sys.executable, "-c", program])
    try:
        wait_for(lambda: supervisor.look() and len(numbers(part.log)) >= 2, seconds=60, every=0.05)
        before = part.log.stat().st_size
        wait_for(lambda: part.log.stat().st_size != before, seconds=10)  # it goes on writing there
    finally:
        supervisor.stop()
    assert part.log.stat().st_size < 5 * MEGABYTE
    assert b"\0" not in part.log.read_bytes()


def test_the_sync_log_begins_anew_for_all_who_write_to_it(logs: Path) -> None:
    log = logs / "sync.log"
    with log_to_file():
        LOGGER.info("the first line")
        log.write_text("x" * MEGABYTE + "\n")
        with log_to_file():  # as another process
            pass
        assert numbers(log) == [1]
        LOGGER.info("a line of whoever has opened the log before")
    assert old_file(log, 1).stat().st_size == MEGABYTE + 1
    assert log.read_text().endswith("INFO OrderSync a line of whoever has opened the log before\n")


def test_a_wrong_setting_stops_no_sync(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SYNC_LOG_MEGABYTES", "many")
    with log_to_file():
        LOGGER.log(logging.INFO, "it goes on")
    problem, line = (logs / "sync.log").read_text().splitlines()
    assert problem.endswith(
        "ERROR OrderSync The sync log is not kept small: ORDERS_SYNC_LOG_MEGABYTES is 'many'; allowed are 1 to 10000 "
        "MB, e.g. 20"
    )
    assert line.endswith("INFO OrderSync it goes on")


def test_the_command_log_follows_into_the_new_file(logs: Path) -> None:
    log = logs / "sync.log"
    log.write_text("before\n" + "x" * MEGABYTE + "\n")
    shown = logs / "shown"
    with shown.open("w") as output:
        follower = subprocess.Popen(
            [sys.executable, "-u", "-m", "orders_sync.cli", "log", "--follow", "-n", "1"],
            cwd=PROJECT_ROOT, stdout=output, env=os.environ,
        )  # fmt: skip
    try:
        wait_for(lambda: shown.stat().st_size > MEGABYTE, seconds=60)
        with log_to_file():
            LOGGER.info("the first line of the new file")
        wait_for(lambda: "OrderSync the first line of the new file" in shown.read_text(), seconds=30)
        time.sleep(0.5)
        with log.open("a") as file:
            file.write("the second one\n")
        wait_for(lambda: shown.read_text().endswith("the second one\n"), seconds=30)
    finally:
        follower.kill()
        follower.wait(limit(10))
    assert "before" not in shown.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "orders_sync.cli", "log", "-n", "4", "--grep", "e"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True, timeout=limit(60),
    )  # fmt: skip
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["before", "file", "one"]
