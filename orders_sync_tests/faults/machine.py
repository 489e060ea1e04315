"""The machines on which random sequences run: a folder, a database server, and what can be done to both."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import time_machine

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import ORDERS_DATABASE, embedded_url, stop_if_last
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync_tests import debian_packages
from orders_sync_tests.debian_postgresql import DebianServer
from orders_sync_tests.faults.other_host import OtherHost, other_host

DISK_MEGABYTES = 400
"""The size of the disk of a machine, where one can be mounted."""
STATE = "ORDERS_SYNC_STATE"
CAN_MOUNT = (
    shutil.which("unshare") is not None
    and not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
)
"""Whether a small disk can be mounted here; else it can't be full."""
CAN_HAVE_ANOTHER_HOST = (
    os.geteuid() == 0 and debian_packages.find("ip") is not None and debian_packages.find("postgresql") is not None
)
"""Whether another host can be made here, and a server that it reaches."""


class WorkersClock:
    """The clock of the processes that work, which may jump. Those of the database server and of this process do not."""

    def __init__(self, file: Path) -> None:
        """`file`: holds how many seconds the clock is ahead."""
        self._file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Sets the clock so many seconds ahead of the real time; negative: behind it."""
        written = self._file.with_suffix(".new")
        written.write_text(str(seconds))
        written.replace(self._file)

    def follow(self) -> None:
        """Makes it the clock of this process, whatever time it shows, until the process ends."""
        travelling = time_machine.travel(datetime.now(UTC)).start()

        def watch() -> None:
            ahead = 0
            while True:
                with contextlib.suppress(OSError, ValueError):
                    if (shown := int(self._file.read_text())) != ahead:
                        travelling.shift(shown - ahead)
                        ahead = shown
                time.sleep(0.05)

        threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Machine:
    """A machine, with its database server."""

    url: Callable[[], str]
    """The URL of the orders database; starts the server where whoever needs it does so."""
    pid: Callable[[], int]
    """The process of the server. Raises OSError or IndexError where it does not run."""
    restart: Callable[[], None]
    """Starts the server unless it runs, as the operating system does; nothing where whoever needs it starts it."""
    filler: Path | None
    """A file that fills the disk; None where there is none that may be full."""
    clock: WorkersClock
    host: OtherHost | None
    """Another host that reaches the server."""

    def kill_server(self) -> None:
        """Kills the server, if it runs; it is started again."""
        with contextlib.suppress(OSError, IndexError):
            os.kill(self.pid(), signal.SIGKILL)
        self.restart()

    def freeze_server(self, seconds: float) -> None:
        """Stops the server's main process for a while, if it runs: no connection is accepted."""
        with contextlib.suppress(OSError, IndexError):  # it may stop by itself: its disk was full
            pid = self.pid()
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)

    def has_sessions_of(self, host: OtherHost) -> bool:
        """Whether the server has sessions of another host. False if it does not answer: it ended with them."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.url(), autocommit=True) as own:
            query = "SELECT 1 FROM pg_stat_activity WHERE client_addr = %s"
            return own.execute(query, [host.own_address]).fetchone() is not None
        return False

    def administer(self, query: bytes) -> None:
        """Runs a statement as an administrator; nothing if the server does not answer."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.url(), autocommit=True) as own:
            own.execute(query)


@contextmanager
def machine_with_embedded_server() -> Generator[Machine]:
    """The embedded PostgreSQL: whoever needs it starts it."""
    with _state_folder() as (folder, filler):
        url = _orders_url
        upgrade_schema(url())
        try:
            pid_file = folder / "postgres" / "postmaster.pid"
            yield Machine(
                url,
                lambda: int(pid_file.read_text().split()[0]),
                lambda: None,
                filler,
                WorkersClock(folder / "clock"),
                host=None,
            )
        finally:
            stop_if_last()


def _orders_url() -> str:
    return embedded_url(ORDERS_DATABASE)


@contextmanager
def machine_with_server_of_its_own() -> Generator[Machine]:
    """A server that the operating system runs, and that another host reaches over the network."""
    with _state_folder() as (folder, filler), other_host() as host:
        (folder / "server").mkdir()
        server = DebianServer(folder / "server", host.address)
        server.start()
        try:
            with psycopg.connect(f"{server.url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE orders")
            url = f"{server.url}/{ORDERS_DATABASE}"
            os.environ[ORDERS_DATABASE_URL] = url
            upgrade_schema(url)
            yield Machine(lambda: url, server.pid, server.start_again, filler, WorkersClock(folder / "clock"), host)
        finally:
            server.stop()


MACHINES = [machine_with_embedded_server]
"""The kinds of machines that can be here."""
if CAN_HAVE_ANOTHER_HOST:
    MACHINES.append(machine_with_server_of_its_own)


@contextmanager
def _state_folder() -> Generator[tuple[Path, Path | None]]:
    """A state folder of its own, and the file that fills its disk."""
    before = {name: os.environ.pop(name, None) for name in (ORDERS_DATABASE_URL, STATE)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osch-")))
        if CAN_MOUNT:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0755", "none", str(folder)]
            subprocess.run(mount, check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        folder.chmod(0o755)  # a server may run as another user
        os.environ[STATE] = str(folder)
        try:
            yield folder, folder / "filler" if CAN_MOUNT else None
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
