"""V1 and V2 over a simulated week of the sandbox's time: what the brief claims of V2, measured.

    make bench-migration      (or: python -m bench.migration --days 2, for a quick look)

V1 is the stand-in (orders_sync/migration/stand_in.py), every 2 and 5 minutes as its schedules say; V2 is this project,
on the brief's schedules, and once more with further passes of `new` every ten minutes. Each has a marketplace of its
own, of the same seed, whose clock is moved minute by minute. Faults: the marketplace answers 503 for an hour a day,
loses one answer to an acceptance a day, and each system is killed once a day in the middle of storing an order. V1's
commands that start in the same minute run at the same time, as V1's do.
"""

import argparse
import os
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

README = Path(__file__).parent / "README.md"
MARK = "## V1 and V2 over a week"
LATE_MINUTES = (15, 60, 150)


@dataclass
class Measured:
    """What one system did in the week."""

    calls: int = 0
    too_many: int = 0
    busiest_minute: int = 0
    failed_runs: int = 0
    delays: list[float] = field(default_factory=list)
    """Minutes from an order's being listed first to its being stored."""
    missing: int = 0
    without_lock: int = 0
    locked_twice: int = 0
    stale_locks: int = 0


def week(days: int, orders_a_day: float, system: Any) -> Measured:
    """A week of one system. `system` opens what acts in each minute of the simulation: V1Week or V2Week."""
    from orders_sync.testing.marketplace import Marketplace, sandbox_account

    measured = Measured()
    listed_at: dict[str, datetime] = {}
    with Marketplace(orders=150, days=30, arrivals_a_day=orders_a_day, ago=timedelta(days=days), seed=7) as marketplace:
        account = sandbox_account(marketplace, accept_orderlines=True, days_back=days + 3)
        with system(marketplace, account, measured) as minute:
            minute.first()
            known = {str(order["order_id"]) for order in marketplace.listed()}
            began = marketplace.now()
            number = 0
            while datetime.now(UTC) - marketplace.now() > timedelta(minutes=2):
                marketplace.pass_time(minutes=1)
                number += 1
                now = marketplace.now()
                _faults(marketplace, now)
                for order in marketplace.world.orders.values():
                    key = str(order.id)
                    if order.created > began and key not in known and order.paid is not None and key not in listed_at:
                        listed_at[key] = now
                before = marketplace.calls()
                minute(now, number)
                measured.busiest_minute = max(measured.busiest_minute, marketplace.calls() - before)
                for key in minute.stored() & listed_at.keys() - minute.seen:
                    minute.seen.add(key)
                    measured.delays.append((now - listed_at[key]).total_seconds() / 60)
            marketplace.calm()
            minute.last()
            end = marketplace.now()
            measured.delays += [
                (end - at).total_seconds() / 60 for key, at in listed_at.items() if key not in minute.seen
            ]
            measured.calls = marketplace.calls()
            measured.missing = len(listed_at.keys() - minute.stored())
            active = {line.id for o in marketplace.world.orders.values() for line in o.lines if line.state in (1, 2)}
            minute.count_locks({str(line) for line in active})
    return measured


def _faults(marketplace: Any, now: datetime) -> None:
    """An hour of 503 a day, and an answer to an acceptance that gets lost."""
    marketplace.calm()
    if now.hour == 13:
        marketplace.fault("status", path="/ws", status=503, times=0)
    elif now.hour == 9 and now.minute < 30:
        marketplace.fault("lose_answer", path="/ws/orders/", method="POST", times=1)


class V1Week:
    """V1's schedules, minute by minute."""

    def __init__(self, marketplace: Any, account: Any, measured: Measured, url: str) -> None:
        from orders_sync.sandbox.v1 import V1StandIn

        self.marketplace, self.measured = marketplace, measured
        # Two processes: V1's commands do not wait for one another.
        self.connection, other = (psycopg.connect(url, autocommit=True) for _ in range(2))
        self.v1, self.other = (V1StandIn(c, account, now=marketplace.now) for c in (self.connection, other))
        self.seen: set[str] = set()
        self.killed_on = 0

    def first(self) -> None:
        self._run("refresh:orders")

    def __call__(self, now: datetime, number: int) -> None:
        at_once: list[threading.Thread] = []
        if number % 2 == 0:
            killed = now.hour == 10 and self.killed_on != now.day
            at_once.append(threading.Thread(target=self._run, args=("refresh:new",), kwargs={"killed": killed}))
        if number % 5 == 0:
            at_once.append(threading.Thread(target=self._run, args=("refresh:orders", self.other)))
        for command in at_once:
            command.start()
        for command in at_once:
            command.join()
        if number % 5 == 0:
            self._run("refresh:latest")

    def _run(self, command: str, system: Any = None, *, killed: bool = False) -> None:
        v1 = system or self.v1
        try:
            with patch.object(v1, "_store_line", self._die) if killed else nullcontext():
                v1.command(command)
        except Exception:
            self.measured.failed_runs += 1
        finally:
            self.measured.too_many += v1.run.too_many_requests

    def _die(self, *_: Any) -> None:
        self.killed_on = self.marketplace.now().day
        raise RuntimeError("killed in the middle of an order")

    def stored(self) -> set[str]:
        return {row[0] for row in self.connection.execute("SELECT marketplace_order_id FROM orders")}

    def last(self) -> None:
        for command in ("refresh:new", "refresh:orders"):
            self._run(command)

    def count_locks(self, active: set[str]) -> None:
        rows = self.connection.execute(
            "SELECT item.orderline_id, count(*) FROM stock_locks held "
            "JOIN order_items item ON item.id = held.order_item_id "
            "WHERE released_at IS NULL AND consumed_at IS NULL GROUP BY 1"
        ).fetchall()
        _count(self.measured, active, dict(rows))


class V2Week:
    """V2's schedules, minute by minute."""

    def __init__(self, marketplace: Any, account: Any, measured: Measured, connection: Any, frequent: int) -> None:
        self.marketplace, self.account, self.measured, self.connection = marketplace, account, measured, connection
        self.frequent = frequent
        self.seen: set[str] = set()
        self.killed_on = 0

    def first(self) -> None:
        for sync_type in ("new", "modified", "care", "incomplete"):
            self._run(sync_type)

    def __call__(self, now: datetime, number: int) -> None:
        from orders_sync.stock.apply_events import apply_pending
        from orders_sync.stock.connection import StockConnection

        on_the_hour = now.minute == 0
        is_due = (on_the_hour and now.hour % 2 == 0) or (bool(self.frequent) and now.minute % (self.frequent or 1) == 0)
        if is_due and (6 <= now.hour < 22 or (now.hour == 22 and on_the_hour)):
            self._run("new", killed=now.hour == 10 and self.killed_on != now.day)
        if on_the_hour and now.hour == 2:
            self._run("modified")
        if on_the_hour and now.hour == 4:
            self._run("care")
        if on_the_hour and now.hour % 4 == 0:
            self._run("incomplete")
        apply_pending(StockConnection(self.connection), oversell=frozenset(["shop"]))

    def _run(self, sync_type: str, *, killed: bool = False) -> None:
        from orders_sync.marketplaces.kit import http
        from orders_sync.passes.run_pass import PassFailedError
        from orders_sync.testing.marketplace import sync

        if killed:
            self.killed_on = self.marketplace.now().day
        # The simulation's time does not pass while a client waits.
        with patch.object(http.time, "sleep"), self._killed() if killed else nullcontext():
            try:
                self.measured.too_many += sync(self.account, sync_type).too_many_requests
            except PassFailedError:
                self.measured.failed_runs += 1

    @contextmanager
    def _killed(self) -> Iterator[None]:
        """Cuts the connection of whoever stores an order: after the order's own row, before its items."""
        self.connection.execute(
            """
            CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
            CREATE TRIGGER cut AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION cut()
            """
        )
        try:
            yield
        finally:
            self.connection.execute("DROP FUNCTION cut CASCADE")

    def stored(self) -> set[str]:
        return {row[0] for row in self.connection.execute("SELECT order_id FROM orders")}

    def last(self) -> None:
        from orders_sync.stock.apply_events import apply_pending
        from orders_sync.stock.connection import StockConnection

        for sync_type in ("new", "modified"):
            self._run(sync_type)
        apply_pending(StockConnection(self.connection), oversell=frozenset(["shop"]))

    def count_locks(self, active: set[str]) -> None:
        rows = self.connection.execute(
            "SELECT item_id, count(*) FROM stock_locks WHERE state IN ('locked', 'short') GROUP BY 1"
        ).fetchall()
        _count(self.measured, active, dict(rows))


def _count(measured: Measured, active: set[str], held: dict[str, int]) -> None:
    measured.without_lock = len(active - held.keys())
    measured.locked_twice = sum(1 for count in held.values() if count > 1)
    measured.stale_locks = len(held.keys() - active)


def table(results: dict[str, Measured], days: int) -> list[str]:
    names = list(results)
    lines = [f"| over {days} days | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]

    def row(what: str, value: Callable[[Measured], object]) -> None:
        lines.append(f"| {what} | " + " | ".join(str(value(results[name])) for name in names) + " |")

    row("API calls", lambda m: f"{m.calls:,}")
    row("most calls in one minute", lambda m: m.busiest_minute)
    row("answers of 429", lambda m: m.too_many)
    row("runs that failed", lambda m: m.failed_runs)
    row("orders followed", lambda m: len(m.delays))
    row("median minutes until an order is stored", lambda m: f"{statistics.median(m.delays):.0f}")
    for minutes in LATE_MINUTES:
        row(f"orders later than {minutes} minutes", lambda m, n=minutes: sum(1 for delay in m.delays if delay > n))
    row("orders missing in the end", lambda m: m.missing)
    row("items that wait or are to be shipped, without a lock", lambda m: m.without_lock)
    row("items locked twice", lambda m: m.locked_twice)
    row("locks whose reason is gone", lambda m: m.stale_locks)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--orders", type=float, default=60.0, help="orders a day")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osweek-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
        from orders_sync.database.embedded import stop_if_last

        provide_sandbox_credentials()
        results = {}
        for name, frequent in (("V1", None), ("V2", 0), ("V2, `frequent_new` every 10 min", 10)):
            results[name] = week(chosen.days, chosen.orders, _system(name, frequent))
            print(name, results[name].calls, "calls", flush=True)
        stop_if_last()
    text = [
        MARK, "", f"Made by `make bench-migration`, {datetime.now(UTC):%Y-%m-%d}: a simulated week at one marketplace, "
        f"{chosen.orders:.0f} orders a day, with an hour of 503 a day, a lost answer to an acceptance a day, and each "
        "system killed once a day in the middle of an order. V1 is the stand-in that works as V1 does.", "",
        *table(results, chosen.days), "", *NOTES,
    ]  # fmt: skip
    readme = README.read_text().split(MARK)[0].rstrip()
    README.write_text(readme + "\n\n" + "\n".join(text) + "\n")
    print("\n".join(text))


NOTES = [
    "* V1 is better at one thing: it polls every two minutes, so it sees an order sooner. `frequent_new` closes most",
    "  of that, in business hours, for the calls that the last column shows.",
    "* V1 stores an order, its items and their locks each by itself: killed in between, the order counts as known,",
    "  and a lock that is not made then is made only if the order is listed again.",
]


def _system(name: str, frequent: int | None) -> Any:
    @contextmanager
    def opened(marketplace: Any, account: Any, measured: Measured) -> Iterator[Any]:
        from orders_sync.database.embedded import embedded_url
        from orders_sync.database.engine import connect
        from orders_sync.database.schema import upgrade_schema

        database = "week_" + "".join(letter for letter in name.lower() if letter.isalnum())
        url = embedded_url(database)
        if frequent is None:
            yield V1Week(marketplace, account, measured, url)
            return
        os.environ["ORDERS_DATABASE_URL"] = url
        upgrade_schema(url)
        with connect(url) as connection:
            yield V2Week(marketplace, account, measured, connection, frequent)

    return opened


if __name__ == "__main__":
    main()
