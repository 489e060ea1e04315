"""`orders-sync up`: the whole project on a laptop, with the sandbox as its marketplace."""

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import FrameType

import click
import httpx
import psycopg

from orders_sync.alerts.watch import AlertWatch
from orders_sync.cli.dagster_processes import CODE_SERVER_THREADS, dagster_processes
from orders_sync.cli.frozen_databases import said_if_frozen
from orders_sync.cli.kept_databases import KeptDatabases
from orders_sync.cli.left_processes import end_left_processes
from orders_sync.cli.listening import PORT, check_is_free
from orders_sync.cli.managed_process import ManagedProcess, ProcessDiedError
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console
from orders_sync.cli.status_changes import SettingsWatch
from orders_sync.cli.supervisor import LOOK_SECONDS, Supervisor, TimedReport, only_one
from orders_sync.cli.watchdog import Watchdog
from orders_sync.config.environment import log_bytes, state_folder
from orders_sync.config.sandbox_address import SANDBOX_PORT
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.database.problems import problem_of
from orders_sync.lanes.history import LaneState, lane_states

APPLICATION = "orders_sync up"
LOOPBACK = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

QUIET_AFTER_SECONDS = 60.0
QUIET_LOOK_SECONDS = 5.0
"""So often the progress is looked at once nothing has changed for QUIET_AFTER_SECONDS; before, each second."""


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--sandbox/--no-sandbox", "with_sandbox", default=True, help="Start the sandbox marketplaces as well.")
@click.option(
    "--sandbox-port", type=PORT, default=SANDBOX_PORT, show_default=True,
    help="Port of the sandbox; its accounts follow.",
)  # fmt: skip
@click.option("--until-synced", is_flag=True, help="Stop when all syncs and the stock job have run (for tests).")
def up(port: int, with_sandbox: bool, sandbox_port: int, until_synced: bool) -> None:
    """Run everything: sandbox, Dagster UI and daemon.

    Sets up the databases first. The daemon runs the first syncs at once. A part that ends by itself is started again,
    and so is the embedded PostgreSQL. Ctrl-C stops everything. Started again, the project continues where it stopped;
    parts that a killed `up` left running are ended first.
    """
    from orders_sync.database.embedded import stop_if_last
    from orders_sync.passes.sync_log import log_to_file

    log_bytes()  # a wrong setting is reported before anything starts
    with only_one(state_folder(), f"UI on http://{LOOPBACK}:{port}"), log_to_file():
        report = TimedReport()
        for line in end_left_processes():
            report.line(line)
        check_is_free(LOOPBACK, port, "the Dagster UI")
        if with_sandbox:
            check_is_free(LOOPBACK, sandbox_port, "the sandbox", "--sandbox-port")
        for sign in STOP_SIGNALS:
            signal.signal(sign, _raise_keyboard_interrupt)
        supervisor = Supervisor(KeptDatabases(APPLICATION), report)
        temporary = ExitStack()
        exit_code = EXIT_DONE
        try:
            report.line("preparing the databases")
            sandbox = _start_sandbox(supervisor, sandbox_port) if with_sandbox else None  # it starts meanwhile
            _prepare_databases()
            if sandbox is not None:
                _fill_stock(supervisor, sandbox, report, sandbox_port)
            folder = Path(temporary.enter_context(tempfile.TemporaryDirectory(prefix="orders-sync-")))
            _start_dagster(supervisor, report, folder, port)
            _report_progress(supervisor, report, until_synced=until_synced)
        except KeyboardInterrupt:
            console.print("Stopping …")
        except ProcessDiedError as problem:
            report.error(f"{problem}. Everything is stopped")
            exit_code = EXIT_FAILED
        finally:
            for sign in STOP_SIGNALS:
                signal.signal(sign, signal.SIG_IGN)
            supervisor.stop()
            temporary.close()
            stop_if_last()
        console.print("Everything is stopped.")
    sys.exit(exit_code)


def _raise_keyboard_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prepare_databases() -> None:
    """Makes the tables of the orders database and of Dagster, before several processes try to at the same time."""
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.database.schema import check_schema

    check_schema()
    with open_instance() as instance:
        instance.get_runs_count()


def _start_sandbox(supervisor: Supervisor, port: int) -> ManagedProcess:
    return supervisor.start("sandbox", [sys.executable, "-m", "orders_sync.cli", "sandbox", "--port", str(port)])


def _fill_stock(supervisor: Supervisor, sandbox: ManagedProcess, report: TimedReport, port: int) -> None:
    """Waits until the sandbox answers, and imports its stock list."""
    address = f"http://127.0.0.1:{port}"
    supervisor.keep_answering(sandbox, f"{address}/sandbox/clock")
    report.line(f"the sandbox marketplaces answer on {address}")
    _import_sandbox_stock(address)


def _start_dagster(supervisor: Supervisor, report: TimedReport, folder: Path, port: int) -> None:
    parts = dagster_processes(folder, port)
    for name, threads in CODE_SERVER_THREADS.items():
        os.environ.setdefault(name, threads)
    # After SIGINT it would wait a minute for its runs to end. They end with it, and their lanes continue later. It
    # passes calls on to a process of its own, and does not start that one again.
    code_server = supervisor.start("code_server", parts.code_server, stop_seconds=0, needs_child=True)
    report.line(f"Dagster is starting; its output goes to {code_server.log.parent}")
    supervisor.wait_until(code_server, parts.socket.exists, "loads the definitions")
    supervisor.start("daemon", parts.daemon)
    web = supervisor.start("web", parts.web)
    address = f"http://127.0.0.1:{port}"
    supervisor.keep_answering(web, f"{address}/operations/health")
    report.line(f"the Dagster UI answers on {address}, the operator's pages on {address}/operations")
    report.line("Ctrl-C stops everything")


def _import_sandbox_stock(address: str) -> None:
    """Imports the sandbox's stock list into a database into which none was imported yet."""
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.levels import import_levels, read_stock_file
    from orders_sync.stock.queries import has_stock_list

    with orders_database(APPLICATION) as connection:
        if has_stock_list(StockConnection(connection)):
            return
        file = state_folder() / "sandbox" / "stock.csv"
        file.write_text(httpx.get(f"{address}/sandbox/stock.csv", trust_env=False).text)
        import_levels(StockConnection(connection), read_stock_file(file))


def _report_progress(supervisor: Supervisor, report: TimedReport, *, until_synced: bool) -> None:
    """Reports each change of a lane and of the stock locks until interrupted, or until all lanes have succeeded.

    What ends meanwhile is started again. Raises ProcessDiedError when a process ends again and again.
    """
    from orders_sync.dagster_instance.instance import open_instance

    progress, settings, alerts = _Progress(report), SettingsWatch(), AlertWatch()
    alerts.start()
    with ExitStack() as stack:
        stack.callback(alerts.stop)  # else it would report that everything ends
        instance = stack.enter_context(open_instance())
        watchdog = Watchdog(instance)
        while True:
            connection = supervisor.look()
            if connection and progress.is_due():
                with said_if_frozen(report.error, report.line):
                    is_done, what = progress.report(connection), watchdog.look()
                if is_done and until_synced:
                    report.line("all syncs and the stock job have run")
                    return
                if what:
                    replace_what_is_silent(supervisor, report, what)
                for change in [*watchdog.changes(), *settings.look()]:
                    (report.error if change.is_wrong else report.line)(change.text)
            elif not connection:
                watchdog.wait_for_start()
            time.sleep(LOOK_SECONDS)


def replace_what_is_silent(supervisor: Supervisor, report: TimedReport, what: str) -> None:
    """Replaces code server and daemon, unless the daemon waits for another host's: it takes over by itself."""
    if other := supervisor.daemon_elsewhere():
        report.error(f"{what}. The daemon that works on the database is another host's: {other}. Ours takes over soon")
    else:
        report.error(f"{what}; code server and daemon are replaced")
        supervisor.replace("code_server", "daemon")


class _Progress:
    """What was reported of lanes and stock locks."""

    def __init__(self, report: TimedReport) -> None:
        self._report = report
        self._runs: dict[str, tuple[datetime | None, str | None]] = {}
        self._locks: list[tuple[str, int]] = []
        self._problem: str | None = None
        self._looked_at = self._changed_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether to look now: less often once nothing has changed for a while."""
        now = time.monotonic()
        if now - self._changed_at > QUIET_AFTER_SECONDS and now - self._looked_at < QUIET_LOOK_SECONDS:
            return False
        self._looked_at = now
        return True

    def report(self, connection: Connection) -> bool:
        """Reports what has changed. Returns whether all lanes have succeeded and the stock job has run.

        What the database refuses is reported once, and ends nothing.
        """
        before = (dict(self._runs), self._locks)
        try:
            done, self._problem = self._report_changes(connection), None
            if before != (self._runs, self._locks):
                self._changed_at = time.monotonic()
            return done
        except psycopg.OperationalError:  # the next look finds out that the connection is lost, and reports it
            return False
        except psycopg.Error as error:
            problem = str(problem_of(error))
            if problem != self._problem:
                self._problem = problem
                self._report.error(f"the progress can't be read: {problem}")
            return False

    def _report_changes(self, connection: Connection) -> bool:
        from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

        states = lane_states(connection, lanes_on(load_accounts()[0]))
        for state in states:
            run = (state.last_started_at, state.last_outcome)
            if state.last_outcome is not None and self._runs.get(str(state.lane)) != run:
                self._runs[str(state.lane)] = run
                self._report.line(f"{state.lane}: {_outcome(state)}")
        locks = connection.execute("SELECT state, count(*) FROM stock_locks GROUP BY state ORDER BY state").fetchall()
        if locks != self._locks:
            self._locks = locks
            self._report.line("stock locks: " + ", ".join(f"{count} {state}" for state, count in locks))
        return bool(locks) and all(state.last_outcome in ("succeeded", "partial") for state in states)


def _outcome(state: LaneState) -> str:
    """The outcome of a lane's last run, with the counts that are not zero."""
    if state.last_outcome not in ("succeeded", "partial"):
        return state.last_problem or str(state.last_outcome)
    counts = {name: state.last_summary.get(name) for name in ("fetched", "created", "changed", "api_calls")}
    return "done: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
