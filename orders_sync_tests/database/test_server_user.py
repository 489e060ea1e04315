"""The user that root starts an embedded PostgreSQL as."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")

NAME_USER = """
import sys
from pathlib import Path
from orders_sync.database import server_user
server_user.NAME = sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
print(server_user.ServerUser.of(Path("/nonexistent")).uid, flush=True)
"""


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a user who does not exist yet."""
    name = f"osync{os.getpid()}"
    yield name
    subprocess.run(["userdel", name], capture_output=True, check=True)


def test_processes_that_start_at_once_use_the_same_user(name: str) -> None:
    """On a new machine, several servers may start at once, e.g. of two checkouts."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", NAME_USER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    uids = [process.communicate()[0].strip() for process in started]
    assert len(set(uids)) == 1, uids
