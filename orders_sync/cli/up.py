"""`orders-sync up`: the whole project on a laptop, with the sandbox as its marketplace."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType

import click
import httpx

from orders_sync.cli.output import console
from orders_sync.config.environment import PROJECT_ROOT, state_folder
from orders_sync.lanes.history import LaneState, lane_states

PATIENCE_SECONDS = 30.0
"""How long a part may take to stop before it is killed."""


@click.command()
@click.option("--port", default=3000, show_default=True, help="Of the Dagster UI.")
@click.option("--sandbox/--no-sandbox", "with_sandbox", default=True, help="Start the sandbox marketplace as well.")
@click.option("--sandbox-port", default=8765, show_default=True, help="The one that the sandbox account names.")
@click.option("--until-synced", is_flag=True, help="Stop once all syncs and the stock job have run (for checks).")
def up(port: int, with_sandbox: bool, sandbox_port: int, until_synced: bool) -> None:
    """Set up the databases and run everything: sandbox marketplace, Dagster's web server and daemon.

    The daemon runs the first syncs at once. Ctrl-C stops everything; started again, it goes on where it was.
    """
    from orders_sync.database.embedded import stop_if_last
    from orders_sync.database.schema import upgrade_schema

    for name, wanted in (
        ("the Dagster UI", port),
        *([("the sandbox", sandbox_port)] if with_sandbox else []),
    ):
        _insist_on_port(name, wanted)
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _as_interrupt)
    began = time.monotonic()
    parts: list[_Part] = []
    exit_code = 0
    try:
        _say(began, "preparing the databases")
        upgrade_schema()
        _prepare_dagster()
        if with_sandbox:
            sandbox = [sys.executable, "-m", "orders_sync.cli", "sandbox"]
            parts.append(_Part("sandbox", [*sandbox, "--port", str(sandbox_port)]))
            address = f"http://127.0.0.1:{sandbox_port}"
            _await(parts[-1], f"{address}/sandbox/clock")
            _say(began, f"the sandbox marketplace answers on {address}")
            _seed_stock(address)
        dagster = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
        parts.append(_Part("dagster", [*dagster, "-w", "workspace.yaml"]))
        _say(began, f"Dagster is starting; its output goes to {parts[-1].log}")
        _await(parts[-1], f"http://127.0.0.1:{port}/server_info")
        _say(began, f"the Dagster UI answers on http://127.0.0.1:{port}  (Ctrl-C stops everything)")
        _watch(parts, began, until_synced)
    except KeyboardInterrupt:
        console.print("Stopping …")
    except _PartDied as died:
        console.print(f"[red]{died}[/red]")
        exit_code = 1
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)
        for part in reversed(parts):
            part.stop()
        stop_if_last()
    console.print("Everything is stopped.")
    sys.exit(exit_code)


class _PartDied(RuntimeError):
    pass


class _Part:
    """A process of ours in a session of its own, so that all it starts can be stopped with it."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.log = state_folder() / "logs" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def insist(self) -> None:
        if self.process.poll() is not None:
            last = " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            raise _PartDied(f"{self.name} ended with exit code {self.process.returncode}: {last} (see {self.log})")

    def stop(self) -> None:
        """Asks it to end, then its whole session, then kills what is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                console.print(f"{self.name} does not end; killing it.")
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not _signal_session(self.process.pid, sign):
                break
            _until(lambda: not _signal_session(self.process.pid, 0), 5.0)


def _signal_session(session: int, sign: int) -> bool:
    """Signals all processes of a session that we started; False when there is none left."""
    try:
        os.killpg(session, sign)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.1)
    return False


def _insist_on_port(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            console.print(
                f"[red]Port {port}, which {name} needs, is in use. Is orders-sync running already? "
                f"`orders-sync up --port` chooses another one for the UI.[/red]"
            )
            sys.exit(1)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prepare_dagster() -> None:
    """Makes Dagster's tables once, before several of its processes would at the same time."""
    from orders_sync.dagster_instance.storage import open_instance

    with open_instance() as instance:
        instance.get_runs_count()


def _await(part: _Part, url: str, seconds: float = 120.0) -> None:
    def answers() -> bool:
        part.insist()
        try:
            return httpx.get(url, timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False

    if not _until(answers, seconds):
        raise _PartDied(f"{part.name} does not answer on {url} after {seconds:.0f} s (see {part.log})")


def _seed_stock(address: str) -> None:
    """The sandbox's stock list, once: a new database has no levels yet."""
    from orders_sync.database.engine import connect
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.levels import import_levels, read_stock_file

    with connect() as connection:
        if connection.execute("SELECT EXISTS (SELECT FROM stock_levels)").fetchone() == (True,):
            return
        file: Path = state_folder() / "sandbox" / "stock.csv"
        file.write_text(httpx.get(f"{address}/sandbox/stock.csv", trust_env=False).text)
        import_levels(StockConnection(connection), read_stock_file(file))


def _watch(parts: list[_Part], began: float, until_synced: bool) -> None:
    """Tells each change of a lane and of the locks until it is interrupted."""
    from orders_sync.database.engine import connect
    from orders_sync.marketplaces.kit.accounts import load_accounts

    told: dict[str, tuple[datetime | None, str | None]] = {}
    locks_told: list[tuple[str, int]] = []
    with connect(application="orders_sync up") as connection:
        while True:
            for part in parts:
                part.insist()
            known: list[LaneState] = lane_states(connection, list(load_accounts()[0]))
            for state in known:
                now = (state.last_started_at, state.last_outcome)
                if state.last_outcome is not None and told.get(str(state.lane)) != now:
                    told[str(state.lane)] = now
                    _say(began, f"{state.lane}: {_outcome(state)}")
            locks = connection.execute(
                "SELECT state, count(*) FROM stock_locks GROUP BY state ORDER BY state"
            ).fetchall()
            if locks != locks_told:
                locks_told = locks
                _say(began, "stock locks: " + ", ".join(f"{count} {state}" for state, count in locks))
            if until_synced and locks and all(state.last_outcome == "succeeded" for state in known):
                _say(began, "all syncs and the stock job have run")
                return
            time.sleep(1.0)


def _outcome(state: LaneState) -> str:
    if state.last_outcome != "succeeded":
        return state.last_problem or str(state.last_outcome)
    numbers = {name: state.last_summary.get(name) for name in ("fetched", "created", "changed", "api_calls")}
    return "done: " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in numbers.items() if value)


def _say(began: float, text: str) -> None:
    console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {text}", markup=True)
