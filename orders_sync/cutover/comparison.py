"""Compares V1 and V2 for an account and a day, and stores the result: all orders that either side touched on the day.

With them go the orders that differed before, so that no difference is lost sight of, and the orders of an earlier day,
another one each night, so that each order is compared again while it lives. What
differs is verified against the marketplace.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.differences import (
    DOCUMENTS,
    FORGOTTEN_LOCK,
    ONLY_V1,
    ONLY_V2,
    Difference,
    changed_at,
    differences_of,
)
from orders_sync.cutover.in_flight import Patience, Sight
from orders_sync.cutover.sides import Side, created_in_v2, touched_in_v2, v1_side, v2_side
from orders_sync.cutover.stored_comparisons import (
    Comparison,
    Found,
    Verified,
    found_before,
    orders_that_differed,
    store,
)
from orders_sync.cutover.v1_check import LEAST_PAIRS, clock_skew, measured_zone_offset
from orders_sync.cutover.v1_database import V1Database, v1_url
from orders_sync.cutover.v1_values import V1Finding
from orders_sync.cutover.verification import Right, Verification, verify_differences
from orders_sync.database.engine import Connection
from orders_sync.lanes.watermark import watermark
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import Lane, SyncType
from orders_sync.stock.connection import StockConnection

STATEMENT_SECONDS = 300
"""After so long V1's server ends a statement of a comparison."""
SAMPLED_DAYS = 92
"""So many earlier days are compared again, one each night."""
_NEVER = datetime.min.replace(tzinfo=UTC)
NIGHTLY = (SyncType.MODIFIED, SyncType.CARE)
"""These run after the end of the day, before it is compared."""
ENDS_BEFORE_ITS_TICK = timedelta(hours=1)
"""A marketplace shows a change late: the window of a pass ends before its tick."""


def sampled_day(day: date) -> date:
    """The earlier day whose orders are compared again on a day: each one once in SAMPLED_DAYS days."""
    return day - timedelta(days=2 + 2 * day.toordinal() % SAMPLED_DAYS)


def compare_day(
    connection: Connection,
    v1: V1Database,
    settings: CutoverSettings,
    account: str,
    day: date,
    now: datetime | None = None,
    by: By | None = None,
) -> Comparison:
    """Compares an account for a UTC day, and stores the result beside the earlier ones.

    `now`: the time of the comparison by the marketplace's clock; by default the present. `by`: the person who compares;
    None: the schedule does.
    """
    made = _Day(connection, v1, settings, account, day, now or datetime.now(UTC)).compared()
    with connection.transaction():
        store(connection, made)
        if by is not None:
            note_act(connection, by, Act.COMPARE_V1_AND_V2, On(account, other=f"day {day}"), made.verdict)
    return made


class _Day:
    """The comparison of one account and day."""

    def __init__(
        self,
        connection: Connection,
        v1: V1Database,
        settings: CutoverSettings,
        account: str,
        day: date,
        now: datetime,
    ) -> None:
        self.connection, self.v1, self.settings, self.account, self.day = connection, v1, settings, account, day
        self.now = now
        self.start = datetime.combine(day, time(), UTC)
        self.end = self.start + timedelta(days=1)
        self.stock = StockConnection(connection)
        # Before the rows are read: what a pass brings meanwhile counts as what it could not have brought.
        self.watermarks = {each: watermark(connection, Lane(account, each)) for each in SyncType}
        self.found_before = found_before(connection, account, now)

    def compared(self) -> Comparison:
        """Everything that is found; nothing is stored."""
        written_by_v1 = self.v1.touched(self.account, self.start, self.end)
        order_ids = written_by_v1 | self._touched_or_due()
        ours = v2_side(self.stock, self.account, order_ids)
        theirs = v1_side(self.v1, self.account, order_ids)
        beside, skew = _zone_offset(theirs, ours), self._skew()
        theirs = _corrected(theirs, beside or skew)
        differences = list(differences_of(theirs, ours, self.settings))
        dated = [(each, *self._in_flight(each, theirs, ours)) for each in differences]
        counted = [each for each, in_flight, _ in dated if not in_flight]
        word = self._verify(sorted(counted, key=self._last_verified), theirs, ours)
        verified = {each: before.verified for each, before in self.found_before.items()} | {
            each: Verified(right, self.now) for each, right in word.right.items()
        }
        found = [Found(each, in_flight, first, verified.get(each)) for each, in_flight, first in dated]
        return self._summed_up(theirs, ours, found, word, beside, skew, is_v1_writing=bool(written_by_v1))

    def _skew(self) -> timedelta:
        """By how much the clock of V1's server is ahead of ours."""
        asked = datetime.now(UTC)
        server = self.v1.clock()
        return timedelta(seconds=clock_skew(server, asked, datetime.now(UTC)).seconds)

    def _touched_or_due(self) -> set[str]:
        """What V2 touched on the day, what differed before, and what either side has of an earlier day."""
        earlier = datetime.combine(sampled_day(self.day), time(), UTC)
        until = earlier + timedelta(days=1)
        return (
            touched_in_v2(self.stock, self.account, self.start, self.end)
            | orders_that_differed(self.connection, self.account, self.now)
            | created_in_v2(self.connection, self.account, earlier, until)
            | self.v1.touched(self.account, earlier, until)
        )

    def _in_flight(self, difference: Difference, v1: Side, v2: Side) -> tuple[bool, datetime]:
        """Whether it does not count yet, and when it was first found."""
        before = self.found_before.get(difference)
        first = None if before is None else before.first_found_at
        one, two = changed_at(v1.orders.get(difference.order_id), v2.orders.get(difference.order_id))
        readiness = self.settings.readiness
        by_modified = difference.kind != ONLY_V2 and difference.field not in DOCUMENTS
        hours = readiness.modified_deadline_hours if by_modified else readiness.deadline_hours
        patience = Patience(self.now, timedelta(minutes=readiness.in_flight_minutes), timedelta(hours=hours))
        looked = self._looked_until(difference)
        return patience.is_in_flight(Sight(one, two, looked, first)), first or self.now

    def _last_verified(self, difference: Difference) -> datetime:
        """When it was last verified; what never was comes first."""
        before = self.found_before.get(difference)
        return before.verified.verified_at if before is not None and before.verified is not None else _NEVER

    def _looked_until(self, difference: Difference) -> datetime | None:
        """Up to when V2's lanes that bring it have looked.

        `new` lists what was created since its last pass and what waits for the merchant. An order that was paid late
        and accepted by V1 is in neither list, and comes with the nightly `modified`.
        """
        lanes = (
            (SyncType.NEW, SyncType.MODIFIED)
            if difference.kind == ONLY_V1 and not difference.item_id
            else (SyncType.INCOMPLETE,)
            if difference.field in DOCUMENTS
            else (SyncType.CARE,)
            if difference.field == "care_id"
            else (SyncType.MODIFIED,)
        )
        reached = [self.watermarks[sync_type] for sync_type in lanes]
        known = [each for each in reached if each is not None]
        return min(known) if len(known) == len(reached) else None

    def _verify(self, counted: Sequence[Difference], v1: Side, v2: Side) -> Verification:
        account = self._seller_account()
        if account is None:
            return Verification({}, f"account {self.account} can't be used" if counted else "")
        return verify_differences(account, counted, v1, v2, self.settings.readiness.verified_orders)

    def _seller_account(self) -> SellerAccount | None:
        return load_accounts()[0].get(self.account)

    def _has_v2_run(self) -> bool:
        """Whether each lane that runs by itself has had the passes of the day, and the nightly ones see to its end."""
        account = self._seller_account()
        if account is None:
            return False
        schedules = load_schedules().for_account(account.settings.schedules)
        end = min(self.end, self.now)
        lanes = [each for each in SyncType if account.has_on(each)]

        def has_run(lane: SyncType) -> bool:
            reached = self.watermarks[lane]
            until = end if lane in NIGHTLY else schedules.last_tick(lane, end) - ENDS_BEFORE_ITS_TICK
            return reached is not None and reached >= until

        return bool(lanes) and all(map(has_run, lanes))

    def _summed_up(
        self,
        v1: Side,
        v2: Side,
        found: Sequence[Found],
        word: Verification,
        beside: timedelta | None,
        skew: timedelta,
        *,
        is_v1_writing: bool,
    ) -> Comparison:
        compared = v1.orders.keys() | v2.orders.keys()
        counted = [each for each in found if not each.in_flight]
        of_orders = [each for each in counted if not each.difference.is_of_lock]
        only_in_v1 = {f.difference.order_id for f in of_orders if _is_missing(f.difference, ONLY_V1)}
        only_in_v2 = {f.difference.order_id for f in of_orders if _is_missing(f.difference, ONLY_V2)}
        differing = {f.difference.order_id for f in of_orders} - only_in_v1 - only_in_v2
        wrong = {f.difference.order_id for f in of_orders if f.right is not Right.V2}
        later = _seconds_later(v1, v2)
        calls_v2, too_many_requests_v2 = _calls_v2(self.connection, self.account, self.day)
        counts = _Counts(
            len(compared), len(only_in_v1), len(only_in_v2), len(differing),
            sum(each.difference.is_of_lock and each.difference.kind != FORGOTTEN_LOCK for each in counted),
            sum(each.in_flight for each in found),
        )  # fmt: skip
        return Comparison(
            account=self.account,
            day=self.day,
            compared_at=self.now,
            is_whole_day=self.now >= self.end,
            orders_v1=len(v1.orders),
            orders_v2=len(v2.orders),
            compared_orders=len(compared),
            only_in_v1=counts.only_in_v1,
            only_in_v2=counts.only_in_v2,
            missing_in_v2=len(only_in_v1 & wrong),
            differing=counts.differing,
            in_flight=counts.in_flight,
            agreement=_per_cent(len(compared), len(only_in_v1 | only_in_v2 | differing)),
            correct=_per_cent(len(compared), len(wrong)),
            v1_right=sum(each.right is Right.V1 for each in counted),
            v2_right=sum(each.right is Right.V2 for each in counted),
            neither_right=sum(each.right is Right.NEITHER for each in counted),
            undecided=sum(each.right is None for each in counted),
            locks_v1=len(v1.locks),
            locks_v2=len(v2.locks),
            locks_differing=counts.locks_differing,
            orders_in_both=len(v1.orders.keys() & v2.orders.keys()),
            levels_differing=self._levels_differing(),
            first_in_v1=sum(each > 0 for each in later),
            first_in_v2=sum(each < 0 for each in later),
            v2_later_seconds=_median(later),
            calls_v1=_calls_v1(self.settings, self.day),
            calls_v2=calls_v2,
            too_many_requests_v2=too_many_requests_v2,
            v1_ran=is_v1_writing,
            v2_ran=self._has_v2_run(),
            zone_offset_minutes=None if beside is None else round(beside.total_seconds() / 60),
            clock_skew_seconds=round(skew.total_seconds(), 3),
            findings=self._findings(),
            not_verified=word.problem,
            verdict=counts.verdict(counted),
            found=found,
        )

    def _findings(self) -> Sequence[V1Finding]:
        try:
            return self.v1.findings(self.account, self.start, self.end)
        except CutoverError as problem:
            return [V1Finding("rows that could not be looked at", 1, (), str(problem))]

    def _levels_differing(self) -> int | None:
        """How many SKUs have other pieces on hand; None: V1's stock is not mapped, or one side has none."""
        levels = self.v1.levels()
        theirs = {} if levels is None else {str(row["sku"]): row["on_hand"] for row in levels.to_dict("records")}
        ours = dict(self.stock.execute("SELECT sku, on_hand FROM stock_levels").fetchall())
        if not theirs or not ours:
            return None
        return sum((theirs.get(sku) or 0) != (ours.get(sku) or 0) for sku in theirs.keys() | ours.keys())


def _is_missing(difference: Difference, kind: str) -> bool:
    return difference.kind == kind and not difference.item_id


def _zone_offset(v1: Side, v2: Side) -> timedelta | None:
    """By how much V1's times lie beside those of the configured zone, for most orders; None: too few can tell."""
    pairs = [
        (one.created_at.astimezone(UTC).replace(tzinfo=None), two.created_at)
        for order_id, one in v1.orders.items()
        if one.created_at is not None and (two := v2.orders.get(order_id)) is not None and two.created_at is not None
    ]
    measured = measured_zone_offset(pairs)
    return measured.offset if len(pairs) >= LEAST_PAIRS and 2 * measured.agreeing >= len(pairs) else None


def _corrected(v1: Side, ahead: timedelta) -> Side:
    """V1's times as they would be by our clock: a wrong zone or clock makes no difference young."""
    orders = {
        order_id: order._replace(
            seen_at=order.seen_at and order.seen_at - ahead, changed_at=order.changed_at and order.changed_at - ahead
        )
        for order_id, order in v1.orders.items()
    }
    return v1._replace(orders=orders)


class _Counts(NamedTuple):
    """What was found, without what is in flight."""

    compared: int
    only_in_v1: int
    only_in_v2: int
    differing: int
    """Orders that both have, with at least one difference in the order or its items."""
    locks_differing: int
    in_flight: int

    def verdict(self, counted: Sequence[Found]) -> str:
        """The comparison in one or two sentences."""
        if self.compared == 0:
            return "No order was compared: neither side touched one."
        counts = {
            "missing in V2": self.only_in_v1,
            "missing in V1": self.only_in_v2,
            "differ": self.differing,
            "locks differ": self.locks_differing,
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        verdict = f"Of {self.compared} orders: {', '.join(parts)}" if parts else f"All {self.compared} orders agree"
        verdict += f"; {self.in_flight} differences are in flight." if self.in_flight else "."
        asked = [each.right for each in counted if each.right is not None]
        if asked:
            words = ", ".join(
                f"{name} {asked.count(right)}"
                for right, name in ((Right.V2, "V2 right"), (Right.V1, "V1 right"), (Right.NEITHER, "neither"))
            )
            verdict += f" The marketplace says: {words}."
        return verdict


def _per_cent(compared: int, wrong: int) -> float:
    """Nothing compared is nothing agreed."""
    return 100.0 * (compared - wrong) / compared if compared else 0.0


def _seconds_later(v1: Side, v2: Side) -> list[float]:
    """By how many seconds V2 stored an order later than V1 (below 0: earlier), for the orders that both have."""
    return [
        (two.seen_at - one.seen_at).total_seconds()
        for order_id, one in v1.orders.items()
        if one.seen_at is not None and (two := v2.orders.get(order_id)) is not None and two.seen_at is not None
    ]


def _median(values: Sequence[float]) -> float | None:
    from statistics import median

    return median(values) if values else None


def _calls_v2(connection: Connection, account: str, day: date) -> tuple[int, int]:
    row = connection.execute(
        "SELECT coalesce(sum((summary->>'api_calls')::int), 0), coalesce(sum((summary->>'too_many_requests')::int), 0) "
        "FROM lane_runs WHERE account = %s AND (started_at AT TIME ZONE 'UTC')::date = %s",
        [account, day],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _calls_v1(settings: CutoverSettings, day: date) -> int | None:
    """V1's API calls on a day. Only the stand-in counts them; a real V1 does not."""
    if not settings.is_stand_in:
        return None
    import psycopg

    with psycopg.connect(v1_url(settings).replace("+psycopg", "", 1)) as v1:
        row = v1.execute(
            "SELECT coalesce(sum(calls), 0) FROM command_runs WHERE started_at::date = %s", [day]
        ).fetchone()
    return int(row[0]) if row else 0
