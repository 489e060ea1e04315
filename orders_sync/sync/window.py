"""The time window of a pass: where it starts, where it ends, and which records lie outside."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from orders_sync.lanes.watermark import advance_watermark, check_not_before_records, remedy, watermark
from orders_sync.marketplaces.kit.adapter import OrderListing, RawRecord
from orders_sync.marketplaces.kit.clock import CLOCK_TRUST
from orders_sync.model.errors import UserFacingError
from orders_sync.model.keys import UNSTORABLE
from orders_sync.model.lane import Lane
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.times import EARLIEST
from orders_sync.sync.running_pass import RunningPass

RETRIES_PER_PASS = 20
"""How many rejected records a pass tries again."""


class RequestedTimeError(UserFacingError):
    """A requested start or end of a pass before any marketplace's records."""


def pass_start(pass_: RunningPass, window_start: datetime | None) -> datetime:
    """Where a pass starts: at the window's start or the watermark, whichever is earlier, less the overlap.

    A pass therefore never leaves a gap behind the watermark. A first pass starts at least `months_back` ago. A
    watermark that lies in the future counts as the present, and is a problem in the summary. Raises WatermarkError for
    one before the year 2000, and RequestedTimeError for a requested start or end before that.
    """
    for name, at in (("start", window_start), ("end", pass_.request.end)):
        if at is not None and at < EARLIEST:
            raise RequestedTimeError(
                f"the requested {name} {at.date()} of the sync lies before {EARLIEST:%Y-%m-%d}: nothing is fetched"
            )
    settings = pass_.request.account.settings
    reached = watermark(pass_.connection, pass_.lane)
    if reached is not None:
        check_not_before_records(pass_.lane, reached)
    now = pass_.adapter.now()
    if reached is not None and reached > now + CLOCK_TRUST:
        pass_.add(PassSummary(problems=[_in_the_future(pass_.lane, reached)]))
        reached = now
    if reached is None:
        months_back = pass_.adapter.now() - timedelta(days=31 * settings.months_back)
        return min(window_start, months_back) if window_start is not None else months_back
    earlier = min(window_start, reached) if window_start is not None else reached
    return earlier - timedelta(minutes=settings.overlap_minutes)


def _in_the_future(lane: Lane, reached: datetime) -> str:
    return (
        f"the watermark {reached.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC lies in the future: what came before this pass "
        f"may be missing. {remedy(lane)}"
    )


def until_end(pass_: RunningPass, listing: OrderListing, pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """The pages without the records behind the requested end; whole pages if no end was requested.

    The end is applied here because some marketplaces publish lower bounds only, and others treat an upper one loosely.
    A record whose id PostgreSQL can't read has none from here on.
    """
    end = pass_.request.end
    for page in map(with_readable_ids, pages):
        now = pass_.adapter.now()
        yield page if end is None else [record for record in page if not _is_after(record, listing, end, now)]


def with_readable_ids(page: list[RawRecord]) -> list[RawRecord]:
    """The records; one whose id PostgreSQL can't read without it."""
    if UNSTORABLE.search("".join([record.record_id for record in page])) is None:
        return page
    return [msgspec.structs.replace(one, record_id="") if UNSTORABLE.search(one.record_id) else one for one in page]


def _is_after(record: RawRecord, listing: OrderListing, end: datetime, now: datetime) -> bool:
    at = {"created": record.created_at, "modified": record.modified_at, "waiting": None}[listing]
    return at is not None and min(at, now) > end  # no record is of the future, whatever it claims


def window_end(pass_: RunningPass) -> datetime:
    """The moment up to which a pass that begins now is complete: a little before now, by the source's lag.

    It is a time of the marketplace's clock, so call this after the marketplace's first answer. If the two clocks differ
    too much, it is the earlier one's.
    """
    return pass_.adapter.now() - timedelta(seconds=pass_.request.account.settings.lag_seconds)


def finish(pass_: RunningPass, end: datetime) -> None:
    """Ends a complete pass: the watermark moves to the window's end or the requested one, and never back."""
    end = min(end, pass_.request.end) if pass_.request.end is not None else end
    with pass_.connection.transaction():
        reached = advance_watermark(pass_.connection, pass_.lane, end)
    pass_.add(PassSummary(range_end=end, watermark=reached))
