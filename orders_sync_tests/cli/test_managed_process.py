"""The processes of `orders-sync up`, with real processes."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from orders_sync.cli import managed_process
from orders_sync.cli.managed_process import ManagedProcess, ProcessDiedError
from orders_sync.config.environment import state_folder
from orders_sync.testing.waiting import wait_for


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logs of the processes go to the test's folder."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))


def test_a_process_that_was_killed_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.1)
    process = ManagedProcess("part", [sys.executable, "-c", "import time; time.sleep(60)", "killed"])
    try:
        for _ in range(2):
            assert process.keep_running() is None
            (own,) = (child for child in psutil.Process().children() if "killed" in child.cmdline())
            own.kill()
            assert (
                wait_for(process.keep_running, seconds=10) == "part ended with exit code -9; it is started again in 0 s"
            )
            wait_for(lambda: process.keep_running() is None and process.is_alive(), seconds=10)
    finally:
        process.stop()


def test_a_process_that_ends_again_and_again_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.01)
    process = ManagedProcess("part", [sys.executable, "-c", "print('no'); raise SystemExit(7)"])
    reported: list[str] = []

    def ended() -> bool:
        reported.extend(filter(None, [process.keep_running()]))
        return False

    with pytest.raises(ProcessDiedError) as problem:
        wait_for(ended, seconds=60, every=0.02)
    log = state_folder() / "logs" / "part.log"
    assert str(problem.value) == f"part ended with exit code 7: no / no / no (see {log})"
    assert len(reported) == managed_process.MAX_ENDS - 1


def test_ends_after_a_steady_life_are_not_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(managed_process, "STEADY_SECONDS", 0.1)
    process = ManagedProcess("part", [sys.executable, "-c", "import time; time.sleep(0.5)"])
    try:
        for _ in range(managed_process.MAX_ENDS + 2):
            reported = wait_for(process.keep_running, seconds=30, every=0.05, what="the end")
            assert reported == "part ended with exit code 0; it is started again in 0 s"
    finally:
        process.stop()


def test_a_process_whose_child_was_killed_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(managed_process, "IDLE_SECONDS", 0.5)
    log = tmp_path / "logs" / "part.log"
    program = (
        "import subprocess, sys, threading, time\n"
        "def start():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=start).start()\n"
    )
    process = ManagedProcess("part", [sys.executable, "-c", program], needs_child=True, stop_seconds=0)
    try:
        wait_for(log.read_text, seconds=30)
        for _ in range(10):
            assert process.keep_running() is None
            time.sleep(0.1)
        os.kill(int(log.read_text()), signal.SIGKILL)
        assert "it is started again" in str(wait_for(process.keep_running, seconds=10))
        wait_for(lambda: process.keep_running() is None and len(log.read_text().split()) == 2, seconds=30)
    finally:
        process.stop()


def test_the_child_that_a_process_needs_is_killed_with_it_also_when_it_is_frozen(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "part.log"
    program = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = ManagedProcess("part", [sys.executable, "-c", program], needs_child=True, stop_seconds=0)
    try:
        child = psutil.Process(int(wait_for(log.read_text, seconds=30)))
        child.suspend()
        process.kill()
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=10)
    finally:
        process.stop()


def test_a_process_may_end_without_a_wait(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    process = ManagedProcess("part", [sys.executable, "-c", stubborn], stop_seconds=0)
    wait_for(lambda: (tmp_path / "logs" / "part.log").read_text() == "on\n", seconds=30)
    before = time.monotonic()
    process.stop()
    assert time.monotonic() - before < managed_process.KILL_SECONDS
    assert not process.is_alive()


def test_what_a_process_started_is_stopped_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    process = ManagedProcess("part", [sys.executable, "-c", program])
    child = psutil.Process(int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), seconds=30)))
    assert os.getpgid(child.pid) != os.getpgid(0)
    process.stop()
    wait_for(
        lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=10, what="the child to end"
    )


def test_a_process_that_can_not_be_put_on_record_runs_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the disk is full."""
    (tmp_path / "processes" / "part.new").mkdir(parents=True)  # nothing can be written there
    process = ManagedProcess("part", [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert process.is_alive()
        assert "can't be put on record: Is a directory. If this `up` is killed, end that process" in caplog.text
    finally:
        process.stop()


def test_a_start_that_the_operating_system_refuses_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(managed_process, "RETRY_SECONDS", 0.2)
    program = tmp_path / "program"
    program.symlink_to("/bin/sleep")
    process = ManagedProcess("part", [str(program), "60"])
    try:
        program.unlink()
        process.kill()
        assert "it is started again" in str(wait_for(process.keep_running, seconds=10))
        for _ in range(2):
            refused = wait_for(process.keep_running, seconds=10)
            assert refused == "part can't be started: No such file or directory; it is tried again in 0 s"
        program.symlink_to("/bin/sleep")
        wait_for(lambda: process.keep_running() is None and process.is_alive(), seconds=10)
    finally:
        process.stop()


def test_what_a_process_makes_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster makes the folder of its code server's socket by the umask, and its calls need no login."""
    made = tmp_path / "made"
    before = os.umask(0)
    try:
        process = ManagedProcess("part", [sys.executable, "-c", f"import os; os.mkdir({str(made)!r})"])
        try:
            wait_for(made.exists, seconds=30)
        finally:
            process.stop()
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o077 == 0
