"""What comparisons have found: each is a row, with a row for each difference, and overwrites none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.cutover.differences import Difference
from orders_sync.cutover.v1_values import V1Finding
from orders_sync.cutover.verification import Right
from orders_sync.database.engine import Connection

LOOKED_AT_AGAIN = timedelta(days=30)
"""An order that differed is compared again for so long."""
FOUND_AGAIN = timedelta(days=3)
"""A difference is the same one if it was found so recently."""
COUNTS_FOR = timedelta(days=3)
"""A verification counts for this time: the order may have changed since at the marketplace."""


class Verified(NamedTuple):
    """Who is right about a difference, by the marketplace's order."""

    right: Right
    verified_at: datetime
    """By the clock of the comparison."""


class Found(NamedTuple):
    """A difference, and what is known of it."""

    difference: Difference
    in_flight: bool
    """Whether it does not count yet."""
    first_found_at: datetime
    """When a comparison first found it."""
    verified: Verified | None
    """None: it was not verified, or the order does not decide it."""

    @property
    def right(self) -> Right | None:
        """Who is right, as the marketplace says; None: nobody knows."""
        return None if self.verified is None else self.verified.right


class FoundBefore(NamedTuple):
    """What earlier comparisons know of a difference."""

    first_found_at: datetime
    verified: Verified | None
    """None: it was not verified lately."""


@dataclass(frozen=True)
class Comparison:
    """V1 and V2 compared for one account and one UTC day; its fields are columns of migration_comparisons."""

    account: str
    day: date
    compared_at: datetime
    is_whole_day: bool
    orders_v1: int
    orders_v2: int
    compared_orders: int
    orders_in_both: int
    only_in_v1: int
    only_in_v2: int
    missing_in_v2: int
    """Orders that only V1 has, but for those that the marketplace does not have either."""
    differing: int
    in_flight: int
    agreement: float
    """Per cent of the compared orders on which both agree."""
    correct: float
    """Per cent of the compared orders on which both agree, or V2 is right by the marketplace's word."""
    v1_right: int
    v2_right: int
    neither_right: int
    undecided: int
    locks_v1: int
    locks_v2: int
    locks_differing: int
    levels_differing: int | None
    first_in_v1: int
    first_in_v2: int
    v2_later_seconds: float | None
    """The median of the seconds by which V2 stored an order later than V1."""
    calls_v1: int | None
    calls_v2: int
    too_many_requests_v2: int
    v1_ran: bool
    v2_ran: bool
    zone_offset_minutes: int | None
    clock_skew_seconds: float | None
    findings: Sequence[V1Finding]
    not_verified: str
    verdict: str
    found: Sequence[Found]
    """Each difference."""

    @property
    def counted(self) -> list[Found]:
        """The differences that count: those that are not in flight."""
        return [each for each in self.found if not each.in_flight]


_NO_COLUMNS = ("found", "findings")


def store(connection: Connection, made: Comparison) -> None:
    """Stores a comparison and its differences. Call it in a transaction."""
    values: dict[str, Any] = {name: value for name, value in vars(made).items() if name not in _NO_COLUMNS}
    values["findings"] = Jsonb([finding._asdict() for finding in made.findings])
    columns, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    insert = f"INSERT INTO migration_comparisons ({columns}) VALUES ({places}) RETURNING comparison_id"  # noqa: S608 - names of columns
    ((comparison_id,),) = connection.execute(insert.encode(), values)
    rows = [
        [
            comparison_id, made.account, made.day, *difference, in_flight, first_found_at,
            *(verified or (None, None)),
        ]
        for difference, in_flight, first_found_at, verified in made.found
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(_STORE_DIFFERENCE, rows)


def orders_that_differed(connection: Connection, account: str, now: datetime) -> set[str]:
    """The orders that are compared again: those that differed lately."""
    return {order_id for (order_id,) in connection.execute(_DIFFERED, [account, now - LOOKED_AT_AGAIN])}


def found_before(connection: Connection, account: str, now: datetime) -> Mapping[Difference, FoundBefore]:
    """What earlier comparisons have found lately."""
    parameters = {"account": account, "found_since": now - FOUND_AGAIN, "verified_since": now - COUNTS_FOR}
    return {
        Difference(*key): FoundBefore(at, None if right is None else Verified(Right(right), verified_at))
        for *key, at, right, verified_at in connection.execute(_FOUND_BEFORE, parameters)
    }


_STORE_DIFFERENCE: LiteralString = """
INSERT INTO migration_differences (
  comparison_id, account, day, order_id, item_id, kind, field, v1, v2, in_flight, first_found_at, right_side,
  verified_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_DIFFERED: LiteralString = """
SELECT DISTINCT order_id FROM migration_differences JOIN migration_comparisons made USING (comparison_id)
WHERE made.account = %s AND compared_at >= %s
"""
# One that ended and came back later is another one.
_FOUND_BEFORE: LiteralString = """
SELECT order_id, item_id, kind, field, v1, v2, min(first_found_at),
  (array_agg(right_side ORDER BY verified_at DESC) FILTER (WHERE verified_at >= %(verified_since)s))[1],
  max(verified_at) FILTER (WHERE verified_at >= %(verified_since)s)
FROM migration_differences JOIN migration_comparisons made USING (comparison_id)
WHERE made.account = %(account)s AND compared_at >= %(found_since)s GROUP BY 1, 2, 3, 4, 5, 6
"""
