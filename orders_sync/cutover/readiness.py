"""Whether V2 is ready for the authority: one function for each thing that must hold.

Nothing passes for want of looking: no orders, no lanes, no account, no comparison is a check that fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import LiteralString, NamedTuple

from orders_sync.config.account import MissingCredentialError
from orders_sync.config.alerts import AlertConfigError, read_alerts
from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.lanes.authority import Authority, Phase, current_authority
from orders_sync.lanes.history import lane_states
from orders_sync.lanes.refusals import refusal_of
from orders_sync.marketplaces.kit.accounts import account_names, lanes_on, load_accounts
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.lane import SyncType

LATE = timedelta(hours=3)
"""A lane is not fresh when it has not succeeded this long after its tick."""
LEAST_IN_BOTH = 0.8
"""With fewer of the orders in both systems, they may be those of different accounts, or have other ids."""
COMPARED_WITHIN = timedelta(hours=36)
"""A day that is compared later shows what has become of it, and not how the two agreed."""
MAX_SKEW_SECONDS = 60
"""V1's clock may be off by so much."""


class Check(NamedTuple):
    """Whether one thing that must hold does; `what` is the reason in words."""

    name: str
    passed: bool
    what: str


@dataclass(frozen=True)
class ComparedDay:
    """What readiness depends on in the latest comparison of one account and one UTC day."""

    account: str
    day: date
    compared_orders: int
    orders_v1: int
    orders_v2: int
    orders_in_both: int
    correct: Decimal
    """Per cent of the orders on which both agree, or V2 is right."""
    missing_in_v2: int
    locks_differing: int
    levels_differing: int | None
    calls_v2: int
    too_many_requests_v2: int
    is_whole_day: bool
    v1_ran: bool
    v2_ran: bool
    zone_offset_minutes: int | None
    clock_skew_seconds: Decimal | None
    verdict: str
    """In words."""
    first_compared_at: datetime
    """When the day was first compared after its end; when it was compared, if it never was."""

    def __str__(self) -> str:
        return f"{self.account} {self.day}"

    @property
    def why_it_does_not_count(self) -> str:
        """Why the day does not count, good or bad; '' if it does."""
        if not self.is_whole_day:
            return "it was compared before its end"
        if not self.compared_orders:
            return "no order was compared"
        if self.orders_in_both < LEAST_IN_BOTH * max(self.orders_v1, self.orders_v2):
            return f"only {self.orders_in_both} of its orders are in both: the mapping may be wrong"
        end = datetime.combine(self.day, time(), UTC) + timedelta(days=1)
        if self.first_compared_at > end + COMPARED_WITHIN:
            return "it was not compared within 36 hours of its end"
        if not self.v1_ran:
            return "V1 wrote no order"
        return "" if self.v2_ran else "V2 has not fetched everything until its end"

    def is_good(self, required: float) -> bool:
        """Whether the day counts, and nothing on it is wrong."""
        return (
            not self.why_it_does_not_count
            and float(self.correct) >= required
            and not self.missing_in_v2
            and not self.locks_differing
        )


def checks_to_monitor(
    connection: Connection, settings: CutoverSettings, accounts: Sequence[str], now: datetime | None = None
) -> list[Check]:
    """What must hold before days of agreement are counted: V1 can be read, V2's lanes run, a day was compared."""
    now = now or datetime.now(UTC)
    return [
        _v1_is_readable(settings),
        _accounts_are_known(settings),
        _lanes_are_fresh(connection, accounts, now),
        _each_account_is_compared(connection, accounts),
        _phase_has_lasted(connection, accounts, settings.readiness.parallel_days, now),
    ]


def checks_to_live(
    connection: Connection, settings: CutoverSettings, accounts: Sequence[str], now: datetime | None = None
) -> list[Check]:
    """What must hold before V1 is switched off for these accounts."""
    now = now or datetime.now(UTC)
    days = [now.date() - timedelta(days=back) for back in range(settings.readiness.days, 0, -1)]
    compared = compared_days(connection, days, accounts)
    return [
        _phase_has_lasted(connection, accounts, settings.readiness.days, now),
        _all_days_are_compared(compared, days, accounts),
        _orders_agree(compared, settings.readiness.agreement),
        _nothing_is_missing(compared),
        _locks_agree(compared, settings),
        _levels_agree(compared, settings),
        _v1_clock_is_right(compared),
        _calls_are_within_budget(compared, settings.readiness.calls_per_day),
        _lanes_are_fresh(connection, accounts, now),
        _v1_is_readable(settings),
        _accounts_are_known(settings),
        _stock_list_fits(connection, accounts),
        _credentials_are_accepted(connection, accounts),
        _alerts_reach_somebody(connection),
    ]


def accounts_of(settings: CutoverSettings) -> list[str]:
    """The accounts that V1 has."""
    return sorted(set(settings.marketplaces.values()))


def left_out_accounts(settings: CutoverSettings, authority: Authority) -> list[str]:
    """The accounts of the project over which V1 has the authority though the settings do not say that V1 has them.

    V2 accepts nothing for them, and no move is about them.
    """
    of_v1 = accounts_of(settings)
    return sorted(name for name in account_names() if not authority.is_live(name) and name not in of_v1)


def unnamed_accounts(settings: CutoverSettings) -> list[str]:
    """The accounts of the project of which the settings do not say whether V1 has them."""
    return sorted(set(account_names()) - set(accounts_of(settings)) - set(settings.accounts_without_v1))


def days_still_needed(connection: Connection, settings: CutoverSettings, accounts: Sequence[str], today: date) -> int:
    """How many more good days in a row accounts need until V2 is ready, if every day from `today` on is good."""
    readiness = settings.readiness
    earlier = [today - timedelta(days=back) for back in range(1, readiness.days + 1)]
    compared = {(each.account, each.day): each for each in compared_days(connection, earlier, accounts)}
    run = 0
    for day in earlier:
        of_day = [compared.get((account, day)) for account in accounts]
        if not of_day or not all(each is not None and each.is_good(readiness.agreement) for each in of_day):
            break
        run += 1
    return readiness.days - run


def compared_days(connection: Connection, days: Sequence[date], accounts: Sequence[str]) -> list[ComparedDay]:
    """The latest comparison of each of these days and accounts that was compared."""
    return rows_as(connection, ComparedDay, _COMPARED, [list(days), list(accounts)])


_COMPARED: LiteralString = """
SELECT DISTINCT ON (account, day) account, day, compared_orders, orders_v1, orders_v2, orders_in_both, correct,
  missing_in_v2, locks_differing, levels_differing, calls_v2, too_many_requests_v2, is_whole_day, v1_ran, v2_ran,
  zone_offset_minutes, clock_skew_seconds, verdict,
  coalesce(min(compared_at) FILTER (WHERE is_whole_day) OVER (PARTITION BY account, day), compared_at)
    AS first_compared_at
FROM migration_comparisons WHERE day = ANY(%s) AND account = ANY(%s) ORDER BY account, day, comparison_id DESC
"""


def _phase_has_lasted(connection: Connection, accounts: Sequence[str], days: int, now: datetime) -> Check:
    authority = current_authority(connection)
    phases = [(account, authority.of(account)) for account in accounts]
    begun = [(account, of.phase, of.since) for account, of in phases if of.since and of.phase is not Phase.LIVE]
    if len(begun) < len(accounts) or not begun:
        return Check("phase", False, "no cutover has begun; `orders-sync cutover begin` begins one")
    account, phase, since = max(begun, key=lambda each: each[2])
    until = since + timedelta(days=days)
    needed = "1 day is needed" if days == 1 else f"{days} days are needed"
    what = f"{account}: the phase {phase} has lasted since {since:%Y-%m-%d %H:%M} UTC; at least {needed}"
    return Check("phase", now >= until, what if now >= until else f"{what}, until {until:%Y-%m-%d %H:%M} UTC")


def _accounts_are_known(settings: CutoverSettings) -> Check:
    """Each account that is to be compared has a file that can be used, and each that has one is to be compared.

    V2 acts for one that V1 never had: it must be named as such.
    """
    usable, problems = load_accounts()
    wrong = [
        f"{name}: {str(problems[name]).splitlines()[0] if name in problems else 'there is no such account'}"
        for name in accounts_of(settings)
        if name not in usable
    ]
    if not settings.marketplaces:
        wrong = [f"{settings.file} names no account under `marketplaces`"]
    wrong += [
        f"{name} is no account of V1's marketplaces: add it to `marketplaces`, or to `accounts_without_v1`"
        for name in unnamed_accounts(settings)
    ]
    return _check("accounts", wrong, f"each account of {settings.file} can be used, and none is left out")


def _each_account_is_compared(connection: Connection, accounts: Sequence[str]) -> Check:
    authority = current_authority(connection)
    since = [authority.of(account).since for account in accounts]
    rows = connection.execute(_COMPARED_SINCE, [list(accounts), since]).fetchall()
    missing = [f"{account}: no order was compared" for account, orders in rows if not orders]
    if missing or not accounts:
        what = _first_texts(missing) if missing else "no account is to be compared"
        return Check("compared", False, f"{what}; run `orders-sync cutover compare`")
    return Check("compared", True, f"orders of {', '.join(accounts)} were compared in this phase")


_COMPARED_SINCE: LiteralString = """
SELECT account, (
  SELECT max(compared_orders) FROM migration_comparisons made
  WHERE made.account = asked.account AND made.compared_at >= coalesce(asked.since, '-infinity'))
FROM unnest(%s::text[], %s::timestamptz[]) AS asked (account, since)
"""


def _all_days_are_compared(compared: list[ComparedDay], days: Sequence[date], accounts: Sequence[str]) -> Check:
    counts = {(each.account, each.day): each.why_it_does_not_count for each in compared}
    missing = [
        f"{account} {day}" + (f" ({counts[account, day]})" if counts.get((account, day)) else "")
        for account in accounts
        for day in days
        if counts.get((account, day), "missing")
    ]
    if not missing and accounts:
        return Check("days compared", True, f"all {len(days)} days before today were compared")
    count = f"{len(missing)} of {len(days) * len(accounts)} account days are still needed"
    return Check("days compared", False, f"{count}: {_first_texts(missing)}")


def _orders_agree(compared: list[ComparedDay], required: float) -> Check:
    failed = [f"{day}: {day.correct:.2f} %" for day in compared if float(day.correct) < required]
    good = f"at least {required} % of each day's orders agree, or V2 is right as the marketplace says"
    return _check("agreement", failed, good, compared)


def _nothing_is_missing(compared: list[ComparedDay]) -> Check:
    failed = [f"{day}: {day.missing_in_v2}" for day in compared if day.missing_in_v2]
    return _check("nothing missing", failed, "V2 has each order that V1 and the marketplace have", compared)


def _locks_agree(compared: list[ComparedDay], settings: CutoverSettings) -> Check:
    if settings.tables.locks is None:
        return Check("locks", True, f"not compared: {settings.file} maps no `tables.locks`")
    failed = [f"{day}: {day.locks_differing}" for day in compared if day.locks_differing]
    return _check("locks", failed, "no stock lock differs, but for those that V1 has forgotten to release", compared)


def _levels_agree(compared: list[ComparedDay], settings: CutoverSettings) -> Check:
    if settings.tables.levels is None:
        return Check("stock levels", True, f"not compared: {settings.file} maps no `tables.levels`")
    newest = max((each.day for each in compared), default=None)
    failed = [
        f"{day}: " + ("not compared" if day.levels_differing is None else f"{day.levels_differing} SKUs")
        for day in compared
        if day.day == newest and day.levels_differing != 0
    ]
    return _check("stock levels", failed, "no SKU has other pieces on hand in V1", compared)


def _v1_clock_is_right(compared: list[ComparedDay]) -> Check:
    zones = [
        f"{day}: V1's times are {day.zone_offset_minutes / 60:+g} h off for the time zone of v1.yaml"
        for day in compared
        if day.zone_offset_minutes
    ]
    clocks = [
        f"{day}: V1's clock is {float(day.clock_skew_seconds):+.0f} s off"
        for day in compared
        if day.clock_skew_seconds is not None and abs(day.clock_skew_seconds) > MAX_SKEW_SECONDS
    ]
    unknown = ["no day has enough orders in both to tell V1's time zone"]
    is_known = any(day.zone_offset_minutes is not None for day in compared)
    failed = [*zones, *clocks] if is_known or not compared else unknown
    return _check("V1's clock", failed, "V1's times are those of its time zone", compared)


def _calls_are_within_budget(compared: list[ComparedDay], calls_per_day: int) -> Check:
    failed = [f"{day}: {day.calls_v2} calls" for day in compared if day.calls_v2 > calls_per_day]
    refused = sum(day.too_many_requests_v2 for day in compared)
    good = f"V2 made at most {calls_per_day} calls per day; {refused} were answered with 429 (too many requests)"
    return _check("API budget", failed, good, compared)


def _lanes_are_fresh(connection: Connection, names: Sequence[str], now: datetime) -> Check:
    schedules = load_schedules()
    usable, _ = load_accounts()
    accounts = {name: usable[name] for name in names if name in usable}
    states = lane_states(connection, lanes_on(accounts))
    late = [
        str(state.lane)
        for state in states
        if state.last_succeeded_at is None
        or state.last_succeeded_at
        < schedules.for_account(accounts[state.lane.account].settings.schedules).last_tick(
            state.lane.sync_type, now - LATE
        )
    ]
    if not states:
        return Check("lanes", False, "no lane of these accounts runs by itself")
    return Check("lanes", not late, "every lane of V2 is fresh" if not late else f"not fresh: {', '.join(late)}")


def _v1_is_readable(settings: CutoverSettings) -> Check:
    try:
        with V1Database(settings) as v1:
            return Check("V1", True, f"V1's database {v1.shown} can be read")
    except CutoverError as problem:
        return Check("V1", False, str(problem))


def _stock_list_fits(connection: Connection, accounts: Sequence[str]) -> Check:
    """Without a stock list that fits, every lock would be short the moment V2 takes over."""
    ((skus,),) = connection.execute("SELECT count(*) FROM stock_levels")
    if not skus:
        return Check("stock list", False, "no stock list was imported; `orders-sync stock import FILE` imports one")
    short = connection.execute(
        "SELECT sku, sum(short) FROM stock_locks WHERE state = 'short' AND account = ANY(%s) GROUP BY 1 "
        "ORDER BY 2 DESC",
        [list(accounts)],
    ).fetchall()
    failed = [f"{sku}: {pieces} pieces are missing" for sku, pieces in short]
    return _check("stock list", failed, f"the stock list of {skus} SKUs has the pieces of every lock")


def _credentials_are_accepted(connection: Connection, accounts: Sequence[str]) -> Check:
    usable, _ = load_accounts()
    failed: list[str] = []
    for name in accounts:
        account = usable.get(name)
        if account is None:
            failed.append(f"{name} can't be used")
            continue
        try:
            for key in account.settings.CREDENTIALS:
                account.credential(key)
        except MissingCredentialError as problem:
            failed.append(str(problem))
        refused = (refusal_of(connection, account, sync_type) for sync_type in SyncType)
        if problem := next(filter(None, refused), None):
            failed.append(f"{name}: {problem.problem}")
        settings_of = account.settings
        accepts = find_marketplace(settings_of.marketplace).acceptance_unit(settings_of) is not None
        if accepts and not settings_of.accept_orderlines:
            failed.append(f"{name}: `accept_orderlines` is false: nobody would accept orderlines once V1 is off")
    return _check("credentials", failed, "each account's credential works, and V2 may accept with it", usable)


def _alerts_reach_somebody(connection: Connection) -> Check:
    try:
        settings = read_alerts()
    except AlertConfigError as problem:
        return Check("alerts", False, str(problem))
    rows = connection.execute(
        "SELECT channel FROM alert_channels WHERE channel = ANY(%s) AND called_at IS NOT NULL AND problem IS NULL",
        [list(settings.channels)],
    ).fetchall()
    if rows:
        return Check("alerts", True, f"{', '.join(sorted(name for (name,) in rows))} can be reached")
    what = "no channel is named" if not settings.channels else "no channel has been reached yet"
    return Check("alerts", False, f"{what}: see docs/alerts.md; `orders-sync alerts test` calls each channel")


def _check(name: str, failed: list[str], good: str, looked_at: object = True) -> Check:
    """A check that passes when `failed` is empty and something was looked at; `good` says what then holds."""
    if not looked_at:
        return Check(name, False, "nothing was compared")
    return Check(name, not failed, _first_texts(failed) if failed else good)


def _first_texts(texts: list[str]) -> str:
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
