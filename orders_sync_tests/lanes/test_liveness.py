"""Living runs and dead ones: a run lives as long as its process holds its lock."""

import os
import subprocess
import sys

from orders_sync.database.engine import Connection
from orders_sync.lanes.liveness import alive, is_alive
from orders_sync.testing.waiting import wait_for


def test_a_run_lives_for_the_length_of_its_block(connection: Connection) -> None:
    assert not is_alive(connection, "run-1")
    with alive("run-1"):
        assert is_alive(connection, "run-1")
        assert not is_alive(connection, "run-2")
    wait_for(lambda: not is_alive(connection, "run-1"), seconds=5, what="the end of the run")


def test_looking_takes_nothing_from_the_run(connection: Connection) -> None:
    assert [is_alive(connection, "run-1") for _ in range(2)] == [False, False]
    with alive("run-1"):
        assert [is_alive(connection, "run-1") for _ in range(2)] == [True, True]


def test_a_run_that_fails_lives_no_longer(connection: Connection) -> None:
    class Failed(Exception):
        pass

    try:
        with alive("run-1"):
            raise Failed
    except Failed:
        wait_for(lambda: not is_alive(connection, "run-1"), seconds=5, what="the end of the failed run")


def test_a_killed_process_lives_no_longer(connection: Connection) -> None:
    program = (
        "import time; from orders_sync.lanes.liveness import alive\n"
        "with alive('doomed'): print('here', flush=True); time.sleep(3600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    assert is_alive(connection, "doomed")
    process.kill()
    process.wait()
    wait_for(lambda: not is_alive(connection, "doomed"), seconds=5, what="the end of the killed run")
