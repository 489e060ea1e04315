"""The ticks of cron expressions, as Dagster evaluates them, also in the nights in which the clock changes.

Cron expressions are about the wall clock, on which an hour is missing in one night and comes twice in another. The
rule is Dagster's ("Customizing a schedule's execution timezone"): an expression for every hour ticks in each hour that
there is; any other one ticks once, at the end of the hour that is missing, and in the second of two equal hours.
croniter is therefore asked about the wall clock alone.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from itertools import groupby
from zoneinfo import ZoneInfo

from croniter import croniter

_LONGEST_CHANGE = timedelta(hours=3)
"""By more than this, no change of the clock puts moments in another order than that of the wall clock."""
_ZERO = timedelta(0)
_HOUR = 1
"""The position of the hour in a cron expression."""


def ticks_after(crons: Sequence[str], after: datetime, timezone: str) -> Iterator[datetime]:
    """The ticks of any of these expressions after a moment, in time order, without end, in UTC.

    `timezone`: the IANA name of the zone of the wall clock. In UTC, differences and comparisons of ticks are right.
    """
    return _ticks(crons, after, ZoneInfo(timezone), forward=True)


@lru_cache(64)  # the same for the lanes of all accounts without crons of their own
def latest_tick(crons: tuple[str, ...], before: datetime, timezone: str) -> datetime:
    """The latest tick of any of these expressions at or before a moment, in UTC."""
    return next(_ticks(crons, before, ZoneInfo(timezone), forward=False))


def _ticks(crons: Sequence[str], since: datetime, zone: ZoneInfo, *, forward: bool) -> Iterator[datetime]:
    sign = 1 if forward else -1
    begin = since.astimezone(zone).replace(tzinfo=None) - sign * _LONGEST_CHANGE
    walls = [croniter(cron, begin) for cron in crons]
    every_hour = [croniter.expand(cron)[0][_HOUR] == ["*"] for cron in crons]  # as 0-23 and */1 are, too
    # The distance from `since` of each tick that may come next, and of the wall clock that each expression has reached.
    coming: list[timedelta] = []
    reached = [_ZERO] * len(crons)

    def distances() -> Iterator[timedelta]:
        while True:
            for number, wall in enumerate(walls):
                while not coming or reached[number] - _LONGEST_CHANGE < coming[0]:
                    at: datetime = wall.get_next(datetime) if forward else wall.get_prev(datetime)
                    reached[number] = sign * (at.replace(tzinfo=zone).astimezone(UTC) - since)
                    for moment in _moments(at, zone, every_hour=every_hour[number]):
                        distance = sign * (moment - since)
                        if distance > _ZERO or (distance == _ZERO and not forward):
                            heappush(coming, distance)
            yield heappop(coming)

    for distance, _ in groupby(distances()):
        yield since.astimezone(UTC) + sign * distance


def _moments(wall: datetime, zone: ZoneInfo, *, every_hour: bool) -> list[datetime]:
    """The moments of a time on the wall clock at which an expression ticks."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset() or _ZERO, second.utcoffset() or _ZERO
    if before < after:  # the clock skips this time
        return [] if every_hour else [(first.replace(minute=0)).astimezone(UTC)]
    if before > after:  # it comes twice
        return [first.astimezone(UTC), second.astimezone(UTC)] if every_hour else [second.astimezone(UTC)]
    return [first.astimezone(UTC)]
