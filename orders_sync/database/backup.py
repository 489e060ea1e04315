"""Backup and restore of a database with PostgreSQL's own programs, those of the embedded server.

They are of the newest supported version, so they read every supported server. A dump is consistent by itself, and is
made while everything runs.
"""

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from psycopg.conninfo import conninfo_to_dict

from orders_sync.database.embedded import program
from orders_sync.database.engine import connect
from orders_sync.model.errors import UserFacingError

_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
"""A line of each dump that PostgreSQL 15 and 16 refuse; it says the default."""
_VARIABLES: Mapping[str, str] = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}  # fmt: skip
"""libpq's parameters and the environment variables that stand for them: a password is no argument of a process."""


class BackupError(UserFacingError):
    """A dump or a restore failed. Nothing was changed."""


def dump(url: str, file: Path) -> None:
    """Writes the whole database at `url` into a file, in PostgreSQL's custom format. Raises BackupError."""
    command = [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--file={file}"]
    done = subprocess.run(command, env=_environment(url), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(f"pg_dump failed: {_last_line(done.stderr)}")


def restore(file: Path, url: str) -> None:
    """Makes the tables of a dump in the empty database at `url`, in one transaction.

    Raises BackupError if the database has tables, or if the dump can't be read or does not fit the server.
    """
    with connect(url, application="orders_sync restore") as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    if tables != (0,):
        raise BackupError("The database has tables already. Restore into an empty one: nothing is overwritten.")
    to_sql = [program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(file)]
    run_sql = [program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with TemporaryFile() as problems:
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        reader = subprocess.Popen(to_sql, stdout=pipe, stderr=problems)
        writer = subprocess.Popen(run_sql, env=_environment(url), stdin=pipe, stdout=nowhere, stderr=problems)
        if reader.stdout is not None and writer.stdin is not None:
            with suppress(BrokenPipeError), reader.stdout, writer.stdin:
                for line in reader.stdout:
                    if line != _UNKNOWN_BEFORE_17:
                        writer.stdin.write(line)
        failed = [process for process in (writer, reader) if process.wait()]
        problems.seek(0)
        if failed:
            problem = _last_line(problems.read().decode(errors="replace"))
            raise BackupError(f"The dump {file} could not be restored, and nothing was changed: {problem}")


def _environment(url: str) -> dict[str, str]:
    known = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    return {**os.environ, **{_VARIABLES[name]: value for name, value in known.items() if name in _VARIABLES}}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
