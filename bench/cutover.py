"""V1 and V2 over a simulated week: what V2 promises, measured.

    make bench-cutover      (for a quick look: python -m bench.cutover --days 2)

V1 is its stand-in (orders_sync/sandbox/v1.py), which runs every 2 and 5 minutes as V1's schedules do. V2 is this
project on its default schedules, and once more with an additional pass of `new` every ten minutes. Each system has a
marketplace of its own with the same seed, whose clock moves minute by minute. Both meet the same faults: the
marketplace answers 503 for an hour per day and loses one response to an acceptance per day, and each system is killed
once per day while it stores an order. Commands of V1 that start in the same minute run at the same time, as they do in
V1.
"""

import argparse
import os
import statistics
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from bench import CUTOVER_HEADING, show_part
from orders_sync.config.account import SellerAccount
from orders_sync.database.embedded import embedded_url, stop_if_last
from orders_sync.database.engine import Connection, connect
from orders_sync.database.schema_upgrade import upgrade_schema
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.sandbox.v1 import V1StandIn
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync.testing.row_faults import BREAK_CONNECTION, fault_at_row

LATE_MINUTES = (15, 60, 150)


@dataclass
class Measured:
    """What one system did in the week."""

    calls: int = 0
    """API calls."""
    too_many: int = 0
    """Responses with status 429."""
    busiest_minute: int = 0
    """The most API calls in one minute of the marketplace's clock."""
    failed_runs: int = 0
    delays: list[float] = field(default_factory=list)
    """For each order, the minutes from its first listing to its storage."""
    missing: int = 0
    """Orders that were never stored."""
    without_lock: int = 0
    """Items that wait or are to be shipped, and have no lock at the end."""
    locked_twice: int = 0
    stale_locks: int = 0
    """Active locks of items that need none at the end."""


class System(ABC):
    """V1 or V2 in the simulation. It counts failed runs and responses of 429 in `measured`."""

    def __init__(self, marketplace: Marketplace, account: SellerAccount, measured: Measured) -> None:
        self.marketplace, self.account, self.measured = marketplace, account, measured
        self.killed_on = 0
        """The day of the month on which it was last killed."""

    @abstractmethod
    def first(self) -> None:
        """Loads what the marketplace lists before the week begins."""

    @abstractmethod
    def minute(self, now: datetime, number: int) -> None:
        """Runs what its schedules start in this minute, the `number`-th of the week."""

    @abstractmethod
    def last(self) -> None:
        """Runs once more after the last fault has ended."""

    @abstractmethod
    def stored(self) -> set[str]:
        """The marketplace's ids of all stored orders."""

    @abstractmethod
    def active_locks(self) -> dict[str, int]:
        """The number of active locks of each item, by the item's id."""

    def is_time_to_die(self, now: datetime) -> bool:
        """Whether the next run is the one of this day that is killed; says so once per day, from 10 o'clock."""
        if now.hour != 10 or self.killed_on == now.day:
            return False
        self.killed_on = now.day
        return True


Opener = Callable[[Marketplace, SellerAccount, Measured], AbstractContextManager[System]]


def week(days: int, orders_per_day: float, opened: Opener) -> Measured:
    """Simulates a week (or so many days) of one system."""
    measured = Measured()
    listed_at: dict[str, datetime] = {}
    seen: set[str] = set()
    with Marketplace(
        orders=150, days=30, arrivals_per_day=orders_per_day, ago=timedelta(days=days), seed=7
    ) as marketplace:
        account = sandbox_account(marketplace, accept_orderlines=True, days_back=days + 3)
        with opened(marketplace, account, measured) as system:
            system.first()
            history = {str(order["order_id"]) for order in marketplace.listed()}
            began = marketplace.now()
            number = 0
            while datetime.now(UTC) - marketplace.now() > timedelta(minutes=2):
                marketplace.pass_time(minutes=1)
                number += 1
                now = marketplace.now()
                switch_faults(marketplace, now)
                for order in marketplace.world.orders.values():
                    key = str(order.id)
                    if order.created > began and key not in history and order.paid is not None:
                        listed_at.setdefault(key, now)
                before = marketplace.calls()
                system.minute(now, number)
                measured.busiest_minute = max(measured.busiest_minute, marketplace.calls() - before)
                for key in system.stored() & listed_at.keys() - seen:
                    seen.add(key)
                    measured.delays.append((now - listed_at[key]).total_seconds() / 60)
            marketplace.calm()
            system.last()
            end = marketplace.now()
            measured.delays += [(end - at).total_seconds() / 60 for key, at in listed_at.items() if key not in seen]
            measured.calls = marketplace.calls()
            measured.missing = len(listed_at.keys() - system.stored())
            needed = {
                str(line.id) for o in marketplace.world.orders.values() for line in o.lines if line.state in (1, 2)
            }
            held = system.active_locks()
            measured.without_lock = len(needed - held.keys())
            measured.locked_twice = sum(1 for count in held.values() if count > 1)
            measured.stale_locks = len(held.keys() - needed)
    return measured


def switch_faults(marketplace: Marketplace, now: datetime) -> None:
    """503 from 13 to 14 o'clock; a lost response to an acceptance at 9 o'clock."""
    marketplace.calm()
    if now.hour == 13:
        marketplace.fault("status", path="/ws", status=503, times=0)
    elif now.hour == 9 and now.minute < 30:
        marketplace.fault("lose_answer", path="/ws/orders/", method="POST", times=1)


class KillableV1(V1StandIn):
    """V1's stand-in; with `dies`, it stops between the next order and the order's items."""

    dies = False

    def store_line(self, order: int, line: dict[str, Any]) -> None:
        if self.dies:
            self.dies = False
            raise RuntimeError("killed between an order and its items")
        super().store_line(order, line)


class V1(System):
    """V1 on its schedules."""

    def __init__(self, marketplace: Marketplace, account: SellerAccount, measured: Measured, url: str) -> None:
        super().__init__(marketplace, account, measured)
        # Two connections, as two processes have: V1's commands do not wait for one another.
        self.connection, other = (psycopg.connect(url, autocommit=True) for _ in range(2))
        self.new, self.orders = (KillableV1(c, account, now=marketplace.now) for c in (self.connection, other))

    def first(self) -> None:
        self._run(self.orders, "refresh:orders")

    def minute(self, now: datetime, number: int) -> None:
        commands: list[threading.Thread] = []
        if number % 2 == 0:
            self.new.dies = self.is_time_to_die(now) or self.new.dies
            commands.append(threading.Thread(target=self._run, args=(self.new, "refresh:new")))
        if number % 5 == 0:
            commands.append(threading.Thread(target=self._run, args=(self.orders, "refresh:orders")))
        for command in commands:
            command.start()
        for command in commands:
            command.join()
        if number % 5 == 0:
            self._run(self.new, "refresh:latest")

    def last(self) -> None:
        self._run(self.new, "refresh:new")
        self._run(self.orders, "refresh:orders")

    def _run(self, v1: V1StandIn, command: str) -> None:
        try:
            v1.command(command)
        except Exception:  # a failed command of V1 stops no other
            self.measured.failed_runs += 1
        finally:
            self.measured.too_many += v1.run.too_many_requests

    def stored(self) -> set[str]:
        return {row[0] for row in self.connection.execute("SELECT marketplace_order_id FROM orders")}

    def active_locks(self) -> dict[str, int]:
        rows = self.connection.execute(
            "SELECT item.orderline_id, count(*) FROM stock_locks held "
            "JOIN order_items item ON item.id = held.order_item_id "
            "WHERE released_at IS NULL AND consumed_at IS NULL GROUP BY 1"
        )
        return dict(rows.fetchall())


class V2(System):
    """V2 on its schedules; `frequent`: the minutes between additional passes of `new`, None without them."""

    def __init__(
        self, marketplace: Marketplace, account: SellerAccount, measured: Measured, connection: Connection,
        frequent: int | None,
    ) -> None:  # fmt: skip
        super().__init__(marketplace, account, measured)
        self.connection, self.frequent = connection, frequent

    def first(self) -> None:
        for sync_type in ("new", "modified", "care", "incomplete"):
            self._run(sync_type)

    def minute(self, now: datetime, number: int) -> None:
        on_the_hour = now.minute == 0
        is_due = on_the_hour and now.hour % 2 == 0
        if self.frequent is not None:
            is_due = is_due or now.minute % self.frequent == 0
        if is_due and (6 <= now.hour < 22 or (now.hour == 22 and on_the_hour)):
            self._run("new", killed=self.is_time_to_die(now))
        if on_the_hour and now.hour == 2:
            self._run("modified")
        if on_the_hour and now.hour == 4:
            self._run("care")
        if on_the_hour and now.hour % 4 == 0:
            self._run("incomplete")
        apply_pending(StockConnection(self.connection), oversell=frozenset([self.account.name]))

    def last(self) -> None:
        for sync_type in ("new", "modified"):
            self._run(sync_type)
        apply_pending(StockConnection(self.connection), oversell=frozenset([self.account.name]))

    def _run(self, sync_type: str, *, killed: bool = False) -> None:
        dies = fault_at_row(self.connection, "order_items", 1, BREAK_CONNECTION) if killed else nullcontext()
        # The simulation's clock stands still while a client waits for a retry.
        with dies, patch("time.sleep"):
            try:
                self.measured.too_many += sync(self.account, sync_type).too_many_requests
            except (PassFailedError, psycopg.OperationalError):
                self.measured.failed_runs += 1

    def stored(self) -> set[str]:
        return {row[0] for row in self.connection.execute("SELECT order_id FROM orders")}

    def active_locks(self) -> dict[str, int]:
        rows = self.connection.execute(
            "SELECT item_id, count(*) FROM stock_locks WHERE state IN ('locked', 'short') GROUP BY 1"
        )
        return dict(rows.fetchall())


@contextmanager
def v1(marketplace: Marketplace, account: SellerAccount, measured: Measured) -> Iterator[System]:
    """V1 with a database of its own."""
    yield V1(marketplace, account, measured, embedded_url("week_v1"))


def v2(frequent: int | None) -> Opener:
    """V2 with a database of its own, and with additional passes of `new` if `frequent` says so."""

    @contextmanager
    def opened(marketplace: Marketplace, account: SellerAccount, measured: Measured) -> Iterator[System]:
        url = embedded_url(f"week_v2_{frequent or 0}")
        os.environ["ORDERS_DATABASE_URL"] = url
        upgrade_schema(url)
        with connect(url) as connection:
            yield V2(marketplace, account, measured, connection, frequent)

    return opened


SYSTEMS: dict[str, Opener] = {"V1": v1, "V2": v2(None), "V2, `frequent_new` every 10 min": v2(10)}


def table(results: dict[str, Measured], days: int) -> list[str]:
    """The results as a Markdown table, a column for each system."""
    lines = [
        f"| over {days} day{'s' if days > 1 else ''} | " + " | ".join(results) + " |",
        "|---|" + "---:|" * len(results),
    ]

    def row(what: str, value: Callable[[Measured], object]) -> None:
        lines.append(f"| {what} | " + " | ".join(str(value(measured)) for measured in results.values()) + " |")

    row("API calls", lambda m: f"{m.calls:,}")
    row("most calls in one minute", lambda m: m.busiest_minute)
    row("responses with status 429", lambda m: m.too_many)
    row("failed runs", lambda m: m.failed_runs)
    row("orders observed", lambda m: len(m.delays))
    row("median minutes until an order is stored", lambda m: f"{statistics.median(m.delays):.0f}")
    for minutes in LATE_MINUTES:
        row(f"orders later than {minutes} minutes", lambda m, n=minutes: sum(1 for delay in m.delays if delay > n))
    row("orders missing at the end", lambda m: m.missing)
    row("items that wait or are to be shipped, without a lock", lambda m: m.without_lock)
    row("items locked twice", lambda m: m.locked_twice)
    row("locks that no item needs any more", lambda m: m.stale_locks)
    return lines


NOTES = [
    "* V1 is better at one thing: it polls every two minutes, so it sees an order sooner. `frequent_new` closes most",
    "  of that gap during business hours; the last column shows how many calls that costs.",
    "* V1 stores an order, its items and their locks separately. If it is killed in between, the order counts as",
    "  stored, and a missing lock is made only if the marketplace lists the order again.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7, help="days to simulate (default: 7)")
    parser.add_argument("--orders", type=float, default=60.0, help="orders per day (default: 60)")
    parser.add_argument("--dry-run", action="store_true", help="print the table, but leave bench/README.md as it is")
    chosen = parser.parse_args()
    results: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="osweek-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        for name, opened in SYSTEMS.items():
            results[name] = week(chosen.days, chosen.orders, opened)
            print(name, results[name].calls, "calls", flush=True)
        stop_if_last()
    text = [
        f"`make bench-cutover` measured this on {datetime.now(UTC):%Y-%m-%d}: a simulated week at one "
        f"marketplace, {chosen.orders:.0f} orders per day, with an hour of 503 per day, a lost response to an "
        "acceptance per day, and each system killed once per day while it stores an order. V1 is its stand-in.", "",
        *table(results, chosen.days), "", *NOTES,
    ]  # fmt: skip
    show_part(CUTOVER_HEADING, text, dry_run=chosen.dry_run)


if __name__ == "__main__":
    main()
