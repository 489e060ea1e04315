"""What a killed `orders-sync up` left running, with real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orders_sync.cli import left_processes
from orders_sync.cli.left_processes import LeftProcess, end_left_processes, note_process
from orders_sync.cli.managed_process import ManagedProcess
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.waiting import limit, wait_for

PART = """
import subprocess, sys, time
run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
print(run.pid, flush=True)
time.sleep(120)
"""
UP = f"""
import sys, time
from orders_sync.cli.managed_process import ManagedProcess
for name, seconds in (("code_server", 0), ("daemon", 5)):
    ManagedProcess(name, [sys.executable, "-c", {PART!r}, name], stop_seconds=seconds)
print("up", flush=True)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def left(state: Path) -> Iterator[list[psutil.Process]]:
    """The two parts of an `up` that was killed, and the run that each of them started."""
    up = subprocess.Popen([sys.executable, "-c", UP], cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
    logs = [state / "logs" / f"{name}.log" for name in ("code_server", "daemon")]
    found: list[psutil.Process] = []
    try:
        assert up.stdout is not None
        assert up.stdout.readline() == b"up\n"
        found = [each for each in psutil.Process(up.pid).children() if each.cmdline()[-1] in ("code_server", "daemon")]
        for log in logs:
            found.append(psutil.Process(int(wait_for(log.read_text, seconds=30))))
        up.kill()
        up.wait(limit(10))
        yield found
    finally:
        up.kill()
        up.wait(limit(10))
        for each in found:
            if each.is_running():
                each.kill()


def is_there(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_the_parts_are_ended_and_their_runs_go_on(
    state: Path, left: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_processes, "END_SECONDS", 2.0)
    code_server, daemon, *runs = left
    daemon.suspend()  # it can't end by itself
    assert end_left_processes() == [
        f"{name} of an `up` that was killed still ran (process {process.pid}), and is ended; runs that were under way"
        " go on"
        for name, process in (("code_server", code_server), ("daemon", daemon))
    ]
    assert not is_there(code_server)
    assert not is_there(daemon)
    assert all(is_there(run) for run in runs)
    assert list((state / "processes").iterdir()) == []
    assert end_left_processes() == []


def test_another_program_with_the_number_of_a_part_is_left_alone(state: Path) -> None:
    note_process(LeftProcess("web", os.getpid(), [sys.executable, "-m", "orders_sync.cli", "web"], ends_by_itself=True))
    (state / "processes" / "odd.json").write_text("{")
    assert end_left_processes() == []
    assert psutil.Process().is_running()


def test_a_part_that_was_stopped_is_not_on_record(state: Path) -> None:
    part = ManagedProcess("part", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert (state / "processes" / "part.json").exists()
    part.stop()
    assert not (state / "processes" / "part.json").exists()
