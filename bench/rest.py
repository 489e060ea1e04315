"""What the project costs while nothing is due: `orders-sync up` with the sandbox's three accounts, watched at rest.

    make bench-rest                      (for a quick look: python -m bench.rest --minutes 1 --dry-run)
    make bench-rest CHECKOUT=<folder>    the same of another checkout, one after the other on one machine

Each checkout runs in a state folder of its own. What is measured begins once all lanes have succeeded and no run is
left. CPU is that of all processes, PostgreSQL's included, also of those that have ended meanwhile.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg

from bench import REST_HEADING, show_part
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import wait_for

SETTLE_SECONDS = 45.0
"""After the first runs: their workers end, and PostgreSQL writes what they left."""
ROLES = {
    "up": ("orders_sync.cli up",),
    "PostgreSQL": (),  # by their name: the command lines of others name Dagster's library for it
    "sandbox": ("sandbox",),
    "daemon": ("daemon",),
    "web": ("webserver", "orders_sync.cli web"),
    "code server": ("grpc", "code-server", "multiprocessing"),
}
"""The roles of processes, by what their command lines have."""
OTHERS = "others"


@dataclass
class Rest:
    """What a checkout costs in a minute at rest."""

    name: str
    cpu: dict[str, float]
    """CPU seconds a minute, by role."""
    connections: float
    """New connections to PostgreSQL a minute."""
    open_connections: int
    pss_mb: float
    """Memory of all processes, shared pages counted once."""
    wal_mb_per_day: float
    runs: int
    """Runs that began while it was watched: 0, or something was due."""


class Running:
    """`orders-sync up` of a checkout."""

    def __init__(self, checkout: Path, state: Path, process: subprocess.Popen[bytes], port: int) -> None:
        """`port`: of the UI."""
        self.checkout = checkout
        self.port = port
        self.state = state
        self.process = process

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        lines = (self.state / "postgres" / "postmaster.pid").read_text().splitlines()
        return psycopg.connect(f"postgresql://postgres@/{database}?host={lines[4]}", autocommit=True)

    def processes(self) -> list[psutil.Process]:
        """`up` and everything that it has started, and PostgreSQL's."""
        lines = (self.state / "postgres" / "postmaster.pid").read_text().splitlines()
        found: dict[int, psutil.Process] = {}
        for pid in (self.process.pid, int(lines[0])):
            with suppress(psutil.Error):
                parent = psutil.Process(pid)
                found |= {each.pid: each for each in [parent, *parent.children(recursive=True)]}
        return list(found.values())

    def is_idle(self) -> bool:
        """Whether all lanes have succeeded, and no run is left."""
        if self.process.poll() is not None:
            raise SystemExit(f"`orders-sync up` of {self.checkout} has ended.")
        try:
            with self.connect("orders") as orders, self.connect("dagster") as dagster:
                lanes = orders.execute(
                    "SELECT count(*), count(last_succeeded_at), (SELECT count(*) FROM order_events WHERE applied_at IS "
                    "NULL) FROM lanes"
                ).fetchone()
                left = dagster.execute(
                    "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
                ).fetchone()
        except (OSError, psycopg.Error):
            return False
        return lanes is not None and lanes[0] == lanes[1] != 0 and lanes[2] == 0 and left == (0,)


@contextmanager
def running(checkout: Path) -> Iterator[Running]:
    """Starts a checkout, and stops it at the end."""
    with tempfile.TemporaryDirectory(prefix="osrest-") as folder:
        state = Path(folder) / "state"
        environment = os.environ | {"ORDERS_SYNC_STATE": str(state), "PYTHONPATH": str(checkout)}
        port = free_port()
        command = [
            sys.executable, "-m", "orders_sync.cli", "up", "--port", str(port), "--sandbox-port", str(free_port()),
        ]  # fmt: skip
        with (Path(folder) / "output.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log)
        try:
            yield Running(checkout, state, process, port)
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def measured(checkout: Path, name: str, minutes: float) -> Rest:
    """Starts a checkout and watches it at rest."""
    with running(checkout) as project:
        wait_for(project.is_idle, seconds=900, every=3, what="the end of the first runs")
        time.sleep(SETTLE_SECONDS)
        wait_for(project.is_idle, seconds=300, every=1, what="the end of the first runs")
        with project.connect("orders") as connection:
            before, began = cpu_of(project.processes()), time.monotonic()
            figures_before = _figures(connection)
            time.sleep(minutes * 60)
            figures, after = _figures(connection), cpu_of(project.processes())
            passed = (time.monotonic() - began) / 60
        with project.connect("dagster") as dagster:
            ((runs,),) = dagster.execute(
                "SELECT count(*) FROM runs WHERE create_timestamp > (now() AT TIME ZONE 'UTC') - %s * interval '1 min'",
                [passed],
            ).fetchall()
        cpu = {role: (after[role] - before[role]) / passed for role in after}
        pss = sum(_pss(process) for process in project.processes()) / 1e6
    sessions, wal, still_open = (float(figures[n]) - float(figures_before[n]) * (n < 2) for n in range(3))
    rest = Rest(name, cpu, sessions / passed, int(still_open), pss, wal / passed * 60 * 24 / 1e6, int(str(runs)))
    print(rest, flush=True)
    return rest


def cpu_of(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """CPU seconds until now, by role; those of ended processes count for their parents."""
    found = dict.fromkeys([*ROLES, OTHERS], 0.0)
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            found[role_of(process)] += times.user + times.system + times.children_user + times.children_system
    return found


def role_of(process: psutil.Process) -> str:
    """What a process is for, by its command line."""
    if process.name() == "postgres":
        return "PostgreSQL"
    line = " ".join(process.cmdline())
    return next((role for role, words in ROLES.items() if any(word in line for word in words)), OTHERS)


def _pss(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0


def _figures(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[int, int, int]:
    """(connections so far, bytes of WAL so far, connections that are open)."""
    row = connection.execute(
        "SELECT (SELECT sum(sessions) FROM pg_stat_database)::bigint, (pg_current_wal_lsn() - '0/0')::bigint, "
        "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    ).fetchone()
    assert row is not None
    sessions, wal, still_open = row
    return int(str(sessions)), int(str(wal)), int(str(still_open))


def table(found: list[Rest]) -> list[str]:
    """The figures as a Markdown table."""
    roles = [*ROLES, OTHERS]
    lines = [
        f"| checkout | CPU s a minute | {' | '.join(roles)} | new connections a minute | open | PSS MB "
        "| WAL MB a day |",
        f"|---|---:|{'---:|' * len(roles)}---:|---:|---:|---:|",
    ]
    for rest in found:
        of_roles = " | ".join(f"{rest.cpu[role]:.2f}" for role in roles)
        note = f" ({rest.runs} runs began)" if rest.runs else ""
        lines.append(
            f"| {rest.name}{note} | {sum(rest.cpu.values()):.2f} | {of_roles} | {rest.connections:.0f} "
            f"| {rest.open_connections} | {rest.pss_mb:.0f} | {rest.wal_mb_per_day:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3, help="how long each is watched (default: 3)")
    parser.add_argument("--checkout", type=Path, help="another checkout, measured beside this one")
    parser.add_argument("--dry-run", action="store_true", help="print the table, but leave bench/README.md as it is")
    chosen = parser.parse_args()
    found = [measured(PROJECT_ROOT, "this", chosen.minutes)]
    if chosen.checkout:
        found.append(measured(chosen.checkout.resolve(), chosen.checkout.name, chosen.minutes))
    text = [
        f"`make bench-rest` measured this on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores: `orders-sync "
        f"up` with three accounts, for {chosen.minutes:g} minutes in which nothing was due. CPU is that of all "
        "processes.",
        "", *table(found),
    ]  # fmt: skip
    show_part(REST_HEADING, text, dry_run=chosen.dry_run)


if __name__ == "__main__":
    main()
