"""The processes of `orders-sync up` as a whole, with real processes and real databases."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from orders_sync.cli import frozen_databases, http_watch, managed_process, supervisor
from orders_sync.cli.daemon import LOCK, application_of_daemon
from orders_sync.cli.http_watch import HttpWatch
from orders_sync.cli.kept_databases import KeptDatabases
from orders_sync.cli.supervisor import AlreadyRunningError, Supervisor, TimedReport, only_one
from orders_sync.cli.up import replace_what_is_silent
from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.dagster_instance.storage import dagster_server_url
from orders_sync.database import advisory_locks
from orders_sync.database.embedded import stop_if_last
from orders_sync.database.engine import connect
from orders_sync.testing.deployment import free_port
from orders_sync.testing.http_server import served
from orders_sync.testing.waiting import wait_for

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own, with an embedded server of its own."""
    with tempfile.TemporaryDirectory(prefix="oss-") as name:  # short: the path of a Unix socket is limited
        monkeypatch.setenv("ORDERS_SYNC_STATE", name)
        yield Path(name)
        stop_if_last(Path(name))


@pytest.fixture
def supervised(state: Path) -> Iterator[Supervisor]:
    """A supervisor without processes, both databases on the embedded server."""
    made = Supervisor(KeptDatabases("test"), TimedReport())
    yield made
    made.stop()


def kill_server(state: Path) -> None:
    os.kill(int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was reported, without the seconds."""
    return [line.partition(" s  ")[2] for line in capsys.readouterr().out.splitlines()]


def test_a_killed_embedded_server_is_started_again_though_no_process_needs_it(
    state: Path, supervised: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    part = supervised.start("part", SLEEPS)
    assert supervised.look()
    kill_server(state)
    wait_for(lambda: supervised.look() is None, seconds=10)
    connection = wait_for(supervised.look, seconds=30)
    assert connection is not None
    assert connection.execute("SELECT current_database()").fetchone() == ("orders",)
    assert part.is_alive()
    lost, back = lines(capsys)
    assert re.match("the (orders database|database of Dagster) does not answer: ", lost)  # whose end comes first
    assert back.startswith("the databases answer again after ")


def test_cut_connections_are_opened_again(
    database_url: str, supervised: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a restart of the server cuts them. The two databases may be on different servers."""
    connection = supervised.look()
    assert connection
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    again = wait_for(supervised.look, seconds=30)
    assert again is not connection
    assert [line.partition(":")[0] for line in lines(capsys)] == [
        "the orders database does not answer",
        "the databases answer again after 0 s",
    ]


def test_processes_that_end_while_the_database_is_away_are_started_once_it_is_back(
    state: Path, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.01)
    part = supervised.start("part", SLEEPS)
    assert supervised.look()
    with monkeypatch.context() as away:
        away.setenv(ORDERS_DATABASE_URL, f"postgresql://nobody@127.0.0.1:{free_port()}/orders")
        kill_server(state)  # what was opened before is cut
        (child,) = (each for each in psutil.Process().children() if each.cmdline() == SLEEPS)
        child.kill()
        wait_for(lambda: not part.is_alive(), seconds=10)
        for _ in range(managed_process.MAX_ENDS + 1):
            assert supervised.look() is None
        assert not part.is_alive()
    wait_for(lambda: supervised.look() and part.is_alive(), seconds=30)
    lost, back, started = lines(capsys)
    assert lost.startswith("the orders database does not answer: ")
    assert back.startswith("the databases answer again after ")
    assert started == "part ended with exit code -9; it is started again in 0 s"


def test_a_slow_start_is_waited_for_and_says_how_long(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE_SECONDS", 0.5)
    port = free_port()
    server = f"HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler).serve_forever()"
    slow = f"import time; time.sleep(3); from http.server import *; {server}"
    assert supervised.look()  # starts the server
    part = supervised.start("part", [sys.executable, "-c", slow])
    supervised.keep_answering(part, f"http://127.0.0.1:{port}/")
    waits = lines(capsys)
    assert len(waits) >= 2
    state = rf"part does not answer on http://127\.0\.0\.1:{port}/ yet"
    assert all(re.fullmatch(rf"{state}; waiting for \d+ s \(see {part.log}\)", line) for line in waits)


def test_a_process_that_hangs_is_replaced(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lives and holds its port, but answers nothing: the operating system accepts connections in its place."""
    monkeypatch.setattr(http_watch, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(http_watch, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(http_watch, "SILENT_SECONDS", 2.0)
    port = free_port()
    server = f"from http.server import *; HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler).serve_forever()"
    part = supervised.start("part", [sys.executable, "-c", server])
    supervised.keep_answering(part, f"http://127.0.0.1:{port}/")

    def answers_after_a_look() -> bool:
        supervised.look()
        return HttpWatch(f"http://127.0.0.1:{port}/").succeeds()

    assert answers_after_a_look()
    (child,) = (each for each in psutil.Process().children() if server in each.cmdline())
    child.suspend()
    wait_for(answers_after_a_look, seconds=60)
    hangs = rf"part has not answered on http://127\.0\.0\.1:{port}/ for \d+ s; it is replaced"
    replaced, ended = lines(capsys)
    assert re.fullmatch(hangs, replaced)
    assert ended == "part ended with exit code -9; it is started again in 1 s"


PART = """
import sys, time
from orders_sync.database.engine import connect
try:
    with connect(application="part") as connection:
        while True:
            connection.execute("SELECT 1")
            time.sleep(0.05)
except Exception as error:
    print(type(error).__name__, flush=True)
    sys.exit(1)
"""


def test_ends_that_a_restarted_database_has_caused_do_not_count(state: Path, supervised: Supervisor) -> None:
    """However often it is restarted, and however fast: a part that ends with its connection is started again."""
    assert supervised.look()
    part = supervised.start("part", [sys.executable, "-c", PART])

    def works() -> bool:
        connection = supervised.look()
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'part'"
        return connection is not None and part.is_alive() and connection.execute(query).fetchone() == (1,)

    for _ in range(managed_process.MAX_ENDS + 1):
        wait_for(works, seconds=60, every=0.1, what="the part")
        kill_server(state)
        wait_for(lambda: not part.is_alive(), seconds=30, what="the end of the part")
    wait_for(works, seconds=60, every=0.1, what="the part")


class Clock:
    """A clock that tests put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def test_one_late_answer_after_a_gap_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody looked, as when `up` waited for a frozen database, the process may have answered."""
    clock = Clock()
    monkeypatch.setattr(http_watch, "time", clock)
    with socket.create_server(("127.0.0.1", 0)) as silent, served(answers_well) as url:
        watch = HttpWatch(url)
        started_at = clock.monotonic()
        assert watch.look(started_at) is None
        watch._url = f"http://127.0.0.1:{silent.getsockname()[1]}"  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(http_watch, "ANSWER_SECONDS", 0.1)
        clock.ahead += 70
        assert watch.look(started_at) is None
        for _ in range(5):
            clock.ahead += 11
            assert watch.look(started_at) is None
        clock.ahead += 11
        assert re.fullmatch(r"has not answered on .* for 6\d s", str(watch.look(started_at)))


def test_an_error_is_an_answer_and_a_start_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(http_watch, "time", clock)
    monkeypatch.setattr(http_watch, "ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, served(fails) as url:
        watch = HttpWatch(url)
        for _ in range(9):
            assert watch.look(clock.monotonic()) is None
            clock.ahead += 11
        starting = HttpWatch(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started_at = clock.monotonic()
        for _ in range(16):
            assert starting.look(started_at) is None
            clock.ahead += 11
        clock.ahead += 11
        assert starting.look(started_at) is not None


async def answers_well(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("broken", 500)(scope, receive, send)


def test_a_database_that_is_frozen_is_reported(
    state: Path, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert supervised.look()
    monkeypatch.setattr(frozen_databases, "FROZEN_SECONDS", 0.5)
    server = psutil.Process(int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
    frozen = [server, *server.children()]
    for process in frozen:
        process.suspend()

    def thaw() -> None:
        time.sleep(2)
        for process in frozen:
            process.resume()

    with ThreadPoolExecutor(1) as other:
        other.submit(thaw)
        assert supervised.look()
    away, back = lines(capsys)
    assert away == "the databases have not answered for 0 s; waiting until they do"
    assert re.fullmatch(r"the databases answer again after \d+ s", back)


def test_a_process_that_dies_while_it_starts_is_started_again(
    state: Path, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed_process, "PAUSE_SECONDS", 0.01)
    marker = state / "second"
    program = (
        f"import os, pathlib, signal, time; marker = pathlib.Path({str(marker)!r})\n"
        "if not marker.exists():\n    marker.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "(marker.parent / 'ready').touch(); time.sleep(60)"
    )
    part = supervised.start("part", [sys.executable, "-c", program])
    supervised.wait_until(part, (state / "ready").exists, "starts")
    assert part.is_alive()


def test_a_daemon_that_waits_for_that_of_another_host_is_not_replaced(
    supervised: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes over by itself; replaced, it would begin to wait anew."""
    part = supervised.start("daemon", SLEEPS)
    assert supervised.look()
    with connect(dagster_server_url(), application=f"{LOCK} on another host") as other:
        advisory_locks.lock(other, LOCK)
        replace_what_is_silent(supervised, TimedReport(), "no tick was evaluated")
        assert part.is_alive()
        assert "is another host's: orders_sync daemon on another host" in " ".join(lines(capsys))
    with connect(dagster_server_url(), application=application_of_daemon()) as own:
        advisory_locks.lock(own, LOCK)
        replace_what_is_silent(supervised, TimedReport(), "no tick was evaluated")
    assert not part.is_alive()
    assert "code server and daemon are replaced" in " ".join(lines(capsys))


def test_a_second_up_on_the_same_state_folder_is_refused(state: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, time; from pathlib import Path; from orders_sync.cli.supervisor import only_one\n"
            "with only_one(Path(sys.argv[1]), 'UI on http://127.0.0.1:3001'):\n    print('in', flush=True); time.sleep(60)",
            str(state),
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        with pytest.raises(AlreadyRunningError) as problem, only_one(state):
            pass
        assert re.fullmatch(
            rf"orders-sync up already runs on the state folder {state}: running since \d{{4}}-\d\d-\d\d [\d:]{{8}} UTC, UI on "
            rf"http://127.0.0.1:3001, process {holder.pid}. Stop it first, or name another folder by ORDERS_SYNC_STATE.",
            str(problem.value),
        )
    finally:
        holder.kill()
        holder.wait()
    with only_one(state):  # a killed one leaves nothing behind
        pass
