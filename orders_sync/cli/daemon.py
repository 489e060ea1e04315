"""`orders-sync daemon`: the Dagster daemon, of which only one works on a database at any moment.

Two daemons take runs from one queue, and the one whose code server is dead makes them fail. The daemon runs in the
process that holds the lock, so neither can outlive the other. One that can launch no run ends. A daemon that is frozen,
or whose host hangs, keeps its lock and works on nothing: the one that waits notices that no ticks are evaluated, and
ends the session of the other at the database, which frees the lock.
"""

import logging
import os
import runpy
import sys
import threading
import time
from collections import deque
from pathlib import Path

import click
import psycopg
from psycopg.errors import InsufficientPrivilege

from orders_sync.cli.launches import LaunchLog
from orders_sync.cli.output import EXIT_FAILED, log_to_stderr
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import WORKSPACE_FILE, project_folder
from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.health.silence import SILENT_SECONDS

LOCK = "orders_sync daemon"
POLL_SECONDS = 2.0
"""How often a daemon that waits looks whether the other one has ended."""
PING_SECONDS = 1.0
"""How often the daemon that works looks whether it still holds the lock."""
HANDOVER_SECONDS = 3.0
"""How long a daemon that takes over waits until the other one has noticed that its connection is lost."""
GRACE_SECONDS = 30.0
"""How much longer a daemon that waits puts up with silence than the one that works, which so lets go by itself."""

_log = logging.getLogger("orders_sync.daemon")


@click.command()
@click.option(
    "--workspace", "-w", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: project_folder() / WORKSPACE_FILE,
    help="The file that names Dagster's code location; workspace.yaml of the project by default.",
)  # fmt: skip
def daemon(workspace: Path) -> None:
    """Run the Dagster daemon, one for all machines.

    While another one works on the same database, this one waits, and takes over when that one ends, or is frozen and
    evaluates no ticks. It ends itself when it loses the database, when no ticks are evaluated, since its code server is
    dead, or when it can launch no run: let systemd or a container start it again.
    """
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.dagster_instance.internals import serialize_value
    from orders_sync.dagster_instance.storage import dagster_server_url

    # Dagster's own loggers print their records, too: once is enough.
    log_to_stderr(logging.INFO).addFilter(lambda record: not record.name.startswith("dagster"))
    logging.Formatter.converter = time.gmtime  # Dagster's own lines name their offset, which is then that of UTC
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with open_instance() as instance:
        url = dagster_server_url()
        with connect(url, application=application_of_daemon()) as connection:
            wait_for_turn(connection, Watchdog(instance, SILENT_SECONDS + GRACE_SECONDS))
            launches = LaunchLog()
            logging.getLogger().addHandler(launches)  # Dagster removes the handlers of its own loggers when it starts
            threading.Thread(target=_guard, args=(connection, Watchdog(instance), launches), daemon=True).start()
            instance_ref = serialize_value(instance.get_ref())
            sys.argv = ["dagster-daemon", "run", "-w", str(workspace), "--instance-ref", instance_ref]
            runpy.run_module("dagster._daemon", run_name="__main__")


def application_of_daemon() -> str:
    """What pg_stat_activity shows of the daemon of this host."""
    return f"{LOCK} on {os.uname().nodename}"


def wait_for_turn(connection: Connection, watchdog: Watchdog) -> None:
    """Waits until no other daemon works on the database; then this one does, as long as the connection lives.

    Takes over from one that lives but evaluates no ticks for as long as the watchdog allows: its session is terminated.
    """
    working: list[advisory_locks.Session] = []
    while not advisory_locks.try_lock(connection, LOCK):
        before, working = working, advisory_locks.sessions(connection, LOCK)
        if working and working != before:
            watchdog.wait_for_start()
            _log.info("Another daemon works on the database: %s. Waiting until it ends.", _names(working))
        elif working and (silence := watchdog.look()):
            _take_over(connection, working, silence)
        time.sleep(POLL_SECONDS)
    if working:
        time.sleep(HANDOVER_SECONDS)
    _log.info("This daemon works on the database now.")


def _take_over(connection: Connection, working: list[advisory_locks.Session], silence: str) -> None:
    """Terminates the sessions of the daemon that works, if this role may."""
    _log.error(
        "The daemon that works on the database is frozen, or has lost its code server: %s. Its session is ended, so "
        "that this daemon can take over: %s.", silence, _names(working),
    )  # fmt: skip
    for session in working:
        try:
            advisory_locks.end_session(connection, LOCK, session)
        except InsufficientPrivilege:
            _log.error(
                "%s can't be ended from here, since it connected to the database with another role: end its process.",
                session,
            )


def _names(sessions: list[advisory_locks.Session]) -> str:
    return ", ".join(str(session) for session in sessions)


def _guard(connection: Connection, watchdog: Watchdog, launches: LaunchLog) -> None:
    while True:
        try:
            reason = reason_to_end(connection, watchdog) or launches.problem()
            if reason is None:
                # The server's last words end this wait, also those that arrived while this process was frozen.
                deque(connection.notifies(timeout=PING_SECONDS), maxlen=0)
                continue
        except psycopg.Error as error:
            reason = _is_lost(error)
        except Exception as error:  # a daemon that nothing guards must not go on
            reason = f"It can't see whether it may go on: {type(error).__name__}"
        _log.error("%s. This daemon ends, so that another one can take over.", reason)
        os._exit(EXIT_FAILED)  # at once: without its lock, the next moment may see two


def reason_to_end(connection: Connection, watchdog: Watchdog) -> str | None:
    """Why this daemon must not go on; None: it may."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error as error:
        return _is_lost(error)
    what = watchdog.look()
    return f"{what[:1].upper()}{what[1:]}" if what else None


def _is_lost(error: psycopg.Error) -> str:
    return f"The connection that showed that this daemon works is lost ({str(error).splitlines()[0]})"
