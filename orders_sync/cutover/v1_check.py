"""Whether V1's database is what v1.yaml says: rows by marketplace, zone, clock, odd rows, what can't be compared."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.config.yaml_files import did_you_mean
from orders_sync.cutover.v1_database import MarketplaceRows, StoredOrder, V1Database
from orders_sync.cutover.v1_values import MAX_EXAMPLES, Odd, V1Finding, instant
from orders_sync.database.engine import Connection

QUARTER = timedelta(minutes=15)
"""All zones differ from UTC by a multiple of it."""
TOLERANCE = timedelta(minutes=1)
"""Times that differ by less are the same: V1 stores whole seconds."""
MAX_SKEW_SECONDS = 60.0
"""With more, differences in flight can't be distinguished from late ones."""
SAMPLE = 2000
"""So many orders of an account are looked up at V2."""
LOOKED_UP = 200
"""So many orders of a marketplace that is not mapped are looked up at V2."""
LEAST_PAIRS = 3
"""Fewer orders of a marketplace say nothing about its zone."""
Value = TypeVar("Value")
_LIKELY_ZONES = (
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "America/Chicago",
    "America/Los_Angeles", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
)  # fmt: skip
"""Of several zones that fit, the first of these is shown."""
_OF_THE_MAPPING = {
    Odd.ORDER_STATUS: "order_statuses",
    Odd.ITEM_STATUS: "item_statuses",
    Odd.LOCK_STATE: "tables.locks.states",
    Odd.CURRENCY: "tables.orders.currencies",
}
"""Findings that a person corrects in v1.yaml, and where."""
_OF_NO_ACCOUNT = (Odd.ITEM_WITHOUT_ORDER, Odd.LOCK_WITHOUT_ITEM)
_NULL_MEANS = {
    "orders.currency": "currencies of orders",
    "orders.total": "totals of orders",
    "orders.seen_at": "which of the two saw an order first",
    "orders.updated_at": "whether V1 changed an order after V2 looked, so its differences count at once",
    "orders.delivery_note_url": "delivery notes",
    "orders.label_url": "shipping labels",
    "items.price": "prices of items",
    "items.status": "statuses of items",
    "items.care_id": "care records of items",
    "locks.consumed_at": "when pieces left",
}


class ZoneOffset(NamedTuple):
    """By how much V1's stored times are ahead of UTC."""

    offset: timedelta | None
    """A multiple of 15 minutes, at which the most orders agree; None: no order agrees at any."""
    agreeing: int
    pairs: int


class ZoneCheck(NamedTuple):
    """Whether the configured zone is that of V1's times."""

    configured: str
    right: int
    """Orders whose time in the configured zone is that of V2."""
    measured: ZoneOffset
    suggested: str | None
    """The zone to write instead; None: the configured one fits, or none does."""


class ClockSkew(NamedTuple):
    """Whether the clock of V1's server goes right."""

    seconds: float
    """The server's clock minus ours."""
    uncertain_seconds: float
    """The server answered within so many seconds: the difference is known no better."""
    seen: int
    seen_before_ordered: int
    """Of the orders whose first sight V1 has, those that it saw before the buyer ordered, by V2's time."""
    examples: tuple[str, ...]


class MarketplaceCheck(NamedTuple):
    """V1's orders of one of its marketplaces."""

    marketplace: str
    account: str | None
    rows: int
    left_out_by_where: int
    without_id: int
    recent: int
    """Ordered in the days that are checked."""
    in_v2: int | None
    """Of the recent ones that were looked up, at most SAMPLE for each account, those that V2 has; None: not mapped."""
    offset: timedelta | None
    """As ZoneOffset."""


class OddRows(NamedTuple):
    """What is odd in the rows of an account."""

    account: str | None
    """None: of rows that have no account."""
    finding: V1Finding


class NotCompared(NamedTuple):
    """What can't be compared, and why."""

    what: str
    why: str


class V1Check(NamedTuple):
    """What the check of V1's database has found."""

    start: datetime
    end: datetime
    marketplaces: tuple[MarketplaceCheck, ...]
    zone: ZoneCheck
    clock: ClockSkew | None
    odd: tuple[OddRows, ...]
    currencies: Mapping[str, str]
    """By V1's ids of a currency without a code: the code that V2 has for most of the same orders."""
    not_compared: tuple[NotCompared, ...]
    unmapped_marketplaces: tuple[str, ...]
    accounts_without_v1: tuple[str, ...]
    overridden: tuple[str, ...]
    """Keys at which v1.yaml overrides its preset."""
    problems: tuple[str, ...]
    """What must be corrected, and how."""


def measured_zone_offset(pairs: Iterable[tuple[datetime, datetime]]) -> ZoneOffset:
    """The offset of V1's times. `pairs`: of the same order, V1's stored time without a zone, and V2's with one."""
    offsets = Counter[timedelta]()
    count = 0
    for stored, true in pairs:
        count += 1
        offset = _offset(stored, true)
        if offset is not None:
            offsets[offset] += 1
    if not offsets:
        return ZoneOffset(None, 0, count)
    offset, agreeing = offsets.most_common(1)[0]
    return ZoneOffset(offset, agreeing, count)


def checked_zone(configured: str, pairs: Sequence[tuple[datetime, datetime]]) -> ZoneCheck:
    """Whether a zone is that of V1's times, and which one is. `pairs` as of measured_zone_offset."""
    measured = measured_zone_offset(pairs)
    hours = Counter[tuple[datetime, timedelta]]()
    for stored, true in pairs:
        offset = _offset(stored, true)
        if offset is not None:
            hours[true.astimezone(UTC).replace(minute=0, second=0, microsecond=0), offset] += 1

    def fitting(name: str) -> int:
        zone = ZoneInfo(name)
        return sum(count for (hour, offset), count in hours.items() if hour.astimezone(zone).utcoffset() == offset)

    right = fitting(configured)
    if right == len(pairs) or not hours:
        return ZoneCheck(configured, right, measured, None)
    best = max((*_LIKELY_ZONES, *sorted(available_timezones())), key=fitting)  # the first of those that fit best
    suggested = best if fitting(best) > right and 2 * fitting(best) >= len(pairs) else None
    return ZoneCheck(configured, right, measured, suggested)


def clock_skew(
    server: datetime, asked: datetime, answered: datetime, seen: Iterable[tuple[str, datetime, datetime]] = ()
) -> ClockSkew:
    """How wrong the clock of V1's server is.

    `server`: its time; by our clock, it was requested at `asked` and came at `answered`. `seen`: of orders, the id,
    when V1 first saw it, and when it was ordered.
    """
    middle = asked + (answered - asked) / 2
    count, early = 0, list[str]()
    for order_id, seen_at, ordered_at in seen:
        count += 1
        if seen_at < ordered_at - TOLERANCE:
            early.append(f"{order_id}: {(ordered_at - seen_at).total_seconds():.0f} s")
    return ClockSkew(
        (server - middle).total_seconds(), (answered - asked).total_seconds() / 2, count, len(early),
        tuple(early[:MAX_EXAMPLES]),
    )  # fmt: skip


def measured_currencies(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The code of each of V1's ids of a currency. `pairs`: of the same order, V1's id and V2's code."""
    found: dict[str, Counter[str]] = {}
    for theirs, ours in pairs:
        found.setdefault(theirs, Counter())[ours] += 1
    return {theirs: codes.most_common(1)[0][0] for theirs, codes in sorted(found.items())}


def what_is_not_compared(settings: CutoverSettings) -> list[NotCompared]:
    """What can't be compared, since v1.yaml says that V1 does not have it."""
    found: list[NotCompared] = []
    tables = settings.tables
    for key, what in _NULL_MEANS.items():
        part, name = key.split(".")
        names = getattr(tables, part)
        if names is not None and getattr(names, name) is None:
            found.append(NotCompared(what, f"tables.{key} is null"))
    if tables.locks is None:
        found.append(NotCompared("stock locks", "tables.locks is null"))
    if tables.levels is None:
        found.append(NotCompared("pieces on hand", "tables.levels is null"))
    return found


def check_v1(
    v1: V1Database,
    connection: Connection,
    accounts: Collection[str],
    start: datetime,
    end: datetime,
    progress: Callable[[str], None] = lambda what: None,
) -> V1Check:
    """Checks the mapping by the orders from `start` to before `end`; V2's orders are those of `connection`.

    `accounts`: those of the project. `progress` gets what is being read. Statements of V1 that take too long, or fail,
    are problems; the rest is checked all the same.
    """
    return _Check(v1, connection, accounts, start, end, progress).run()


class _Both(NamedTuple):
    """An order of V1, and what V2 has of it."""

    account: str
    order: StoredOrder
    created_at: datetime | None
    """V2's time of ordering; None: V2 does not have the order."""
    currency: str | None

    @property
    def times(self) -> tuple[datetime, datetime] | None:
        """The stored time of V1 without a zone, and V2's."""
        stored = self.order.ordered_at
        return None if stored is None or stored.tzinfo or self.created_at is None else (stored, self.created_at)


class _Check:
    """One check, whose parts collect problems."""

    def __init__(
        self, v1: V1Database, connection: Connection, accounts: Collection[str], start: datetime, end: datetime,
        progress: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.v1, self.connection, self.settings = v1, connection, v1.settings
        self.accounts, self.start, self.end, self.progress = accounts, start, end, progress
        self.problems: list[str] = []

    def run(self) -> V1Check:
        """All parts, one after the other."""
        mapped = list(dict.fromkeys(self.settings.marketplaces.values()))
        rows = self._part("orders by marketplace", lambda: self.v1.marketplace_rows(self.start, self.end)) or []
        both = [each for account in mapped for each in self._both(account)]
        zone = self._zone(both)
        clock = self._part("the server's clock", lambda: self._clock(both, zone))
        odd = self._odd(mapped)
        currencies = self._currencies(both)
        self._note_what_is_unmapped(odd, currencies)
        unmapped = self._unmapped(rows)
        marketplaces = self._marketplaces(rows, both, unmapped)
        return V1Check(
            start=self.start, end=self.end, marketplaces=tuple(marketplaces), zone=zone, clock=clock, odd=tuple(odd),
            currencies=currencies, not_compared=tuple(what_is_not_compared(self.settings)),
            unmapped_marketplaces=tuple(unmapped),
            accounts_without_v1=tuple(sorted(set(self.accounts) - set(mapped))),
            overridden=self.settings.overridden, problems=tuple(self.problems),
        )  # fmt: skip

    def _part(self, what: str, read: Callable[[], Value]) -> Value | None:
        """A part of the check; None where V1's database fails or takes too long, which is a problem."""
        self.progress(what)
        try:
            return read()
        except CutoverError as error:
            self.problems.append(f"{what}: {error}")
            return None

    def _wrong(self, key: str, what: str) -> None:
        self.problems.append(f"{self.settings.file}: {key}: {what}")

    def _both(self, account: str) -> list[_Both]:
        found = self._part(f"orders of {account}", lambda: self._orders_of(account))
        if not found:
            return []
        ours = {
            order_id: (created_at, currency)
            for order_id, created_at, currency in self.connection.execute(
                "SELECT order_id, created_at, currency FROM orders WHERE account = %s AND order_id = ANY(%s)",
                [account, [order.order_id for order in found]],
            )
        }
        if not ours and self._has_v2_orders(account):
            self._wrong(
                "tables.orders.order_id",
                f"V1 and V2 both have orders of {account} of these days, and no id in common, e.g. "
                f"{found[0].order_id} in V1. Name the column of the marketplace's order id.",
            )
        return [_Both(account, order, *ours.get(order.order_id, (None, None))) for order in found]

    def _orders_of(self, account: str) -> list[StoredOrder]:
        ids = sorted(self.v1.ordered(account, self.start, self.end))
        return list(self.v1.stored(account, ids[:: max(1, -(-len(ids) // SAMPLE))]))

    def _has_v2_orders(self, account: str) -> bool:
        return bool(
            self.connection.execute(
                "SELECT FROM orders WHERE account = %s AND created_at >= %s AND created_at < %s LIMIT 1",
                [account, self.start, self.end],
            ).rowcount
        )

    def _zone(self, both: Sequence[_Both]) -> ZoneCheck:
        pairs = [each.times for each in both if each.times is not None]
        zone = checked_zone(self.settings.timezone, pairs)
        offsets = {
            marketplace: measured
            for marketplace in self.settings.marketplaces
            if (measured := self._offset_of(marketplace, both)).agreeing >= LEAST_PAIRS
        }
        if len({measured.offset for measured in offsets.values()}) > 1:
            shown = ", ".join(f"{name}: {utc_offset(measured.offset)}" for name, measured in offsets.items())
            self._wrong(
                "timezone",
                f"the times of V1's marketplaces are in different zones ({shown}), and only one can be set. Write a "
                "tables.orders.query that converts them.",
            )
        elif zone.suggested is not None:
            self._wrong(
                "timezone",
                f"{zone.configured} is not the zone of V1's times: they are right for {zone.right} of {len(pairs)} "
                f"orders. Write `timezone: {zone.suggested}`, or another zone that is "
                f"{utc_offset(zone.measured.offset)} in these days.",
            )
        elif 2 * zone.right < len(pairs):
            self._wrong(
                "tables.orders.ordered_at",
                f"the times of V1 are those of V2 for {zone.right} of {len(pairs)} orders, and no zone makes them so. "
                "Name the column of the time when the buyer ordered.",
            )
        return zone

    @staticmethod
    def _offset_of(marketplace: str, both: Sequence[_Both]) -> ZoneOffset:
        return measured_zone_offset(
            each.times for each in both if each.order.marketplace == marketplace and each.times is not None
        )

    def _clock(self, both: Sequence[_Both], zone: ZoneCheck) -> ClockSkew:
        self.v1.clock()  # it may connect first, which takes time
        asked = datetime.now(UTC)
        server = self.v1.clock()
        answered = datetime.now(UTC)
        of_v1 = ZoneInfo(zone.suggested or zone.configured)
        seen = [
            (each.order.order_id, moment, each.created_at)
            for each in both
            if each.created_at is not None and each.order.seen_at is not None
            and (moment := instant(each.order.seen_at, of_v1)) is not None
        ]  # fmt: skip
        skew = clock_skew(server, asked, answered, seen)
        if abs(skew.seconds) - skew.uncertain_seconds > MAX_SKEW_SECONDS:
            direction = "ahead of" if skew.seconds > 0 else "behind"
            self.problems.append(
                f"V1's database {self.v1.shown}: its clock is {abs(skew.seconds):.0f} s {direction} ours. Set both "
                "machines by NTP: what is late and what is in flight can't be distinguished."
            )
        if skew.seen_before_ordered * 20 > skew.seen:
            self._wrong(
                "tables.orders.seen_at",
                f"V1 has {skew.seen_before_ordered} of {skew.seen} orders from before the buyer ordered (e.g. "
                f"{skew.examples[0]}): its clock goes wrong, or this is no column of the time when V1 stored the "
                "order. Where V1 has none, write null.",
            )
        return skew

    def _odd(self, mapped: Sequence[str]) -> list[OddRows]:
        found: dict[tuple[str | None, str], OddRows] = {}
        for account in mapped:
            odd = self._part(
                f"odd rows of {account}", lambda account=account: self.v1.findings(account, self.start, self.end)
            )
            for finding in odd or ():
                whose = None if finding.kind in _OF_NO_ACCOUNT else account
                found.setdefault((whose, finding.kind), OddRows(whose, finding))
        return list(found.values())

    def _currencies(self, both: Sequence[_Both]) -> dict[str, str]:
        known = self.settings.tables.orders.currencies
        return measured_currencies(
            (each.order.currency, each.currency)
            for each in both
            if each.currency and each.order.currency and each.order.currency.isdigit()
            and each.order.currency not in known
        )  # fmt: skip

    def _note_what_is_unmapped(self, odd: Sequence[OddRows], currencies: Mapping[str, str]) -> None:
        for account, finding in odd:
            key = _OF_THE_MAPPING.get(Odd(finding.kind))
            values = [each for each in finding.examples if not each.startswith("empty:")]
            if key is None or not values:
                continue
            of_v2 = ", ".join(f"{theirs}: {ours}" for theirs, ours in currencies.items())
            instead = f" By V2's orders it is {{{of_v2}}}." if key == "tables.orders.currencies" and of_v2 else ""
            self._wrong(key, f"nothing is given for what V1 has of {account}: {', '.join(values)}.{instead}")

    def _unmapped(self, rows: Sequence[MarketplaceRows]) -> list[str]:
        found: list[str] = []
        for each in rows:
            name = each.marketplace
            if name is None or name in self.settings.marketplaces:
                continue
            found.append(name)
            ids = self._part(f"V1's marketplace {name}", lambda name=name: self.v1.ids_of_marketplace(name, LOOKED_UP))
            known = self.connection.execute(_ACCOUNT_OF_MOST, [ids or []]).fetchone()
            if ids and known is not None and 2 * known[1] >= len(ids):
                self._wrong(
                    "marketplaces",
                    f"V2 has the orders of V1's marketplace {name} under {known[0]}, and it is not mapped. Write "
                    f"`{name}: {known[0]}`.",
                )
        return found

    def _marketplaces(
        self, rows: Sequence[MarketplaceRows], both: Sequence[_Both], unmapped: Sequence[str]
    ) -> list[MarketplaceCheck]:
        there = {each.marketplace for each in rows}
        for name in self.settings.marketplaces:
            if name not in there and rows:
                has = ", ".join("(empty)" if each.marketplace is None else each.marketplace for each in rows)
                self._wrong(
                    f"marketplaces.{name}", f"V1 has no orders of {name}{did_you_mean(name, unmapped)}; it has {has}."
                )
        absent = [MarketplaceRows(name, 0, 0, 0, 0) for name in self.settings.marketplaces if name not in there]
        found: list[MarketplaceCheck] = []
        for name, count, left_out, without_id, recent in (*rows, *absent):
            account = self.settings.marketplaces.get(name) if name is not None else None
            known = {each.order.order_id for each in both if each.order.marketplace == name and each.created_at}
            found.append(
                MarketplaceCheck(
                    "(empty)" if name is None else name,
                    account,
                    count,
                    left_out,
                    without_id,
                    recent,
                    None if account is None else len(known),
                    None if name is None else self._offset_of(name, both).offset,
                )
            )
        return found


_ACCOUNT_OF_MOST: LiteralString = """
SELECT account, count(*) FROM orders WHERE order_id = ANY(%s) GROUP BY account ORDER BY 2 DESC, account LIMIT 1
"""


def utc_offset(offset: timedelta | None) -> str:
    """An offset as people write it, e.g. UTC+01:00."""
    if offset is None:
        return "unknown"
    minutes = int(offset.total_seconds()) // 60
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _offset(stored: datetime, true: datetime) -> timedelta | None:
    """By how much a stored time is ahead of UTC, where that is the offset of a zone."""
    difference = stored.replace(tzinfo=None) - true.astimezone(UTC).replace(tzinfo=None)
    rounded = QUARTER * round(difference / QUARTER)
    is_one = abs(difference - rounded) <= TOLERANCE and abs(rounded) <= timedelta(hours=14)
    return rounded if is_one else None
