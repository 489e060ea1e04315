"""`orders-sync daemon`: the Dagster daemon, of which only one works on a database at any moment.

Two daemons take runs from one queue, and the one whose code server is dead makes them fail. The daemon runs in the
process that holds the lock, so neither can outlive the other.
"""

import logging
import os
import runpy
import sys
import threading
import time
from pathlib import Path

import click
import psycopg

from orders_sync.cli.output import EXIT_FAILED
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect

LOCK = "orders_sync daemon"
POLL_SECONDS = 2.0
"""How often a daemon that waits looks whether the other one has ended."""
PING_SECONDS = 1.0
"""How often the daemon that works looks whether it still holds the lock."""
HANDOVER_SECONDS = 3.0
"""How long a daemon that takes over waits until the other one has noticed that its connection is lost."""

_log = logging.getLogger("orders_sync.daemon")


@click.command()
@click.option(
    "--workspace", "-w", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=PROJECT_ROOT / "workspace.yaml",
    help="The file that names Dagster's code location; workspace.yaml by default.",
)  # fmt: skip
def daemon(workspace: Path) -> None:
    """Run the Dagster daemon, one for all machines.

    While another one works on the same database, this one waits, and takes over when that one ends. It ends itself when
    it loses the database, or when no ticks are evaluated, since its code server is dead: let systemd or a container
    start it again.
    """
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.dagster_instance.internals import serialize_value
    from orders_sync.dagster_instance.storage import dagster_server_url

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with open_instance() as instance:
        url = dagster_server_url()
        with connect(url, application=f"{LOCK} on {os.uname().nodename}") as connection:
            wait_for_turn(connection)
            threading.Thread(target=_guard, args=(connection, Watchdog(instance)), daemon=True).start()
            instance_ref = serialize_value(instance.get_ref())
            sys.argv = ["dagster-daemon", "run", "-w", str(workspace), "--instance-ref", instance_ref]
            runpy.run_module("dagster._daemon", run_name="__main__")


def wait_for_turn(connection: Connection) -> None:
    """Waits until no other daemon works on the database; then this one does, as long as the connection lives."""
    is_said = False
    while not advisory_locks.try_lock(connection, LOCK):
        if not is_said:
            is_said = True
            holders = ", ".join(advisory_locks.holders(connection, LOCK))
            _log.info("Another daemon works on the database: %s. Waiting until it ends.", holders)
        time.sleep(POLL_SECONDS)
    if is_said:
        time.sleep(HANDOVER_SECONDS)
    _log.info("This daemon works on the database now.")


def _guard(connection: Connection, watchdog: Watchdog) -> None:
    while True:
        try:
            reason = reason_to_end(connection, watchdog)
        except Exception as error:  # a daemon that nothing guards must not go on
            reason = f"It can't see whether it may go on: {type(error).__name__}"
        if reason:
            _log.error("%s. This daemon ends, so that another one can take over.", reason)
            os._exit(EXIT_FAILED)  # at once: without its lock, the next moment may see two
        time.sleep(PING_SECONDS)


def reason_to_end(connection: Connection, watchdog: Watchdog) -> str | None:
    """Why this daemon must not go on; None: it may."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error as error:
        return f"The connection that showed that this daemon works is lost ({str(error).splitlines()[0]})"
    what = watchdog.look()
    return f"{what[:1].upper()}{what[1:]}" if what else None
