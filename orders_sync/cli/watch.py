"""`orders-sync watch`: notices that Dagster evaluates no ticks any more, and has it restarted."""

import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

from orders_sync.alerts.watch import AlertWatch
from orders_sync.cli.frozen_databases import said_if_frozen
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, log_to_stderr
from orders_sync.cli.status_changes import SettingsWatch
from orders_sync.cli.watchdog import LOOK_SECONDS, Watchdog
from orders_sync.health.silence import SILENT_SECONDS, overdue

if TYPE_CHECKING:  # importing Dagster takes two seconds
    import dagster as dg

RESTART_SECONDS = 300.0
"""How long the restart command may take."""

_log = logging.getLogger("orders_sync.watch")


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=SILENT_SECONDS, show_default=True,
    help="How long a tick may be overdue.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Look once; exit code 1 if no tick is evaluated.")
@click.option("--restart-command", help="A shell command that restarts the code server and the daemon.")
def watch(seconds: float, once: bool, restart_command: str | None) -> None:
    """Watch whether Dagster evaluates ticks.

    Runs outside Dagster, beside the daemon, until it is stopped. When the code server has died or hangs, the daemon
    looks well, but evaluates no schedule and no sensor. That is logged as an error, and the restart command is run. If
    no tick is evaluated then, it is run again after 3, 6, 12 and then each 15 minutes. It also logs when Dagster's
    database does not answer, when the ticks of a schedule or sensor fail, and when a file of settings can't be used.
    It sends the alerts of defs/alerts/defs.yaml, too. `orders-sync up` watches its own processes in the same way.
    """
    from orders_sync.dagster_instance.instance import open_instance

    log_to_stderr()
    if not once:
        AlertWatch().start()  # first of all: Dagster's database may not answer
    with open_instance() if once else _opened() as instance:
        if once:
            if what := overdue(instance, seconds):
                _log.error(what)
                _restart(restart_command)
                sys.exit(EXIT_FAILED)
            console.print("Ticks are evaluated.")
            sys.exit(EXIT_DONE)
        watchdog, settings = Watchdog(instance, seconds), SettingsWatch()
        while True:
            with said_if_frozen(_log.error, _log.warning):
                what = watchdog.look()
            if what:
                _log.error(what)
                _restart(restart_command)
            for change in [*watchdog.changes(), *settings.look()]:
                _log.log(logging.ERROR if change.is_wrong else logging.WARNING, change.text)
            time.sleep(LOOK_SECONDS)


def _opened() -> "dg.DagsterInstance":
    """Dagster's instance, once its database answers. Meanwhile the alerts say that the databases do not work."""
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    from orders_sync.dagster_instance.instance import open_instance

    is_said = False
    while True:
        try:
            return open_instance()
        except (SQLAlchemyError, DagsterPostgresException) as error:
            if not is_said:
                _log.error("Dagster's database does not answer: %s", str(error).strip().partition("\n")[0])
            is_said = True
            time.sleep(LOOK_SECONDS)


def _restart(command: str | None) -> None:
    if command is None:
        return
    try:
        # The shell command of whoever starts `watch`, on their own command line: nothing else can put anything into it.
        code = subprocess.run(command, shell=True, timeout=RESTART_SECONDS, check=False).returncode  # nosec B602
    except subprocess.TimeoutExpired:
        _log.error("The restart command `%s` did not end within %.0f s.", command, RESTART_SECONDS)
        return
    _log.log(
        logging.ERROR if code else logging.WARNING, "The restart command `%s` ended with exit code %s.", command, code
    )
