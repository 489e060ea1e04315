"""`orders-sync db`: the orders database: its schema, its roles, its backup, and a shell on it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console
from orders_sync.cli.rows import cell_text, json_option, print_json
from orders_sync.cli.tables import table
from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.server_url import masked_url, without_password
from orders_sync.model.errors import UserFacingError


@click.group()
def db() -> None:
    """Manage the orders database, and open a shell on it."""


@db.command()
def upgrade() -> None:
    """Upgrade the orders database to the newest schema.

    The daemon may run meanwhile: the release before works with the new schema as well. No other command upgrades a
    server of your own (ORDERS_DATABASE_URL). The embedded server is upgraded by whatever starts first.
    """
    from orders_sync.database.schema import newest_revision
    from orders_sync.database.schema_upgrade import upgrade_schema

    upgrade_schema()
    console.print(f"The orders database is at revision {newest_revision()}.", markup=False)


@db.command()
@json_option
def status(as_json: bool) -> None:
    """Show where the orders database is, and its schema.

    Its size is that of the whole database, in bytes. Exit code 1 if this version can't work with its schema.
    """
    from orders_sync.database.engine import connect, database_url
    from orders_sync.database.schema import SchemaError, check_schema, newest_revision, stored_schema

    url = database_url()
    try:
        check_schema()
        problem = None
    except SchemaError as error:
        problem = str(error)
    with connect(url, application="orders_sync db status") as connection:
        ((version, name, user, size),) = connection.execute(
            "SELECT current_setting('server_version'), current_database(), current_user, "
            "pg_database_size(current_database())"
        ).fetchall()
    found = {
        "url": masked_url(url), "server_version": version, "database": name, "user": user, "bytes": size,
        "revision": stored_schema(url).revision, "needed_revision": newest_revision(), "problem": problem,
    }  # fmt: skip
    if as_json:
        print_json(found)
    else:
        shown = table("Orders database", "what", "value")
        for what, value in found.items():
            shown.add_row(what.replace("_", " "), cell_text(value))
        console.print(shown)
    sys.exit(EXIT_DONE if problem is None else EXIT_FAILED)


@db.command("url")
@click.option("--with-password", is_flag=True, help="Print the password, too: for a program, e.g. by $(…).")
def print_url(with_password: bool) -> None:
    """Print the URL of the orders database.

    That of ORDERS_DATABASE_URL, or of the embedded server, which is started if need be. Its password is masked.
    """
    from orders_sync.database.engine import database_url

    url = database_url()
    click.echo(url if with_password else masked_url(url))


@db.command("shell", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENT]...")
def shell(arguments: tuple[str, ...]) -> None:
    """Open psql on the orders database.

    Further arguments are those of psql, e.g. `-c "SELECT count(*) FROM orders"`; so is the exit code. psql has the
    rights of the user in ORDERS_DATABASE_URL.
    """
    from orders_sync.database.engine import database_url

    program = shutil.which("psql")
    if program is None:
        raise UserFacingError(
            "psql is not installed: it comes with PostgreSQL's client programs (Debian: apt-get install "
            "postgresql-client). `orders-sync db url --with-password` prints the URL for another program."
        )
    url, password = without_password(database_url())
    environment = os.environ if password is None else {**os.environ, "PGPASSWORD": password}
    # Ctrl-C cancels a statement of psql. This process waits for its end: the embedded server may end with this one.
    signal.signal(signal.SIGINT, _wait_on)
    with subprocess.Popen([program, "--dbname", url, *arguments], env=environment) as psql:
        sys.exit(psql.wait())


def _wait_on(_signal: int, _frame: FrameType | None) -> None:
    """Another process obeys the signal; unlike SIG_IGN, a handler is not inherited by it."""


@db.command()
@click.option("--sql", is_flag=True, help="Show the statements, and run none. Needs no database.")
@click.option("--prefix", default="orders_sync", show_default=True, help="What the names of the roles begin with.")
def roles(sql: bool, prefix: str) -> None:
    """Make the roles of the database, with their rights.

    They are for a server of your own. The owner upgrades the schema, the writer runs the syncs, the stock job and the
    command line, the reader sees no buyer's data, and the subscriber consumes order events. Run it as an administrator
    of the server (ORDERS_DATABASE_URL), after the first `db upgrade`, and again after each later one, for the reader.
    The roles that it makes have no password: set it with `\\password` in psql.
    """
    from orders_sync.database.roles import Roles, RolesError, make_roles, statements

    names = Roles.named(prefix)
    if sql:
        for statement in statements(names):
            click.echo(f"{statement};")
        return
    if not os.environ.get(ORDERS_DATABASE_URL):
        raise RolesError(
            "The embedded server has one user, which only this machine's user and root can be. Set "
            f"{ORDERS_DATABASE_URL} to the URL of a server of your own; --sql shows the statements without one."
        )
    make_roles(names)
    console.print(
        f"{names.owner} owns the tables, and upgrades them. {names.writer} runs everything else. {names.reader} reads "
        "what says nothing about a buyer. Set a password for each that has none, e.g. in psql: "
        f"\\password {names.writer}",
        markup=False,
    )


@db.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(folder: Path) -> None:
    """Back both databases up into a folder.

    Everything may run meanwhile. The files are orders.dump and dagster.dump, in the format of pg_dump.
    """
    from orders_sync.database.backup import dump

    folder.mkdir(parents=True, exist_ok=True)
    for name, url in _databases().items():
        dump(url, folder / f"{name}.dump")
        size = (folder / f"{name}.dump").stat().st_size
        console.print(f"{folder / name}.dump: {size / 1_000_000:.1f} MB", markup=False)


@db.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(folder: Path) -> None:
    """Restore both databases, into empty ones.

    They are those of ORDERS_DATABASE_URL and DAGSTER_POSTGRES_URL, or those of the embedded server in a new state
    folder.
    Stop the daemon and the web server first. A file that is missing is left out.
    """
    from orders_sync.database.backup import BackupError, check_is_empty, restore
    from orders_sync.database.schema_upgrade import upgrade_schema

    files = {name: folder / f"{name}.dump" for name in ("orders", "dagster")}
    if not any(file.exists() for file in files.values()):
        raise BackupError(f"{folder} has neither orders.dump nor dagster.dump: `orders-sync db backup` makes them.")
    databases = _databases()
    for name, url in databases.items():
        if files[name].exists():
            check_is_empty(url)
    for name, url in databases.items():
        if files[name].exists():
            restore(files[name], url)
            console.print(f"{files[name]} is restored.", markup=False)
        else:
            console.print(f"{files[name]} is missing, and left out.", markup=False)
    if files["orders"].exists():
        upgrade_schema()


def _databases() -> dict[str, str]:
    """The URLs of both databases by their names, as psycopg needs them."""
    from orders_sync.dagster_instance.storage import dagster_server_url
    from orders_sync.database.engine import database_url

    return {"orders": database_url(), "dagster": dagster_server_url()}
