"""Random sequences of work and faults, and what must hold after each: `make chaos`.

One sequence: a marketplace whose orders arrive, change, ship and are cancelled; passes and stock work in processes of
their own; and a fault in the middle of each (see kinds.py). Then all faults end, and every lane must work again, with
the invariants of `orders_sync.testing.invariants` as the judge.
"""

import argparse
import multiprocessing
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from orders_sync.database.engine import connect
from orders_sync.lanes.history import lane_states
from orders_sync.model.lane import SyncType
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import ANY, LOOPBACK
from orders_sync.testing.marketplace import Marketplace, sandbox_account
from orders_sync_tests.faults.changing_marketplace import ACCOUNT, SKUS, ChangingMarketplace, Violation
from orders_sync_tests.faults.kinds import FAULTS
from orders_sync_tests.faults.machine import MACHINES, Machine
from orders_sync_tests.faults.story import JOBS, RECOVERY_SECONDS, Story, end

STEPS = 6
"""How often a sequence changes the marketplace and works, with a fault."""
BUSY_SECONDS = 1.5
"""A fault comes at a random moment of so many seconds after the work began; a pass takes half a second or so."""
MATRIX_BEGIN, MATRIX_END = "<!-- the matrix: make chaos writes it -->", "<!-- end of the matrix -->"


class Outcome(NamedTuple):
    """What became of a story."""

    faults: list[str]
    recovery_seconds: float
    """From the end of all faults until every lane and the stock job have succeeded."""


def run_sequence(machine: Machine, seed: int, faults: Sequence[str] = (), steps: int = STEPS) -> Outcome:
    """A sequence of some kinds of faults; of all that are possible where none is named.

    Raises Violation, or the error of an invariant.
    """
    chance = random.Random(seed)
    faults = faults or [name for name, kind in FAULTS.items() if kind.is_possible(machine)]
    _empty_database(machine)
    address = ANY if machine.host is not None else LOOPBACK
    with Marketplace(ago=timedelta(days=chance.randint(1, 20)), address=address) as marketplace:
        connections = sandbox_account(marketplace).settings.limits.connections
        settings = {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
            "limits": {"enforced": False, "connections": connections, "outage_minutes": 0},
        }  # fmt: skip
        story = Story(chance, machine, ChangingMarketplace(chance, marketplace), settings)
        injected: list[str] = []
        for _ in range(steps):
            story.market.change()
            process = story.start(chance.choice(JOBS))
            time.sleep(chance.uniform(0, BUSY_SECONDS))
            injected.append(chance.choice(faults))
            FAULTS[injected[-1]].inject(story, process)
            end(process)
            machine.restart()
        marketplace.calm()
        began = time.monotonic()
        _recover(story, began)
        seconds = time.monotonic() - began
        _check(story)
    return Outcome(injected, seconds)


def _recover(story: Story, began: float) -> None:
    """Runs every job until it succeeds, as the next ticks would."""
    for job in (*SyncType, *SyncType, "stock"):
        while True:
            story.machine.restart()  # a server that found its disk full may have stopped later
            process = story.start(job)
            end(process)
            if process.exitcode == 0:
                break
            if time.monotonic() - began > RECOVERY_SECONDS:
                raise Violation(f"{job} has not worked again after {RECOVERY_SECONDS:.0f} s")


def _check(story: Story) -> None:
    """Raises Violation, or the error of an invariant."""
    with connect(story.machine.url(), application="chaos checks") as connection:
        story.market.check(connection)
        left = [str(state.lane) for state in lane_states(connection, [ACCOUNT]) if state.holder is not None]
    if left:
        raise Violation(f"lanes that are still held: {left}")


def _empty_database(machine: Machine) -> None:
    """Leaves the database without orders, with a stock list."""
    with connect(machine.url(), application="chaos") as connection:
        tables = [
            table
            for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if table not in ("alembic_version", "schema_compatibility")
        ]
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE".encode())
        import_levels(StockConnection(connection), dict.fromkeys(SKUS, 60))


class Report(NamedTuple):
    """What became of many sequences."""

    seconds: dict[str, list[float]]
    """By kind of fault, how long it took after each sequence with it until every lane had worked again."""
    violations: list[str]


def run_sequences(kind: int, seeds: Sequence[int]) -> Report:
    """Runs sequences one after the other on a machine of this kind; none stops the others."""
    report = Report(defaultdict(list), [])
    if not seeds:
        return report
    with MACHINES[kind]() as machine:
        for seed in seeds:
            try:
                outcome = run_sequence(machine, seed)
            except Exception as error:
                report.violations.append(f"seed {seed}: {type(error).__name__}: {str(error)[:2000]}")
                print(report.violations[-1], flush=True)
                continue
            for name in set(outcome.faults):
                report.seconds[name].append(outcome.recovery_seconds)
    return report


def matrix(report: Report) -> str:
    """The report as a table in Markdown."""
    lines = ["| fault | expected | sequences with it | every lane worked again after: median | worst |"]
    lines.append("|---|---|---:|---:|---:|")
    for name, kind in FAULTS.items():
        if values := report.seconds.get(name):
            figures = f"{len(values)} | {statistics.median(values):.1f} s | {max(values):.1f} s"
            lines.append(f"| {name} | {kind.expected} | {figures} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the sequences; prints the matrix, and writes it into docs/reliability.md. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the first sequence; by default a random one")
    parser.add_argument("--workers", type=int, default=2, help="sequences at the same time, each with its own server")
    parser.add_argument("--write", type=Path, help="a page in which the matrix is replaced")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.randrange(1_000_000)
    print(f"{options.sequences} sequences from seed {first}", flush=True)
    # The seed says on which kind of machine its sequence runs, with any number of workers.
    count = options.workers + -options.workers % len(MACHINES)
    shares = [[seed for seed in range(first, first + options.sequences) if seed % count == n] for n in range(count)]
    kinds = [n % len(MACHINES) for n in range(count)]
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as workers:
        reports = list(workers.map(run_sequences, kinds, shares))
    whole = Report(defaultdict(list), [])
    for report in reports:
        whole.violations.extend(report.violations)
        for name, values in report.seconds.items():
            whole.seconds[name] += values
    last = f"{len(whole.violations)} violations in {options.sequences} sequences from seed {first}."
    print(f"\n{matrix(whole)}\n\n{last}")
    if options.write is not None:
        _write(options.write, f"{matrix(whole)}\n\n{last}")
    return 1 if whole.violations else 0


def _write(page: Path, text: str) -> None:
    before, begin, rest = page.read_text().partition(MATRIX_BEGIN)
    _, end, after = rest.partition(MATRIX_END)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
