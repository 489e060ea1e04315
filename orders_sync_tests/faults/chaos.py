"""Random sequences of work and faults, and what must hold after each: `make chaos`.

One sequence: a marketplace whose orders arrive, change, ship and are cancelled; passes and stock work in processes of
their own; and a fault in the middle of each (see kinds.py). Then all faults end, and every lane must work again, with
the invariants of `orders_sync.testing.invariants` as the judge.
"""

import multiprocessing
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from typing import NamedTuple

from orders_sync.database.engine import connect
from orders_sync.lanes.history import lane_states
from orders_sync.model.lane import Lane, SyncType
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import ANY, LOOPBACK
from orders_sync.testing.marketplace import Marketplace, sandbox_account
from orders_sync_tests.faults.changing_marketplace import ACCOUNT, SKUS, ChangingMarketplace, Violation
from orders_sync_tests.faults.kinds import FAULTS
from orders_sync_tests.faults.machine import MACHINES, Machine
from orders_sync_tests.faults.report import Report
from orders_sync_tests.faults.story import JOBS, RECOVERY_SECONDS, Story, end

STEPS = 6
"""How often a sequence changes the marketplace and works, with a fault."""
BUSY_SECONDS = 1.5
"""A fault comes at a random moment of so many seconds after the work began; a pass takes half a second or so."""


class Outcome(NamedTuple):
    """What became of a story."""

    faults: list[str]
    recovery_seconds: float
    """From the end of all faults until every lane and the stock job have succeeded."""
    noticed_seconds: dict[str, list[float]]
    """By kind of fault, how long it took until it was noticed, where that is measured."""


def run_sequence(machine: Machine, seed: int, faults: Sequence[str] = (), steps: int = STEPS) -> Outcome:
    """A sequence of some kinds of faults; of all that are possible where none is named.

    Raises Violation, or the error of an invariant.
    """
    chance = random.Random(seed)
    faults = faults or [name for name, kind in FAULTS.items() if kind.is_possible(machine)]
    machine.restart()  # the sequence before may have ended anyhow
    accepts = chance.random() < 0.5
    _empty_database(machine, pieces=10_000 if accepts else 60)  # without stock, a line would wait for it
    address = ANY if machine.host is not None else LOOPBACK
    with Marketplace(ago=timedelta(days=chance.randint(1, 20)), address=address) as marketplace:
        connections = sandbox_account(marketplace).settings.limits.connections
        settings = {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
            "limits": {"enforced": False, "connections": connections, "outage_minutes": 0},
            "accept_orderlines": accepts,
        }  # fmt: skip
        story = Story(chance, machine, ChangingMarketplace(chance, marketplace, accepts=accepts), settings)
        injected: list[str] = []
        noticed: dict[str, list[float]] = defaultdict(list)
        for _ in range(steps):
            story.market.change()
            process = story.start(chance.choice(JOBS))
            time.sleep(chance.uniform(0, BUSY_SECONDS))
            injected.append(chance.choice(faults))
            seconds = FAULTS[injected[-1]].inject(story, process)
            if seconds is not None:
                noticed[injected[-1]].append(seconds)
            end(process)
            machine.restart()
        marketplace.calm()
        began = time.monotonic()
        _recover(story, began)
        seconds = time.monotonic() - began
        _check(story)
    return Outcome(injected, seconds, noticed)


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
        left = [
            str(state.lane)
            for state in lane_states(connection, [Lane(ACCOUNT, each) for each in SyncType])
            if state.holder is not None
        ]
    if left:
        raise Violation(f"lanes that are still held: {left}")


def _empty_database(machine: Machine, pieces: int) -> None:
    """Leaves the database without orders, with a stock list of so many pieces of each SKU."""
    with connect(machine.url(), application="chaos") as connection:
        tables = [
            table
            for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if table not in ("alembic_version", "schema_compatibility")
        ]
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE".encode())
        import_levels(StockConnection(connection), dict.fromkeys(SKUS, pieces))


def run_sequences(kind: int, seeds: Sequence[int]) -> Report:
    """Runs sequences one after the other on a machine of this kind; none stops the others."""
    report = Report()
    if not seeds:
        return report
    with MACHINES[kind]() as machine:
        for seed in seeds:
            try:
                outcome = run_sequence(machine, seed)
            except Exception as error:
                report.note_violation(f"seed {seed}", error)
                continue
            faults = ", ".join(outcome.faults)
            print(f"seed {seed}: every lane worked again after {outcome.recovery_seconds:.1f} s: {faults}", flush=True)
            for name in set(outcome.faults):
                report.seconds[name].append(outcome.recovery_seconds)
            for name, values in outcome.noticed_seconds.items():
                report.noticed[name] += values
    return report


def run_in_parallel(first: int, count: int, workers: int) -> Report:
    """Runs so many sequences from a seed on, so many at the same time."""
    # The seed says on which kind of machine its sequence runs, with any number of workers.
    parts = workers + -workers % len(MACHINES)
    shares = [[seed for seed in range(first, first + count) if seed % parts == part] for part in range(parts)]
    kinds = [part % len(MACHINES) for part in range(parts)]
    whole = Report()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for report in pool.map(run_sequences, kinds, shares):
            whole.add(report)
    return whole
