"""The embedded PostgreSQL: the project's own server, on a Unix socket that only its own user and root can reach.

It serves when no database URL is set. Any process may start it, and the last process that uses it stops it. Each
process that uses it holds a shared `flock` on the file `postgres.lease`. The kernel releases that lock even when the
process is killed, so a dead process never keeps the server running, and no living process loses it.
"""

import atexit
import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import IO, TYPE_CHECKING

import psycopg
from psycopg.pq import PGconn, Ping
from psycopg.sql import SQL, Identifier

from orders_sync.config.environment import state_folder
from orders_sync.config.private_files import private_file, private_folder
from orders_sync.database import embedded_server
from orders_sync.database.embedded_server import data_folder
from orders_sync.database.server_user import EmbeddedServerError
from orders_sync.model.errors import UserFacingError

if TYPE_CHECKING:  # imported late: few processes start the server
    import psutil

ORDERS_DATABASE = "orders"
DAGSTER_DATABASE = "dagster"
START_SECONDS = 60.0
"""How long a server that is starting may take until it accepts connections."""
ORPHAN_SECONDS = 30.0
"""How long the processes of a killed server may take to end. They notice its death at once, unless they are frozen."""

TRUSTED_SECONDS = 30.0
"""How long the URL of a server is good without asking it, for who connects often. Asking costs two connections."""

_seen: dict[tuple[Path, str], tuple[str, float]] = {}
"""The pid file of the server when a database last answered, and when (monotonic clock), by folder and database."""

_leases: dict[Path, IO[str]] = {}
"""The open lease file of this process for each state folder; open means locked."""


def embedded_url(database: str, folder: Path | None = None, *, trusted_seconds: float = 0.0) -> str:
    """The URL (`postgresql://…`) of a database of the embedded server.

    Starts the server when it does not run, also after it was killed, and makes the database when it does not exist.
    The server runs at least until this process ends or calls `stop_if_last`. `trusted_seconds`: for so long after it
    has answered, it is not asked again while its main process lives.
    Raises EmbeddedServerError when the server does not start, and OpenToOthersError when other users may open its
    folder and this can't be mended.
    """
    folder = _state_folder(folder)
    known = _known_socket(folder, database, trusted_seconds)
    if known is not None:
        return _url(database, known)
    with _exclusive(folder / "postgres.lock"):
        socket = _running_socket(folder)
        if socket is None:
            _start(folder)
            socket = _running_socket(folder)
            if socket is None:
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL in {folder / 'postgres'} did not start; its log is "
                    f"{folder / 'postgres' / 'log'}."
                )
        if folder not in _leases:
            _take_lease(folder)
            _renew_access_rules(folder, socket)
        _create_database(socket, database)
        _seen[folder, database] = (_pid_file(folder), time.monotonic())
    return _url(database, socket)


def _url(database: str, socket: str) -> str:
    return f"postgresql://postgres@/{database}?host={socket}"


def _known_socket(folder: Path, database: str, seconds: float) -> str | None:
    """The socket of a server that this process has seen answer a moment ago, and whose main process still lives."""
    pid_file, at = _seen.get((folder, database), ("", 0.0))
    if folder not in _leases or time.monotonic() - at > seconds or not pid_file:
        return None
    if _pid_file(folder) != pid_file:
        return None
    lines = pid_file.splitlines()
    return lines[4].strip() if _is_server(int(lines[0])) else None


def _is_server(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _pid_file(folder: Path) -> str:
    try:
        return (data_folder(folder) / "postmaster.pid").read_text()
    except OSError:
        return ""


def stop_if_last(folder: Path | None = None) -> bool:
    """Gives up this process's lease. Stops the server when no other process holds one, and returns whether it did."""
    folder = folder.resolve() if folder else state_folder()
    lease = _leases.pop(folder, None)
    if lease is None:
        return False
    with _exclusive(folder / "postgres.lock"):
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lease.close()
            return False
        _stop(folder)
        lease.close()
        return True


def _state_folder(folder: Path | None) -> Path:
    # Root lets the server's user pass through, as `state_folder` does.
    return state_folder() if folder is None else private_folder(folder.resolve(), passable=os.geteuid() == 0)


@contextmanager
def _exclusive(path: Path) -> Generator[None]:
    """Holds an exclusive lock on a file for the length of the block."""
    with open(path, "w", opener=private_file) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _take_lease(folder: Path) -> None:
    lease = open(folder / "postgres.lease", "w", opener=private_file)  # noqa: SIM115 - it stays open
    fcntl.flock(lease, fcntl.LOCK_SH)
    _leases[folder] = lease
    owner = os.getpid()

    def leave() -> None:
        # A forked child inherits this hook and the parent's lease; only the owner may give the lease up.
        if os.getpid() == owner:
            stop_if_last(folder)

    atexit.register(leave)


def _renew_access_rules(folder: Path, socket: str) -> None:
    """A server that an older release started lets everyone in; processes of that release may still use it."""
    if embedded_server.write_access_rules(folder):
        with psycopg.connect(f"postgresql://postgres@/postgres?host={socket}", autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")


def _socket(data: Path) -> str:
    """The folder of the socket, as the server has noted it; raises OSError or IndexError when it has not."""
    return (data / "postmaster.pid").read_text().splitlines()[4].strip()


def _running_socket(folder: Path) -> str | None:
    try:
        socket = _socket(data_folder(folder))
    except (OSError, IndexError):
        return None
    # It runs as well when it has no connection left.
    answer = PGconn.ping(f"host={socket} user=postgres dbname=postgres connect_timeout=5".encode())
    return socket if answer == Ping.OK else None


def _start(folder: Path) -> None:
    """Starts the server, and waits until it accepts connections: after a crash it first recovers, which takes a while.

    Raises EmbeddedServerError.
    """
    data = data_folder(folder)
    try:
        if _postmaster(data) is None:
            _clear_after_death(data)
            embedded_server.start(folder, START_SECONDS)
    except UserFacingError:
        raise
    except Exception as error:
        if _postmaster(data) is None:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL in {data} did not start: {type(error).__name__}: {error}. "
                f"Is the folder writable? To use your own server, set ORDERS_DATABASE_URL and DAGSTER_POSTGRES_URL."
            ) from error
    _wait(lambda: _running_socket(folder) is not None or _postmaster(data) is None, START_SECONDS)


def _clear_after_death(data: Path) -> None:
    """Removes the pid file of a server that was killed, once all its processes have ended.

    PostgreSQL does not start while a process has the number in that file: it may be another program's by now, or that
    of a zombie. It protects the files against processes that outlived their server, and so do we: they get time to end.
    """
    if not (data / "postmaster.pid").exists():
        return
    if not _wait(lambda: not _server_processes(data), ORPHAN_SECONDS):
        left = ", ".join(str(process.pid) for process in _server_processes(data))
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {data} was killed, and processes of it are left that do not end: {left}. "
            "It can start once they have ended: `kill -9` ends them."
        )
    with suppress(OSError, IndexError):
        for lock in Path(_socket(data)).glob(".s.PGSQL.*.lock"):
            lock.unlink()
    (data / "postmaster.pid").unlink(missing_ok=True)


def _postmaster(data: Path) -> "psutil.Process | None":
    """The server's main process, if it lives."""
    pid = _postmaster_pid(data)
    return next((process for process in _server_processes(data) if process.pid == pid), None)


def _postmaster_pid(data: Path) -> int | None:
    """The number in the server's pid file; of a server that was killed, another program may have it by now."""
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None


def _server_processes(data: Path) -> "list[psutil.Process]":
    """The living processes of the server: it, its connections, its workers."""
    import psutil

    # `cwd` is read only of those with the name: it takes longer.
    named = [each for each in psutil.process_iter(["name", "status"]) if each.info["name"] == "postgres"]
    return [each for each in named if each.info["status"] != psutil.STATUS_ZOMBIE and _works_in(each, data)]


def _works_in(process: "psutil.Process", data: Path) -> bool:
    import psutil

    try:
        return process.cwd() == str(data.resolve())
    except psutil.AccessDenied:
        return process.pid == _postmaster_pid(data)
    except psutil.NoSuchProcess:
        return False


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until the condition is true; False when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _stop(folder: Path) -> None:
    if _running_socket(folder) is None:
        return
    try:
        embedded_server.stop(folder)
    except (OSError, SubprocessError):
        server = _postmaster(data_folder(folder))
        if server is not None:
            server.kill()  # it recovers at its next start


def _create_database(socket: str, database: str) -> None:
    with psycopg.connect(f"postgresql://postgres@/postgres?host={socket}", autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if exists is None:
            # C.UTF-8 compares texts byte by byte on every machine. With the machine's own locale, an upgrade of the
            # machine may change the order of texts, and then the indexes on them are wrong.
            connection.execute(
                SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'").format(
                    Identifier(database)
                )
            )
