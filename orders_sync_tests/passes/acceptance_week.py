"""`python -m orders_sync_tests.passes.acceptance_week --days 7`: acceptance over a simulated week, and its figures.

Four accounts, two at Back Market, one at refurbed and one at Mirakl, sell from one stock list, in which some SKUs are
short. At one of those at Back Market, a request accepts an order, and another refuses a SKU of it. A marketplace cancels
a line that nobody answered within 24 hours. The passes run on the default schedules, with `when_short: refuse_after: 20h`
and `pass_before_deadline`; each day at noon the shelf is counted after a delivery. For an hour a day the marketplaces
answer 503, and once a day the answer to an acceptance is lost.

The time of this process is moved by time-machine and that of its PostgreSQL by libfaketime, so that deadlines, ticks
and what PostgreSQL calls `now()` agree. Exits with 1 if one of the figures is wrong: see `Figures.is_right`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import stamina
import time_machine

from orders_sync.config.account import SellerAccount
from orders_sync.config.environment import STATE_FOLDER
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database import server_user
from orders_sync.database.embedded import stop_if_last
from orders_sync.database.engine import connect
from orders_sync.model.lane import SyncType
from orders_sync.passes.acceptance_clock import MAX_FURTHER_PASSES, outlooks, runs_out_unanswered
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.passes.waiting_lines import WaitingLine
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.entities import ACCEPTED, CANCELLED, DAY, PAID, REFUNDED_LATE, SHIPPED, Line, SandboxOrder
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sandbox.world import stock_levels
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.databases import orders_database
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests import debian_packages

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
STEP = timedelta(minutes=10)
DELIVERED = 2
"""Pieces of each SKU that arrive each day."""


class Shop(NamedTuple):
    """An account of the simulation, and its fake marketplace."""

    fake: type[FakeMarketplace]
    orders_per_day: float
    seed: int = 7
    settings: Mapping[str, str] = {}
    """Those of the account that the others don't have."""


SHOPS: Mapping[str, Shop] = {
    "phones_eu": Shop(FakeBackMarket, 60.0), "phones_de": Shop(FakeRefurbed, 30.0),
    "phones_shop": Shop(FakeMirakl, 30.0), "phones_fr": Shop(FakeBackMarket, 30.0, 8, {"accept_by": "order"}),
}  # fmt: skip
SCHEDULED = (SyncType.NEW, SyncType.MODIFIED, SyncType.CARE, SyncType.INCOMPLETE)


class PaidLine(NamedTuple):
    """A line of a marketplace, with its account and order."""

    account: str
    order: SandboxOrder
    line: Line

    @property
    def key(self) -> tuple[str, int]:
        return self.account, self.line.id


@dataclass
class Figures:
    """What happened in the week."""

    days: int
    accepted: dict[str, int] = field(default_factory=dict[str, int])
    """Lines, by account."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    freed: int = 0
    """Orders of which a refusal and an acceptance were two requests of one pass."""
    cancelled_by_buyers: int = 0
    lost_answers: int = 0
    further_passes: int = 0
    """Passes of `new` before deadlines."""
    passes: int = 0
    failed_passes: int = 0
    calls: int = 0
    expired: list[str] = field(default_factory=list[str])
    """Lines that ran out without an answer, each with its account."""
    sold_out: list[str] = field(default_factory=list[str])
    """SKUs of which more pieces were accepted than there were, each with the time."""
    late_answers: list[str] = field(default_factory=list[str])
    """Lines that the clock said a pass would answer, and that still waited after it."""
    unannounced: list[str] = field(default_factory=list[str])
    """Lines that a pass refused before the time that the clock had said, or though it had said none."""
    wrong_items: int = 0
    broken: str | None = None
    """The first invariant that does not hold."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.expired or self.sold_out or self.late_answers or self.unannounced or self.wrong_items or self.broken
        )


class SimulatedTime:
    """The time of this process and of a PostgreSQL that it starts within the block."""

    def __init__(self, library: str, file: Path) -> None:
        """`library`: libfaketime. `file`: where it reads how many seconds PostgreSQL's time is ahead."""
        self._file = file
        self._ahead = 0.0
        self._environment = {
            "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
        }  # fmt: skip

    def __enter__(self) -> "SimulatedTime":
        # A library is loaded when a program starts: this process has none, those that it starts have it.
        os.environ.update(self._environment)
        self._passed_on = patch.object(server_user, "PASSED_ON", (*server_user.PASSED_ON, *self._environment))
        self._passed_on.start()
        self._ahead = START.timestamp() - time.time()
        self._show()
        self._travel = time_machine.travel(START)
        self._own = self._travel.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._travel.stop()
        self._passed_on.stop()
        for name in self._environment:
            del os.environ[name]

    def move_to(self, at: datetime) -> None:
        """Moves the time; it goes on from there at its real speed."""
        self._ahead += at.timestamp() - time.time()
        self._own.move_to(at)
        self._show()

    def _show(self) -> None:
        """Shows PostgreSQL the time, all at once: it reads the file whenever it needs the time."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{self._ahead:+.0f}")
        written.replace(self._file)


class Shelf:
    """The pieces that there really are, by what the marketplaces know: the truth that stock is compared with."""

    def __init__(self, levels: Mapping[str, int], before: frozenset[tuple[str, int]]) -> None:
        """`before`: the lines that had shipped when the shelf was counted first."""
        self._delivered = Counter(levels)
        self._before = before

    def deliver(self, pieces: int) -> None:
        self._delivered.update(dict.fromkeys(self._delivered, pieces))

    def on_hand(self, lines: list[PaidLine]) -> dict[str, int]:
        """The pieces on the shelf: delivered, and not shipped since."""
        shipped = self._pieces(lines, SHIPPED, REFUNDED_LATE)
        return {sku: pieces - shipped[sku] for sku, pieces in self._delivered.items()}

    def sold_out(self, lines: list[PaidLine]) -> list[str]:
        """The SKUs of which more pieces were accepted, or have shipped, than there were."""
        sold = self._pieces(lines, ACCEPTED, SHIPPED, REFUNDED_LATE)
        return [sku for sku, pieces in self._delivered.items() if sold[sku] > pieces]

    def _pieces(self, lines: list[PaidLine], *states: int) -> Counter[str]:
        counted: Counter[str] = Counter()
        for each in lines:
            if each.line.state in states and each.key not in self._before:
                counted[each.line.sku] += each.line.quantity
        return counted


class Week:
    """The simulation."""

    def __init__(
        self, clock: SimulatedTime, shops: Mapping[str, Marketplace], stock: StockConnection, days: int,
        settings: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """`settings`: those of the accounts that decide about acceptance."""
        self.clock, self.shops, self.stock = clock, shops, stock
        self.figures = Figures(days)
        self.schedules = ScheduleSettings()
        self.accounts: dict[str, SellerAccount] = {
            name: sandbox_account(
                shop, name, acceptance_deadline="24h", days_back=days + 3, **settings, **SHOPS[name].settings
            )
            for name, shop in shops.items()
        }
        self.requested: dict[str, dict[frozenset[str], datetime]] = {name: {} for name in shops}

    def run(self) -> Figures:
        """Runs the week, a step every ten minutes."""
        for name in self.shops:
            for sync_type in (SyncType.MODIFIED, SyncType.NEW):
                self._pass(name, sync_type, history=True)
        first = self._lines()
        levels = stock_levels(self.shops["phones_eu"].world)
        shelf = Shelf(levels, frozenset(each.key for each in first if each.line.state in (SHIPPED, REFUNDED_LATE)))
        import_levels(self.stock, levels)
        self._apply()
        # What waits from before has no stock yet that it could have been accepted with.
        before = {each.key for each in first if each.line.state == ACCEPTED}
        now = START
        while now < START + timedelta(days=self.figures.days):
            waiting = {each.key: each for each in self._lines() if each.line.state == PAID}
            now += STEP
            self.clock.move_to(now)
            for shop in self.shops.values():
                shop.world.advance(shop.now())
            self._note_ends(waiting, now)
            self._switch_faults(now)
            if now.hour == 12 and now.minute == 0:
                shelf.deliver(DELIVERED)
                import_levels(self.stock, shelf.on_hand(self._lines()))
            self._run_due(now)
            self._apply()
            lines = [each for each in self._lines() if each.key not in before or each.line.state != ACCEPTED]
            self.figures.sold_out += [f"{sku} at {now:%a %H:%M}" for sku in shelf.sold_out(lines)]
        return self._finish()

    def _lines(self) -> list[PaidLine]:
        return [
            PaidLine(name, order, line)
            for name, shop in self.shops.items()
            for order in shop.world.orders.values()
            for line in order.lines
            if order.paid is not None
        ]

    def _note_ends(self, waiting: Mapping[tuple[str, int], PaidLine], now: datetime) -> None:
        for each in waiting.values():
            paid = each.order.paid
            if each.line.state == CANCELLED and not each.line.refused and paid is not None:
                if now - paid >= DAY:
                    self.figures.expired.append(f"{each.account} {each.order.id}, paid {paid:%a %H:%M}")
                else:
                    self.figures.cancelled_by_buyers += 1

    def _switch_faults(self, now: datetime) -> None:
        """503 from 14 to 15 o'clock; a lost response to an acceptance at 8 o'clock."""
        for shop in self.shops.values():
            shop.calm()
            if now.hour == 14:
                shop.fault("status", path="/", status=503, times=0)
            elif now.hour == 8 and now.minute == 0 and shop.fake.name == "back_market":
                shop.fault("lose_answer", path="/ws/orders/", method="POST", times=1)

    def _run_due(self, now: datetime) -> None:
        for name in self.shops:
            for sync_type in SCHEDULED:
                if self.schedules.last_tick(sync_type, now) > now - STEP:
                    self._pass(name, sync_type)
        accounts = {name: one for name, one in self.accounts.items() if one.settings.pass_before_deadline}
        late = [each for each in outlooks(self.stock, accounts, now, self.schedules) if runs_out_unanswered(each, now)]
        for name, requested in self.requested.items():
            items = frozenset(each.line.item_id for each in late if each.line.account == name)
            today = sum(at > now - DAY for at in requested.values())
            if items and items not in requested and today < MAX_FURTHER_PASSES:
                requested[items] = now
                self.figures.further_passes += 1
                self._pass(name, SyncType.NEW)

    def _pass(self, name: str, sync_type: SyncType, *, history: bool = False) -> None:
        """Runs a pass; one of `history` fetches all orders and accepts none, since the shelf was not counted yet."""
        account = sandbox_account(self.shops[name], name, days_back=30) if history else self.accounts[name]
        self.figures.passes += 1
        announced = {} if history or sync_type is not SyncType.NEW else self._announced(name)
        with patch("time.sleep"):  # an outage takes no time of the week
            try:
                sync(account, sync_type.value)
            except PassFailedError:
                self.figures.failed_passes += 1
                return
        self._compare(announced)

    def _announced(self, name: str) -> dict[WaitingLine, datetime | None]:
        """The waiting lines of an account, and from when on the clock says that a pass answers them."""
        found = outlooks(self.stock, {name: self.accounts[name]}, datetime.now(UTC), self.schedules)
        return {each.line: each.answered_from for each in found}

    def _compare(self, announced: Mapping[WaitingLine, datetime | None]) -> None:
        """Compares what a pass did with what the clock said before it."""
        for line, answered_from in announced.items():
            status, decision, state = self._answer(line)
            name = f"{line.account} {line.order_id}, item {line.item_id} at {datetime.now(UTC):%a %H:%M}"
            is_due = answered_from is not None and answered_from <= datetime.now(UTC)
            if is_due and status == "pending" and state not in ("lost", "failed"):
                self.figures.late_answers.append(name)
            if not is_due and line.is_short and (decision, state, status) == ("refuse", "done", "cancelled"):
                self.figures.unannounced.append(name)

    def _answer(self, line: WaitingLine) -> tuple[str, str | None, str | None]:
        """The status of a line now, and the decision and state of the last request about it; None: there was none."""
        key = [line.account, line.item_id]
        (status,) = self.stock.connection.execute(_STATUS, key).fetchone() or ("gone",)
        last = self.stock.connection.execute(_LAST_REQUEST, [line.account, line.order_id, line.sku, line.item_id])
        decision, state = last.fetchone() or (None, None)
        return status, decision, state

    def _apply(self) -> None:
        apply_pending(self.stock)

    def _finish(self) -> Figures:
        figures = self.figures
        lines = self._lines()
        by_account = {name: [each for each in lines if each.account == name] for name in self.shops}
        figures.accepted = {
            name: sum(
                each.line.state in (ACCEPTED, SHIPPED, REFUNDED_LATE) and each.order.created > START for each in own
            )
            for name, own in by_account.items()
        }
        figures.refused = {name: sum(each.line.refused for each in own) for name, own in by_account.items()}
        figures.calls = sum(shop.calls() for shop in self.shops.values())
        note_stored(figures, self.stock)
        return figures


def note_stored(figures: Figures, stock: StockConnection) -> None:
    """Adds what the orders database shows at the end."""
    figures.freed = len(stock.connection.execute(_FREED).fetchall())
    figures.lost_answers = len(stock.connection.execute(_LOST).fetchall())
    figures.wrong_items = len(wrong_locks(stock))
    try:
        check_invariants(stock.connection)
    except AssertionError as problem:
        figures.broken = str(problem)


_STATUS = "SELECT status FROM order_items WHERE account = %s AND item_id = %s"
_LAST_REQUEST = """
SELECT decision, state FROM acceptances
WHERE account = %s AND order_id = %s AND sku IN ('', %s) AND item_id IN ('', %s) ORDER BY acceptance_id DESC LIMIT 1
"""
_FREED = """
SELECT DISTINCT refusal.account, refusal.order_id FROM acceptances refusal JOIN acceptances acceptance
  ON acceptance.account = refusal.account AND acceptance.order_id = refusal.order_id
WHERE refusal.state = 'done' AND acceptance.decision = 'accept' AND acceptance.state = 'accepted' AND acceptance.sku = ''
  AND acceptance.requested_at BETWEEN refusal.requested_at AND refusal.requested_at + interval '5 minutes'
"""
_LOST = "SELECT acceptance_id FROM acceptances WHERE state IN ('lost', 'left')"


@contextmanager
def _shops() -> Iterator[dict[str, Marketplace]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Marketplace(shop.fake, orders=150, days=20, arrivals_per_day=shop.orders_per_day, seed=shop.seed)
            )
            for name, shop in SHOPS.items()
        }


def simulate(days: int, library: str, settings: Mapping[str, Any]) -> Figures:
    """Simulates so many days. `library`: libfaketime. `settings`: those of the accounts."""
    with tempfile.TemporaryDirectory(prefix="osweek-") as folder:
        Path(folder).chmod(0o755)
        os.environ[STATE_FOLDER] = folder
        with SimulatedTime(library, Path(folder, "time")) as clock:
            try:
                with orders_database() as url, connect(url) as connection, _shops() as shops:
                    return Week(clock, shops, StockConnection(connection), days, settings).run()
            finally:
                stop_if_last()


def main() -> int:
    """Prints the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Acceptance over a simulated week.")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--when-short", choices=["wait", "accept"], help="instead of refuse_after: 20h")
    parser.add_argument("--no-pass-before-deadline", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    settings = {
        "accept_orderlines": True,
        "when_short": options.when_short or {"refuse_after": "20h"},
        "pass_before_deadline": not options.no_pass_before_deadline,
    }
    library = debian_packages.find("faketime")
    if library is None:
        sys.exit("libfaketime is missing. Install Debian's package faketime.")
    stamina.instrumentation.set_on_retry_hooks([])  # the outages are meant
    figures = simulate(options.days, library, settings)
    print(json.dumps(asdict(figures)) if options.json else in_words(figures))
    return 0 if figures.is_right else 1


def in_words(figures: Figures) -> str:
    """The figures for people, with the first twenty of each kind of what is wrong."""
    wrong = (figures.expired, figures.sold_out, figures.late_answers, figures.unannounced)
    return "\n".join(
        [
            f"{figures.days} days, {len(SHOPS)} accounts: {sum(figures.accepted.values()):,} lines accepted, "
            f"{sum(figures.refused.values())} refused ({figures.freed} orders partly), {figures.cancelled_by_buyers} "
            "cancelled by buyers while they waited",
            f"{figures.passes:,} passes ({figures.failed_passes} failed, {figures.further_passes} before deadlines), "
            f"{figures.calls:,} API calls, {figures.lost_answers} answers lost",
            f"{len(figures.expired)} lines ran out unanswered, {len(figures.sold_out)} times more was accepted than "
            f"there was, {len(figures.late_answers)} lines were answered later than the clock said, "
            f"{len(figures.unannounced)} refused unannounced, {figures.wrong_items} wrong locks",
            *(f"  {problem}" for found in wrong for problem in found[:20]),
            *([f"  {figures.broken}"] if figures.broken else []),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
