"""The processes of `orders-sync up` as a whole: started, watched, started again, stopped."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from orders_sync.cli.daemon import LOCK, application_of_daemon
from orders_sync.cli.frozen_databases import said_if_frozen
from orders_sync.cli.http_watch import HttpWatch
from orders_sync.cli.kept_databases import DatabasesUnreachableError, KeptDatabases
from orders_sync.cli.managed_process import ManagedProcess
from orders_sync.cli.output import console
from orders_sync.config.environment import STATE_FOLDER
from orders_sync.config.log_files import empty_if_full
from orders_sync.config.private_files import private_file
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection
from orders_sync.model.errors import UserFacingError

log = logging.getLogger("orders_sync.up")

LOOK_SECONDS = 1.0
"""How long it takes until the processes and the databases are looked at again."""
PATIENCE_SECONDS = 30.0
"""After so long, and each time again, a wait for a process says how long it has waited."""


class AlreadyRunningError(UserFacingError):
    """Another `orders-sync up` uses the same state folder."""


@contextmanager
def only_one(folder: Path, serves: str = "") -> Generator[None]:
    """Keeps a second `up` away from a state folder for the length of the block, or until the process is killed.

    `serves`: what a second `up` prints about this one, e.g. `UI on http://127.0.0.1:3000`. Raises AlreadyRunningError.
    """
    with open(folder / "up.lock", "a+", opener=private_file) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(
                f"orders-sync up already runs on the state folder {folder}: {file.read().strip() or 'it just started'}."
                f" Stop it first, or name another folder by {STATE_FOLDER}."
            ) from None
        file.truncate(0)
        parts = (f"running since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", serves, f"process {os.getpid()}")
        file.write(", ".join(filter(None, parts)) + "\n")
        file.flush()
        yield


class TimedReport:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def line(self, text: str) -> None:
        """Prints a line."""
        console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]", end="  ")
        console.print(text, markup=False)

    def error(self, text: str) -> None:
        """Prints a line about what needs a person, or has needed `up` to step in, and logs it as an error."""
        self.line(text)
        log.error("orders-sync up: %s", text)


class Supervisor:
    """Processes that run together. One that ends is started again, once both databases answer."""

    def __init__(self, databases: KeptDatabases, report: TimedReport) -> None:
        self._databases = databases
        self._report = report
        self._processes: list[ManagedProcess] = []
        self._answers: list[tuple[ManagedProcess, HttpWatch]] = []
        self._unreachable_since: float | None = None
        self._connections = 0

    def start(
        self, name: str, command: list[str], *, stop_seconds: float | None = None, needs_child: bool = False
    ) -> ManagedProcess:
        """Starts a process; the arguments are those of ManagedProcess."""
        options = {} if stop_seconds is None else {"stop_seconds": stop_seconds}
        process = ManagedProcess(name, command, needs_child=needs_child, **options)
        self._processes.append(process)
        return process

    def look(self) -> Connection | None:
        """Starts again what has ended, and keeps the logs small.

        Returns a connection to the orders database, or None while a database is away.

        Without its database a process may end again and again: until the databases answer, none is started, and its
        ends do not count. Raises ProcessDiedError when a process ends again and again.
        """
        for process in self._processes:
            if what := empty_if_full(process.log):
                self._report.line(what)
        now = time.monotonic()
        try:
            with said_if_frozen(self._report.error, self._report.line):
                connection = self._databases.orders()
        except DatabasesUnreachableError as problem:
            if self._unreachable_since is None:
                self._unreachable_since = now
                self._report.line(f"{problem}; connecting again until it does")
            return None
        if self._unreachable_since is not None:
            self._report.line(f"the databases answer again after {now - self._unreachable_since:.0f} s")
            self._unreachable_since = None
        for process in self._processes:
            if self._databases.connections > self._connections:
                process.excuse_ends()
            if what := process.keep_running():
                self._report.line(what)
        self._connections = self._databases.connections
        for process, watch in self._answers:
            if process.is_alive() and (what := watch.look(process.started_at)):
                self._report.error(f"{process.name} {what}; it is replaced")
                process.kill()
        return connection

    def keep_answering(self, process: ManagedProcess, url: str) -> None:
        """Waits until a GET of `url` succeeds, as `wait_until` does. From then on, `look` replaces it when it hangs."""
        watch = HttpWatch(url)
        self.wait_until(process, watch.succeeds, f"does not answer on {url} yet")
        self._answers.append((process, watch))

    def wait_until(self, process: ManagedProcess, condition: Callable[[], bool], state: str) -> None:
        """Waits until the condition is true, however long the machine needs, and says now and then for how long.

        `state`: what the process does until then. Raises ProcessDiedError when a process ends again and again.
        """
        started = said = time.monotonic()
        while not condition():
            self.look()
            if time.monotonic() - said >= PATIENCE_SECONDS:
                said = time.monotonic()
                self._report.line(f"{process.name} {state}; waiting for {said - started:.0f} s (see {process.log})")
            time.sleep(LOOK_SECONDS / 4)

    def daemon_elsewhere(self) -> str | None:
        """The daemon of another host that works on Dagster's database, so that ours waits; None: there is none."""
        own = application_of_daemon()
        with contextlib.suppress(DatabasesUnreachableError, psycopg.Error):
            for session in advisory_locks.sessions(self._databases.dagster(), LOCK):
                if session.application != own:
                    return str(session)
        return None

    def replace(self, *names: str) -> None:
        """Ends the processes of these names; the next look starts them again. The runs that they started go on."""
        for process in self._processes:
            if process.name in names:
                process.kill()

    def stop(self) -> None:
        """Stops all processes, the last one first, and closes the connections."""
        for process in reversed(self._processes):
            process.stop()
        self._databases.close()
