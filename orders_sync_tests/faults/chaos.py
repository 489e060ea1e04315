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
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import ORDERS_DATABASE, embedded_url, stop_if_last
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
MAX_CONNECTIONS = 100
"""PostgreSQL's default."""
DISK_MEGABYTES = 400
"""The size of the disk of a sequence's server, where one can be mounted."""
JOBS = (*SyncType, "stock")
MATRIX_BEGIN, MATRIX_END = "<!-- the matrix: make chaos writes it -->", "<!-- end of the matrix -->"


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
class Story:
    """What happens in one sequence, at one marketplace."""

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

# The faults. Each is injected while `process` works, and leaves the machine as it found it.

Fault = Callable[[Story, BaseProcess], None]


def nothing(_: Story, process: BaseProcess) -> None:
    """No fault: the others must not depend on one."""


def worker_killed(_: Story, process: BaseProcess) -> None:
    process.kill()


def worker_frozen(story: Story, process: BaseProcess) -> None:
    """It sleeps while another process does its work, and wakes up afterwards."""
    _signal(process, signal.SIGSTOP)
    other = story.start(story.random.choice(JOBS))
    other.join(story.random.uniform(0, 3))
    _signal(process, signal.SIGCONT)
    _end(other)


def two_workers(story: Story, process: BaseProcess) -> None:
    """The same lane twice, and another one beside it."""
    others = [story.start(job) for job in (process.name, story.random.choice(JOBS)) if job in JOBS]
    for other in others:
        _end(other)


def connections_cut(story: Story, _: BaseProcess) -> None:
    """Every session of the database ends, as when somebody restarts a proxy."""
    _administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def one_connection_cut(story: Story, _: BaseProcess) -> None:
    _administer(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name "
        "LIKE 'orders_sync%%' ORDER BY random() LIMIT 1"
    )


def database_killed(*_: object) -> None:
    """SIGKILL of the server: whoever needs it next starts it again."""
    _kill_server()


def database_frozen(story: Story, _: BaseProcess) -> None:
    pid = _server_pid()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(story.random.uniform(0.1, 2))
    os.kill(pid, signal.SIGCONT)


def everything_killed(_: Story, process: BaseProcess) -> None:
    """As when the machine loses its power."""
    process.kill()
    _kill_server()


def marketplace_fails(story: Story, _: BaseProcess) -> None:
    kind: dict[str, Any] = story.random.choice(
        [
            {"kind": "status", "status": 500}, {"kind": "status", "status": 502}, {"kind": "status", "status": 404},
            {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, {"kind": "status", "status": 401},
            {"kind": "reset"}, {"kind": "truncate"}, {"kind": "html"}, {"kind": "delay", "seconds": 1},
            {"kind": "drip", "seconds": 1}, {"kind": "empty_page"}, {"kind": "looping_next"}, {"kind": "repeat"},
            {"kind": "sparse", "fields": ["orderlines"]}, {"kind": "patch", "fields": {"price": "a lot"}},
        ]
    )  # fmt: skip
    story.marketplace.fault(**{"times": story.random.randint(1, 8), **kind})


def connections_used_up(story: Story, _: BaseProcess) -> None:
    """Other programs take every connection that the server has left."""
    with contextlib.ExitStack() as others, contextlib.suppress(psycopg.OperationalError):
        url = embedded_url(ORDERS_DATABASE)
        for _other in range(MAX_CONNECTIONS):
            others.enter_context(contextlib.closing(psycopg.connect(url)))
        time.sleep(story.random.uniform(0.5, 2))


def disk_full(story: Story, _: BaseProcess) -> None:
    """Nothing can be written any more, then there is room again."""
    filler = Path(os.environ["ORDERS_SYNC_STATE"]) / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for _megabyte in range(DISK_MEGABYTES):
            file.write(bytes(1_000_000))
    time.sleep(story.random.uniform(0.5, 2))
    filler.unlink(missing_ok=True)


class Kind(NamedTuple):
    """A kind of fault."""

    inject: Fault
    expected: str
    """What is expected beside the invariants."""


FAULTS = {
    "none": Kind(nothing, "The work is done."),
    "worker killed": Kind(worker_killed, "Its batch is undone, its lane free at once."),
    "worker frozen": Kind(worker_frozen, "Another worker waits, or takes over; what wakes up writes nothing twice."),
    "two workers": Kind(two_workers, "One works, the other says that the lane is busy."),
    "all connections cut": Kind(connections_cut, "The pass fails in one line; the next one continues."),
    "one connection cut": Kind(one_connection_cut, "The pass fails in one line, or goes on."),
    "database killed": Kind(database_killed, "Whoever needs the embedded server next starts it again."),
    "database frozen": Kind(database_frozen, "The work goes on when the server does."),
    "worker and database killed": Kind(everything_killed, "As after a power cut: committed batches are there."),
    "connections used up": Kind(connections_used_up, "What starts meanwhile fails in one line; what runs goes on."),
    "marketplace fails": Kind(marketplace_fails, "Tried again, or the pass fails in one line; nothing is skipped."),
}
"""Every kind of fault by its name."""
CAN_MOUNT = (
    shutil.which("unshare") is not None
    and not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
)
"""Whether a small disk can be mounted here; else it can't be full."""
if CAN_MOUNT:
    FAULTS["disk full"] = Kind(disk_full, "PostgreSQL refuses, or stops and recovers; committed batches are there.")


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
    """What became of a story."""

    faults: list[str]
    recovery_seconds: float
    """From the end of all faults until every lane and the stock job have succeeded."""


def run_sequence(seed: int, faults: Sequence[str] = tuple(FAULTS), steps: int = STEPS) -> Outcome:
    """A sequence of some kinds of faults. Raises Violation, or the error of an invariant."""
    chance = random.Random(seed)
    with _emptied_database(), Marketplace(ago=_ago(chance)) as marketplace:
        accounts = sandbox_account(marketplace)
        settings = {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_SANDBOX_TOKEN",
            "limits": {"enforced": False, "connections": accounts.settings.limits.connections, "outage_minutes": 0},
        }  # fmt: skip
        story = Story(chance, marketplace, settings)
        injected: list[str] = []
        for _ in range(steps):
            story.change_marketplace()
            process = story.start(chance.choice(JOBS))
            time.sleep(chance.uniform(0, BUSY_SECONDS))
            name = chance.choice(faults)
            FAULTS[name].inject(story, process)
            _end(process)
            injected.append(name)
        marketplace.calm()
        began = time.monotonic()
        _recover(story, began)
        seconds = time.monotonic() - began
        with connect(embedded_url(ORDERS_DATABASE), application="chaos checks") as connection:
            check_invariants(connection)
            every_listed_order_is_stored_or_rejected(connection, ACCOUNT, marketplace.listed())
            _every_order_is_up_to_date(connection, story)
            left = [str(state.lane) for state in lane_states(connection, [ACCOUNT]) if state.holder is not None]
        if left:
            raise Violation(f"lanes that are still held: {left}")
    return Outcome(injected, seconds)


def _recover(story: Story, began: float) -> None:
    """Runs every job until it succeeds, as the next ticks would."""
    for job in (*SyncType, *SyncType, "stock"):
        while True:
            process = story.start(job)
            _end(process)
            if process.exitcode == 0:
                break
            if time.monotonic() - began > RECOVERY_SECONDS:
                raise Violation(f"{job} has not worked again after {RECOVERY_SECONDS:.0f} s")


def _every_order_is_up_to_date(connection: psycopg.Connection[Any], story: Story) -> None:
    stored = dict(connection.execute("SELECT order_id, min(status) FROM order_items GROUP BY order_id").fetchall())
    wrong = {
        number: (stored.get(str(number)), expected)
        for number, expected in story.orders.items()
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


class Report(NamedTuple):
    """What became of many sequences."""

    seconds: dict[str, list[float]]
    """By kind of fault, how long it took after each sequence with it until every lane had worked again."""
    violations: list[str]


@contextmanager
def a_machine() -> Iterator[None]:
    """A state folder with an embedded server of its own, and an orders database, for the length of the block."""
    before = {name: os.environ.pop(name, None) for name in (ORDERS_DATABASE_URL, "ORDERS_SYNC_STATE")}
    with tempfile.TemporaryDirectory(prefix="osch-") as folder, _a_disk(folder):
        os.environ["ORDERS_SYNC_STATE"] = folder
        try:
            upgrade_schema(embedded_url(ORDERS_DATABASE))
            _FORKS.set_forkserver_preload([__name__])
            yield
        finally:
            stop_if_last()
            del os.environ["ORDERS_SYNC_STATE"]
            os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def _a_disk(folder: str) -> Iterator[None]:
    """A small disk in this folder, where it can be mounted."""
    if not CAN_MOUNT:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0755", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def run_sequences(seeds: Sequence[int]) -> Report:
    """Runs sequences one after the other; none stops the others."""
    report = Report(defaultdict(list), [])
    with a_machine():
        for seed in seeds:
            try:
                outcome = run_sequence(seed)
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
    seeds = range(first, first + options.sequences)
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as workers:
        reports = list(workers.map(run_sequences, [seeds[n :: options.workers] for n in range(options.workers)]))
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
