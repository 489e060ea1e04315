"""Whether V2 is ready for the authority: one function for each thing that must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.lanes.history import lane_states
from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

LATE = timedelta(hours=3)
"""A lane is not fresh when it has not succeeded this long after its tick."""


class Check(NamedTuple):
    """Whether one thing that must hold does; `what` is the reason in words."""

    name: str
    passed: bool
    what: str


@dataclass(frozen=True)
class ComparedDay:
    """What readiness depends on in the comparison of one account and one UTC day of orders."""

    account: str
    day: date
    agreement: Decimal
    """Per cent of the orders."""
    only_in_v1: int
    locks_differing: int
    calls_v2: int
    too_many_requests_v2: int

    def __str__(self) -> str:
        return f"{self.account} {self.day}"


def checks_to_monitor(connection: Connection, settings: CutoverSettings, now: datetime | None = None) -> list[Check]:
    """What must hold before days of agreement are counted: V1 can be read, V2's lanes run, a day was compared."""
    return [
        _v1_is_readable(settings),
        _lanes_are_fresh(connection, settings, now or datetime.now(UTC)),
        _any_day_is_compared(connection),
    ]


def checks_to_live(connection: Connection, settings: CutoverSettings, now: datetime | None = None) -> list[Check]:
    """What must hold before V1 is switched off."""
    now = now or datetime.now(UTC)
    days = [now.date() - timedelta(days=back) for back in range(settings.readiness.days, 0, -1)]
    compared = _compared_days(connection, days)
    return [
        _all_days_are_compared(compared, days, sorted(set(settings.marketplaces.values()))),
        _orders_agree(compared, settings.readiness.agreement),
        _nothing_is_missing(compared),
        _locks_agree(compared),
        _calls_are_within_budget(compared, settings.readiness.calls_per_day),
        _lanes_are_fresh(connection, settings, now),
        _v1_is_readable(settings),
    ]


def days_still_needed(connection: Connection, settings: CutoverSettings, today: date) -> int:
    """How many more good days in a row are needed until V2 is ready, if every day from `today` on is good."""
    readiness = settings.readiness
    rows = connection.execute(
        """
        SELECT day, bool_and(agreement >= %s AND only_in_v1 = 0 AND locks_differing = 0) AND count(*) >= %s
        FROM migration_comparisons WHERE day < %s GROUP BY day
        """,
        [readiness.agreement, len(set(settings.marketplaces.values())), today],
    ).fetchall()
    good = {day for day, is_good in rows if is_good}
    run = 0
    while today - timedelta(days=run + 1) in good:
        run += 1
    return max(0, readiness.days - run)


def _compared_days(connection: Connection, days: Sequence[date]) -> list[ComparedDay]:
    return rows_as(
        connection,
        ComparedDay,
        """
        SELECT account, day, agreement, only_in_v1, locks_differing, calls_v2, too_many_requests_v2
        FROM migration_comparisons WHERE day = ANY(%s) ORDER BY account, day
        """,
        [list(days)],
    )


def _any_day_is_compared(connection: Connection) -> Check:
    ((count,),) = connection.execute("SELECT count(*) FROM migration_comparisons")
    return Check("compared", count > 0, f"{count} account days were compared; run `orders-sync cutover compare`")


def _all_days_are_compared(compared: list[ComparedDay], days: Sequence[date], accounts: Sequence[str]) -> Check:
    missing = sorted({(account, day) for account in accounts for day in days} - {(c.account, c.day) for c in compared})
    if not missing:
        return Check("days compared", True, f"all {len(days)} days before today were compared")
    texts = [f"{account} {day}" for account, day in missing]
    count = f"{len(missing)} of {len(days) * len(accounts)} account days are still needed"
    return Check("days compared", False, f"{count}: {_first_texts(texts)}")


def _orders_agree(compared: list[ComparedDay], required: float) -> Check:
    failed = [f"{day}: {day.agreement:.2f} %" for day in compared if float(day.agreement) < required]
    return _check("agreement", failed, f"at least {required} % of each day's orders agree")


def _nothing_is_missing(compared: list[ComparedDay]) -> Check:
    failed = [f"{day}: {day.only_in_v1}" for day in compared if day.only_in_v1]
    return _check("nothing missing", failed, "no order is missing in V2")


def _locks_agree(compared: list[ComparedDay]) -> Check:
    failed = [f"{day}: {day.locks_differing}" for day in compared if day.locks_differing]
    return _check("locks", failed, "no stock lock differs")


def _calls_are_within_budget(compared: list[ComparedDay], calls_per_day: int) -> Check:
    failed = [
        f"{day}: {day.calls_v2} calls, {day.too_many_requests_v2} of them answered with 429 (too many requests)"
        for day in compared
        if day.calls_v2 > calls_per_day or day.too_many_requests_v2
    ]
    return _check(
        "API budget",
        failed,
        f"V2 made at most {calls_per_day} calls per day, and none was answered with 429 (too many requests)",
    )


def _lanes_are_fresh(connection: Connection, settings: CutoverSettings, now: datetime) -> Check:
    schedules = load_schedules()
    usable, _ = load_accounts()
    accounts = {name: usable[name] for name in sorted(set(settings.marketplaces.values())) if name in usable}
    late = [
        str(state.lane)
        for state in lane_states(connection, lanes_on(accounts))
        if state.last_succeeded_at is None
        or state.last_succeeded_at
        < schedules.for_account(accounts[state.lane.account].settings.schedules).last_tick(
            state.lane.sync_type, now - LATE
        )
    ]
    return Check("lanes", not late, "every lane of V2 is fresh" if not late else f"not fresh: {', '.join(late)}")


def _v1_is_readable(settings: CutoverSettings) -> Check:
    try:
        with V1Database(settings) as v1:
            return Check("V1", True, f"V1's database {v1.shown} can be read")
    except CutoverError as problem:
        return Check("V1", False, str(problem))


def _check(name: str, failed: list[str], good: str) -> Check:
    """A check that passes when `failed` is empty; `good` says what then holds."""
    return Check(name, not failed, _first_texts(failed) if failed else good)


def _first_texts(texts: list[str]) -> str:
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
