"""Workers are forked from a process that has imported everything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orders_sync.config.environment import PROJECT_ROOT

CODE_SERVER = """
import json, multiprocessing, sys

def worker(queue):
    import gc, os
    before = sorted(sys.modules)
    import orders_sync
    names = ("PYTHONPATH", "PYTHONSAFEPATH", "_ORDERS_SYNC_ENVIRONMENT")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    queue.put((before, gc.get_freeze_count() > 0, orders_sync.__file__, environment))

if __name__ == "__main__":
    import orders_sync.definitions
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=worker, args=[queue])
    process.start()
    modules, is_frozen, file, environment = queue.get(timeout=120)
    process.join(120)
    print(json.dumps({
        "has_imported": "orders_sync.passes.run_pass" in modules and "dagster_postgres" in modules,
        "is_frozen": is_frozen, "file": file, "environment": environment, "exit_code": process.exitcode,
    }))
"""
"""What a code server does when it starts a run, but for the run."""
KILLED = """
import multiprocessing, os, signal, sys, time
from multiprocessing import forkserver

def worker(end):
    end.wait(120)

if __name__ == "__main__":
    import orders_sync.definitions
    context = multiprocessing.get_context("spawn")
    ends, process = [context.Event(), context.Event()], []
    for end in ends:
        process.append(context.Process(target=worker, args=[end]))
        process[-1].start()
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    time.sleep(1)
    assert all(each.is_alive() for each in process), "both work on"
    ends[0].set()
    while process[0].is_alive():
        time.sleep(0.1)
    assert process[1].is_alive()
    ends[1].set()
    third = context.Process(target=worker, args=[ends[0]])
    third.start()
    third.join(120)
    assert third.exitcode == 0, "another process forks it"
"""
"""The process that forks workers is killed, e.g. since the machine has no memory left."""
OWN = str(PROJECT_ROOT / "orders_sync" / "__init__.py")


def output_of(text: str, folder: Path, *arguments: str, **environment: str) -> str:
    """What a program prints as a process with these arguments, in a folder."""
    program = folder / "bin" / "code_server.py"
    program.parent.mkdir()
    program.write_text(text)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, str(program), *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def started(folder: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """How such a process starts a worker."""
    found: dict[str, Any] = json.loads(output_of(CODE_SERVER, folder, *arguments, **environment))
    return found


@pytest.mark.parametrize("environment", [{}, {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONSAFEPATH": "1"}])
def test_a_code_server_forks_its_runs_with_everything_imported(tmp_path: Path, environment: dict[str, str]) -> None:
    assert started(tmp_path, "api", "grpc", **environment) == {
        "has_imported": True, "is_frozen": True, "file": OWN, "environment": environment, "exit_code": 0,
    }  # fmt: skip


def test_a_run_never_uses_another_copy_of_the_project_than_its_code_server(tmp_path: Path) -> None:
    """One that lies in the folder in which the code server was started."""
    (tmp_path / "orders_sync").mkdir()
    (tmp_path / "orders_sync" / "__init__.py").write_text("")
    found = started(tmp_path, "api", "grpc", PYTHONPATH=str(PROJECT_ROOT))
    assert (found["has_imported"], found["file"]) == (True, OWN)


def test_other_processes_start_what_they_start_as_ever(tmp_path: Path) -> None:
    found = started(tmp_path, "job", "execute")
    assert (found["has_imported"], found["is_frozen"]) == (False, False)


def test_workers_go_on_when_the_process_that_forked_them_is_killed(tmp_path: Path) -> None:
    """Dagster would call them failed, and run them again beside themselves."""
    output_of(KILLED, tmp_path, "api", "grpc")
