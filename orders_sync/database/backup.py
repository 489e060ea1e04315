"""Backup and restore of a database with PostgreSQL's own programs, those of the embedded server.

They are of the newest supported version, so they read every supported server. A dump is consistent by itself, and is
made while everything runs.
"""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryFile

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from orders_sync.database.embedded_server import program
from orders_sync.database.engine import connect
from orders_sync.model.errors import UserFacingError

_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
"""A line of each dump that PostgreSQL 15 and 16 refuse; it says the default."""


class BackupError(UserFacingError):
    """A dump or a restore failed. Nothing was changed."""


def dump(url: str, file: Path) -> None:
    """Writes the whole database at `url` into a file that only its owner may read, in PostgreSQL's custom format.

    Raises BackupError; a dump that is there already then stays.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.touch(mode=0o600)
    command = [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--file={unfinished}"]
    done = subprocess.run(command, env=_environment(url), capture_output=True, text=True, check=False)
    if done.returncode:
        unfinished.unlink()
        raise BackupError(f"pg_dump failed: {_first_line(done.stderr)}")
    unfinished.replace(file)


def check_is_empty(url: str) -> None:
    """Raises BackupError if a database has tables."""
    with connect(url, application="orders_sync restore") as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    if tables != (0,):
        raise BackupError("The database has tables already. Restore into an empty one: nothing is overwritten.")


def restore(file: Path, url: str) -> None:
    """Makes the tables of a dump in the empty database at `url`, in one transaction.

    Raises BackupError if the database has tables, or if the dump can't be read or does not fit the server.
    """
    check_is_empty(url)
    to_sql = [program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(file)]
    run_sql = [program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    # The whole SQL first: psql would commit what it had got from a dump that ends in its middle.
    with TemporaryFile() as whole, TemporaryFile() as sql:
        read = subprocess.run(to_sql, stdout=whole, stderr=subprocess.PIPE, check=False)
        if read.returncode:
            raise BackupError(_not_restored(file, read.stderr))
        whole.seek(0)
        sql.writelines(line for line in whole if line != _UNKNOWN_BEFORE_17)
        sql.seek(0)
        done = subprocess.run(
            run_sql, env=_environment(url), stdin=sql, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        raise BackupError(_not_restored(file, done.stderr))


def _not_restored(file: Path, problem: bytes) -> str:
    reason = _first_line(problem.decode(errors="replace"))
    return f"The dump {file} could not be restored, and nothing was changed: {reason}"


def _environment(url: str) -> dict[str, str]:
    """The environment variables that stand for the parameters of a URL: a password is no argument of a process."""
    variables = {parameter.keyword: parameter.envvar for parameter in Conninfo.get_defaults()}
    return {
        **os.environ,
        **{
            variable.decode(): str(value)
            for name, value in conninfo_to_dict(url).items()
            if (variable := variables.get(name.encode())) is not None
        },
    }


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0].strip() if lines else "it gave no reason"
