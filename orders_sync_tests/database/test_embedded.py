"""The embedded PostgreSQL: every process may start it, and the last one stops it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest

from orders_sync.config.private_files import NoFolderError
from orders_sync.database.embedded import START_SECONDS, embedded_url, stop_if_last
from orders_sync.testing.waiting import wait_for

USE_IT = """
import sys
from pathlib import Path
import psycopg
from orders_sync.database.embedded import embedded_url
with psycopg.connect(embedded_url("shop", Path(sys.argv[1]))) as connection:
    print(connection.execute("SELECT current_database()").fetchone()[0], flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ose-") as name:  # short: the path of a Unix socket is limited
        yield Path(name)


def is_running(folder: Path) -> bool:
    return (folder / "postgres" / "postmaster.pid").exists()


def kill_server(folder: Path) -> None:
    os.kill(int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def is_cut(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def user_of(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the server, once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE_IT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "shop\n"
    return process


def test_the_last_process_stops_the_server(folder: Path) -> None:
    with user_of(folder) as other:
        url = embedded_url("orders", folder)
        assert embedded_url("orders", folder) == url
        assert not stop_if_last(folder)  # the other process uses it
        assert is_running(folder)
        other.communicate("\n")
    assert other.returncode == 0
    assert not is_running(folder)  # the other process was the last one


def test_a_killed_process_does_not_keep_the_server_running(folder: Path) -> None:
    with user_of(folder) as other:
        embedded_url("orders", folder)
        other.kill()
    assert is_running(folder)
    assert stop_if_last(folder)
    assert not is_running(folder)
    assert not stop_if_last(folder)  # there is nothing to stop any more


def test_a_killed_server_is_started_again_by_the_process_that_started_it(folder: Path) -> None:
    try:
        for _ in range(2):
            with psycopg.connect(embedded_url("orders", folder)) as connection:
                kill_server(folder)
                wait_for(partial(is_cut, connection), seconds=30)  # its process ends a moment after the server
        with psycopg.connect(embedded_url("orders", folder)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        stop_if_last(folder)


def test_a_killed_server_is_started_again_by_a_process_that_found_it_running(folder: Path) -> None:
    with user_of(folder) as other:
        url = embedded_url("orders", folder)
        kill_server(folder)
        assert embedded_url("orders", folder) == url
        other.communicate("\n")
    assert stop_if_last(folder)


def test_a_server_whose_connections_outlive_it_is_started_once_they_have_ended(folder: Path) -> None:
    """PostgreSQL refuses to start beside processes of the killed one, which might still write."""
    thread: threading.Thread | None = None
    try:
        with psycopg.connect(embedded_url("orders", folder)) as connection:
            backend = psutil.Process(connection.info.backend_pid)
            backend.suspend()
            kill_server(folder)
            thread = threading.Timer(3, backend.resume)
            thread.start()
            before = time.monotonic()
            embedded_url("orders", folder)
            assert time.monotonic() - before >= 2
    finally:
        if thread is not None:
            thread.join()
        stop_if_last(folder)


def test_a_server_without_a_connection_left_is_not_started_again(folder: Path) -> None:
    url = embedded_url("shop", folder)
    with ExitStack() as others:
        with suppress(psycopg.OperationalError):
            while True:
                others.enter_context(psycopg.connect(url))
        before = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            embedded_url("shop", folder)
        assert time.monotonic() - before < START_SECONDS / 2
    assert embedded_url("shop", folder) == url


def test_a_new_database_compares_texts_byte_by_byte(folder: Path) -> None:
    try:
        with psycopg.connect(embedded_url("orders", folder)) as connection:
            rows = connection.execute("SELECT name FROM unnest(ARRAY['b', 'A', 'a', 'ä', 'B']) AS name ORDER BY name")
            assert [name for (name,) in rows] == ["A", "B", "a", "b", "ä"]
    finally:
        stop_if_last(folder)


def test_a_folder_that_can_not_be_used_is_named(folder: Path) -> None:
    (folder / "postgres").write_text("a file, not a folder")
    with pytest.raises(NoFolderError, match=r"/postgres can't be made: it, or what it is to be in, is a file"):
        embedded_url("orders", folder)
