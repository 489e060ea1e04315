"""Random sequences of work and faults, and what must hold after each: `make chaos`.

One sequence: a marketplace whose orders arrive, change, ship and are cancelled; passes and stock work in processes of
their own; and a fault in the middle of each: the process is killed or frozen, its connections or all of them are cut,
the database server is killed, the marketplace fails, or a second process works on the same lane. Then all faults end,
and every lane must work again, with the invariants of `orders_sync.testing.invariants` as the judge.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import ORDERS_DATABASE, embedded_url
from orders_sync.database.engine import connect
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.lanes.history import lane_states
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.passes.run_pass import run_pass
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.sync.pass_request import PassRequest
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account

ACCOUNT = "shop"
SKUS = ("PHONE", "CASE", "TABLET")
STEPS = 6
"""How often a sequence changes the marketplace and works, with a fault."""
BUSY_SECONDS = 1.5
"""A fault comes at a random moment of so many seconds after the work began; a pass takes half a second or so."""
RECOVERY_SECONDS = 300.0
"""A lane must have worked again so long after all faults have ended."""
JOBS = (*SyncType, "stock")


class Violation(AssertionError):
    """Something that must hold does not."""


# What the processes do. They are forked from a clean process, and killed like any other.


def work(job: str, settings: dict[str, Any]) -> None:
    """One pass of a lane, or the stock job."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what fails here is the subject of the test
    if job == "stock":
        with connect(application="orders_sync chaos stock") as connection:
            apply_pending(StockConnection(connection))
        return
    account = account_from(ACCOUNT, settings, "chaos")
    run_pass(PassRequest(account, SyncType(job), f"chaos-{os.getpid()}"))


@dataclass
class Sequence:
    """One sequence: its marketplace and its database."""

    random: random.Random
    marketplace: Marketplace
    settings: dict[str, Any]
    orders: dict[int, str] = field(default_factory=dict[int, str])
    """The orders by id, with what happened to them last."""

    def change_marketplace(self) -> None:
        """New orders arrive; some of the others are accepted, shipped or cancelled."""
        for _ in range(self.random.randint(1, 40)):
            number = len(self.orders) + 1
            skus = tuple(self.random.sample(SKUS, self.random.randint(1, 2)))
            an_order(self.marketplace, number, skus=skus, quantity=self.random.randint(1, 2))
            self.orders[number] = "accepted"
        for number in self.random.sample(sorted(self.orders), min(len(self.orders), 8)):
            if self.orders[number] == "accepted":
                what, order_state, line_state = self.random.choice([("shipped", 9, 3), ("cancelled", 9, 4)])
                self.marketplace.set_states(number, order_state, line_state)
                self.orders[number] = what
            elif self.orders[number] == "shipped":
                self.marketplace.put_folder(number, number * 100)
        self.marketplace.pass_time(minutes=self.random.randint(1, 120))

    def start(self, job: str) -> BaseProcess:
        """Starts work in a process of its own."""
        process = _FORKS.Process(target=work, args=(job, self.settings))
        process.start()
        return process


_FORKS = multiprocessing.get_context("forkserver")

# The faults. Each strikes while `process` works, and leaves the machine as it found it.

Fault = Callable[[Sequence, BaseProcess], None]


def nothing(_: Sequence, process: BaseProcess) -> None:
    """No fault: the others must not depend on one."""


def worker_killed(_: Sequence, process: BaseProcess) -> None:
    process.kill()


def worker_frozen(sequence: Sequence, process: BaseProcess) -> None:
    """It sleeps while another process does its work, and wakes up afterwards."""
    _signal(process, signal.SIGSTOP)
    other = sequence.start(sequence.random.choice(JOBS))
    other.join(sequence.random.uniform(0, 3))
    _signal(process, signal.SIGCONT)
    _end(other)


def two_workers(sequence: Sequence, process: BaseProcess) -> None:
    """The same lane twice, and another one beside it."""
    others = [sequence.start(job) for job in (process.name, sequence.random.choice(JOBS)) if job in JOBS]
    for other in others:
        _end(other)


def connections_cut(sequence: Sequence, _: BaseProcess) -> None:
    """Every session of the database ends, as when somebody restarts a proxy."""
    _administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def one_connection_cut(sequence: Sequence, _: BaseProcess) -> None:
    _administer(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name "
        "LIKE 'orders_sync%%' ORDER BY random() LIMIT 1"
    )


def database_killed(*_: object) -> None:
    """SIGKILL of the server: whoever needs it next starts it again."""
    _kill_server()


def database_frozen(sequence: Sequence, _: BaseProcess) -> None:
    pid = _server_pid()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(sequence.random.uniform(0.1, 2))
    os.kill(pid, signal.SIGCONT)


def everything_killed(_: Sequence, process: BaseProcess) -> None:
    """As when the machine loses its power."""
    process.kill()
    _kill_server()


def marketplace_fails(sequence: Sequence, _: BaseProcess) -> None:
    kind: dict[str, Any] = sequence.random.choice(
        [
            {"kind": "status", "status": 500}, {"kind": "status", "status": 502}, {"kind": "status", "status": 404},
            {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, {"kind": "status", "status": 401},
            {"kind": "reset"}, {"kind": "truncate"}, {"kind": "html"}, {"kind": "delay", "seconds": 1},
            {"kind": "drip", "seconds": 1}, {"kind": "empty_page"}, {"kind": "looping_next"}, {"kind": "repeat"},
            {"kind": "sparse", "fields": ["orderlines"]}, {"kind": "patch", "fields": {"price": "a lot"}},
        ]
    )  # fmt: skip
    sequence.marketplace.fault(**{"times": sequence.random.randint(1, 8), **kind})


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        nothing, worker_killed, worker_frozen, two_workers, connections_cut, one_connection_cut, database_killed,
        database_frozen, everything_killed, marketplace_fails,
    )
}  # fmt: skip


def _signal(process: BaseProcess, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, number)


def _end(process: BaseProcess) -> None:
    process.join(RECOVERY_SECONDS)
    if process.is_alive():
        process.kill()
        raise Violation(f"a process did not end within {RECOVERY_SECONDS:.0f} s")


def _administer(query: Any) -> None:
    with contextlib.suppress(psycopg.Error), psycopg.connect(embedded_url(ORDERS_DATABASE), autocommit=True) as own:
        own.execute(query)


def _server_pid() -> int:
    return int((Path(os.environ["ORDERS_SYNC_STATE"]) / "postgres" / "postmaster.pid").read_text().split()[0])


def _kill_server() -> None:
    with contextlib.suppress(OSError, IndexError):
        os.kill(_server_pid(), signal.SIGKILL)


# One sequence, and many of them.


class Outcome(NamedTuple):
    """What became of a sequence."""

    faults: list[str]
    recovery_seconds: float
    """From the end of all faults until every lane and the stock job have succeeded."""


def run_sequence(seed: int) -> Outcome:
    """Raises Violation, or the error of an invariant."""
    chance = random.Random(seed)
    with _emptied_database(), Marketplace(ago=_ago(chance)) as marketplace:
        accounts = sandbox_account(marketplace)
        settings = {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
            "limits": {"enforced": False, "connections": accounts.settings.limits.connections, "outage_minutes": 0},
        }  # fmt: skip
        sequence = Sequence(chance, marketplace, settings)
        struck: list[str] = []
        for _ in range(STEPS):
            sequence.change_marketplace()
            process = sequence.start(chance.choice(JOBS))
            time.sleep(chance.uniform(0, BUSY_SECONDS))
            name = chance.choice(list(FAULTS))
            FAULTS[name](sequence, process)
            _end(process)
            struck.append(name)
        marketplace.calm()
        began = time.monotonic()
        _recover(sequence, began)
        seconds = time.monotonic() - began
        with connect(embedded_url(ORDERS_DATABASE), application="chaos checks") as connection:
            check_invariants(connection)
            every_listed_order_is_stored_or_rejected(connection, ACCOUNT, marketplace.listed())
            _every_order_is_up_to_date(connection, sequence)
            left = [str(state.lane) for state in lane_states(connection, [ACCOUNT]) if state.holder is not None]
        if left:
            raise Violation(f"lanes that are still held: {left}")
    return Outcome(struck, seconds)


def _recover(sequence: Sequence, began: float) -> None:
    """Runs every job until it succeeds, as the next ticks would."""
    for job in (*SyncType, *SyncType, "stock"):
        while True:
            process = sequence.start(job)
            _end(process)
            if process.exitcode == 0:
                break
            if time.monotonic() - began > RECOVERY_SECONDS:
                raise Violation(f"{job} has not worked again after {RECOVERY_SECONDS:.0f} s")


def _every_order_is_up_to_date(connection: psycopg.Connection[Any], sequence: Sequence) -> None:
    stored = dict(connection.execute("SELECT order_id, min(status) FROM order_items GROUP BY order_id").fetchall())
    wrong = {
        number: (stored.get(str(number)), expected)
        for number, expected in sequence.orders.items()
        if stored.get(str(number)) != expected
    }
    if wrong:
        raise Violation(f"orders whose items have not the marketplace's status: {dict(list(wrong.items())[:10])}")


@contextmanager
def _emptied_database() -> Iterator[None]:
    """The database of the sequences, without orders, with a stock list."""
    with connect(embedded_url(ORDERS_DATABASE), application="chaos") as connection:
        tables = [
            table
            for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if table not in ("alembic_version", "schema_compatibility")
        ]
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE".encode())
        import_levels(StockConnection(connection), dict.fromkeys(SKUS, 60))
    yield


def _ago(chance: random.Random) -> Any:
    from datetime import timedelta

    return timedelta(days=chance.randint(1, 20))


def main() -> int:
    """Runs the sequences; prints a matrix of the faults. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the first sequence; by default a random one")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.randrange(1_000_000)
    print(f"{options.sequences} sequences from seed {first}")
    seconds: dict[str, list[float]] = defaultdict(list)
    violations: list[str] = []
    with tempfile.TemporaryDirectory(prefix="osch-") as folder:
        os.environ["ORDERS_SYNC_STATE"] = folder
        os.environ.pop(ORDERS_DATABASE_URL, None)
        upgrade_schema(embedded_url(ORDERS_DATABASE))
        _FORKS.set_forkserver_preload([__name__])
        for seed in range(first, first + options.sequences):
            try:
                outcome = run_sequence(seed)
            except Exception as error:
                violations.append(f"seed {seed}: {type(error).__name__}: {str(error)[:2000]}")
                print(violations[-1])
                continue
            for name in set(outcome.faults):
                seconds[name].append(outcome.recovery_seconds)
        print("\n| fault | sequences | every lane worked again after: median | worst |\n|---|---:|---:|---:|")
        for name in FAULTS:
            if seconds[name]:
                values = seconds[name]
                print(f"| {name} | {len(values)} | {statistics.median(values):.1f} s | {max(values):.1f} s |")
        print(f"\n{len(violations)} violations in {options.sequences} sequences from seed {first}")
    return 1 if violations else 0
