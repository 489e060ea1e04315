"""What V1's database has in a column, as a value of ours; and what was odd about it. No value raises."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from orders_sync.model.statuses import Status

MAX_EXAMPLES = 5
MAX_PIECES = 1_000_000
"""More pieces of one item are no quantity."""
MAX_AMOUNT = Decimal(10) ** 12
"""A greater amount is none."""
FUTURE = timedelta(minutes=5)
"""Times so far ahead of our clock are in the future."""
_GREATEST_ID = Decimal(10) ** 40
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


class V1Finding(NamedTuple):
    """Something odd in V1's rows."""

    kind: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]  nobody counts in this tuple
    """Rows."""
    examples: tuple[str, ...]
    """At most MAX_EXAMPLES: ids, or values with their ids; of statuses, each number with the count of its rows."""
    what: str
    """What is wrong, and what happens to such rows."""


class Odd(StrEnum):
    """The kinds of findings."""

    DUPLICATE_ORDER = "duplicate orders"
    NO_ORDER_ID = "orders without an id"
    DUPLICATE_ITEM = "duplicate items"
    NO_ITEM_ID = "items without an id"
    NO_SKU = "items without a SKU"
    ITEM_WITHOUT_ORDER = "items without an order"
    LOCK_WITHOUT_ITEM = "locks without an item"
    ORDER_STATUS = "unmapped statuses of orders"
    ITEM_STATUS = "unmapped statuses of items"
    LOCK_STATE = "unknown states of locks"
    CURRENCY = "currencies without a code"
    NOT_WHOLE = "quantities that are not whole"
    NO_QUANTITY = "quantities that are no numbers"
    NEGATIVE = "negative quantities"
    ABSURD = "absurd quantities"
    NO_AMOUNT = "amounts that are no numbers"
    NO_TIME = "times that can't be read"
    NO_SUCH_TIME = "times that the zone does not have"
    PAST = "times before 2000"
    FUTURE = "times in the future"


WHAT: Mapping[Odd, str] = {
    Odd.DUPLICATE_ORDER: "V1 has an order more than once: the row that was updated last counts.",
    Odd.NO_ORDER_ID: "V1 has orders without the marketplace's id: they are left out, with their items and locks.",
    Odd.DUPLICATE_ITEM: "V1 has an item of an order more than once: the row that was updated last counts.",
    Odd.NO_ITEM_ID: "V1 has items without the marketplace's id: they are left out, with their locks.",
    Odd.NO_SKU: "V1 has items without a SKU: they are compared, and differ.",
    Odd.ITEM_WITHOUT_ORDER: "Items of any marketplace that refer to no row of V1's orders: they are left out.",
    Odd.LOCK_WITHOUT_ITEM: "Locks that refer to no item that counts, e.g. to a deleted one: they are left out.",
    Odd.ORDER_STATUS: "No status of ours is given for these numbers: write them under order_statuses. They differ from "
    "any status until then.",
    Odd.ITEM_STATUS: "No status of ours is given for these numbers: write them under item_statuses. They differ from "
    "any status until then.",
    Odd.LOCK_STATE: "No state is given for these words: write them under tables.locks.states. The times of such locks "
    "say their state.",
    Odd.CURRENCY: "No code is given for these ids: write them under tables.orders.currencies. Such currencies count as "
    "none.",
    Odd.NOT_WHOLE: "Quantities that are no whole pieces: they are compared as they are.",
    Odd.NO_QUANTITY: "Quantities that are empty or no numbers: they count as none.",
    Odd.NEGATIVE: "Quantities below 0: they are compared as they are.",
    Odd.ABSURD: f"Quantities of more than {MAX_PIECES} pieces: they count as none.",
    Odd.NO_AMOUNT: f"Amounts that are no numbers, or of {MAX_AMOUNT:,} and more: they count as none.",
    Odd.NO_TIME: "Times that are empty where V1 must have one, or can't be read, e.g. 0000-00-00: they count as none.",
    Odd.NO_SUCH_TIME: "Local times that the clock skipped when summer time began: they count as none. The zone may be "
    "wrong.",
    Odd.PAST: "Times before 2000: they count as none.",
    Odd.FUTURE: "Times more than five minutes ahead of our clock: they count as they are, after 2099 as none. The zone "
    "or a clock may be wrong.",
}
_COUNTED_BY_VALUE = (Odd.ORDER_STATUS, Odd.ITEM_STATUS, Odd.LOCK_STATE, Odd.CURRENCY)


class Oddities:
    """Collects what is odd."""

    def __init__(self) -> None:
        self._counts = Counter[Odd]()
        self._examples: dict[Odd, dict[str, None]] = {}
        self._values: dict[Odd, Counter[str]] = {}

    def note(self, odd: Odd, example: str, count: int = 1) -> None:
        """Rows with something odd. `example`: where, or for what is counted by value, which value."""
        if not count:
            return
        self._counts[odd] += count
        if odd in _COUNTED_BY_VALUE:
            values = self._values.setdefault(odd, Counter())
            values[example if example in values or len(values) < 1000 else "others"] += count
        elif len(examples := self._examples.setdefault(odd, {})) < MAX_EXAMPLES:
            examples[example[:100]] = None

    def findings(self) -> list[V1Finding]:
        """One for each kind, in the order of Odd."""
        return [
            V1Finding(odd.value, self._counts[odd], self._of(odd), WHAT[odd]) for odd in Odd if self._counts[odd]
        ]  # fmt: skip

    def _of(self, odd: Odd) -> tuple[str, ...]:
        if odd in _COUNTED_BY_VALUE:
            common = self._values[odd].most_common(MAX_EXAMPLES)
            return tuple(f"{value}: {count} rows" for value, count in common)
        return tuple(self._examples[odd])


class Reader:
    """Turns values of V1 into ours, and notes what is odd. `where` of each method: the row, for people."""

    def __init__(self, zone: ZoneInfo, odd: Oddities, now: datetime) -> None:
        self.zone, self.odd, self.now = zone, odd, now

    def time(self, value: Any, where: str, *, required: bool = False) -> datetime | None:
        """A time, in UTC."""
        if value is None:
            if required:
                self.odd.note(Odd.NO_TIME, f"{where}: empty")
            return None
        stored = stored_time(value)
        if stored is None:
            self.odd.note(Odd.NO_TIME, f"{where}: {plain_text(value)}")
            return None
        if stored.year < _FIRST_YEAR:
            self.odd.note(Odd.PAST, f"{where}: {stored}")
            return None
        moment = instant(stored, self.zone)
        if moment is None or moment > self.now + FUTURE:
            self.odd.note(Odd.FUTURE, f"{where}: {stored}")
        if moment is None or moment.year > _LAST_YEAR:
            return None
        if stored.tzinfo is None and moment.astimezone(self.zone).replace(tzinfo=None) != stored:
            self.odd.note(Odd.NO_SUCH_TIME, f"{where}: {stored}")
            return None
        return moment

    def quantity(self, value: Any, where: str) -> int | Decimal | None:
        """Pieces: an int where they are whole."""
        number = decimal(value)
        if number is None:
            self.odd.note(Odd.NO_QUANTITY, f"{where}: {plain_text(value)}")
            return None
        if abs(number) > MAX_PIECES:
            self.odd.note(Odd.ABSURD, f"{where}: {_short(number)}")
            return None
        if number < 0:
            self.odd.note(Odd.NEGATIVE, f"{where}: {_short(number)}")
        if number != number.to_integral_value():
            self.odd.note(Odd.NOT_WHOLE, f"{where}: {_short(number)}")
            return number
        return int(number)

    def amount(self, value: Any, where: str) -> Decimal | None:
        """An amount; an empty one is none, and nothing odd."""
        if value is None:
            return None
        number = decimal(value)
        if number is None or abs(number) >= MAX_AMOUNT:
            self.odd.note(Odd.NO_AMOUNT, f"{where}: {plain_text(value)}")
            return None
        return number

    def statuses(self, status: Any, meanings: Mapping[int, Sequence[Status]], odd: Odd) -> list[Status]:
        """The statuses of ours that a number of V1 may mean; none where it is unmapped, which is noted."""
        found = list(meanings.get(status, ())) if isinstance(status, int) else []
        if not found:
            self.odd.note(odd, "empty" if status is None else str(status)[:50])
        return found

    def currency(self, value: Any, codes: Mapping[str, str]) -> str | None:
        """The ISO 4217 code; None for an id that has no code."""
        name = id_text(value)
        if name is None:
            return None
        if name in codes:
            return codes[name].upper()
        if name.lstrip("-").isdigit():
            self.odd.note(Odd.CURRENCY, name)
            return None
        return name.upper()


def stored_time(value: Any) -> datetime | None:
    """A time as V1 stores it, mostly without a zone; a whole number is seconds since 1970. None for what is none."""
    try:
        if isinstance(value, datetime):
            return value
        if isinstance(value, int | float | Decimal):
            return datetime.fromtimestamp(int(value), UTC)
        return datetime.fromisoformat(plain_text(value).strip())
    except (ValueError, OverflowError, OSError):
        return None


def instant(stored: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment in UTC of a stored time; of one that is there twice, the earlier. None beyond the year 9999."""
    try:
        return (stored if stored.tzinfo else stored.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def decimal(value: Any) -> Decimal | None:
    """A finite number; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(plain_text(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def status_of(value: Any) -> int | str | None:
    """V1's status: a number where it is a whole one, else its text."""
    number = decimal(value)
    if number is not None and number == number.to_integral_value() and abs(number) < MAX_AMOUNT:
        return int(number)
    return id_text(value)


def id_text(value: Any) -> str | None:
    """An id as a text, trimmed, a whole number without a point; None for an empty one."""
    if value is None:
        return None
    if isinstance(value, Decimal | float):
        number = decimal(value)
        if number is not None and abs(number) < _GREATEST_ID and number == number.to_integral_value():
            return f"{number:.0f}"
    return plain_text(value).strip() or None


def plain_text(value: Any) -> str:
    """A value as a text, whatever its bytes are. PostgreSQL stores no NUL, which MariaDB may have."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return text.replace("\x00", "\ufffd")


def _short(number: Decimal) -> str:
    return str(number)[:40]
