"""The time window of a pass: where it starts, where it ends, and what lies outside."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orders_sync.lanes.watermark import advance_watermark, watermark
from orders_sync.marketplaces.kit.adapter import OrderListing, RawRecord
from orders_sync.sync.running_pass import RunningPass

RETRIES_A_PASS = 20
"""Rejected records asked for again in one pass, those longest not looked at first."""


def pass_start(pass_: RunningPass, window_start: datetime | None) -> datetime:
    """Where a pass starts: at the window's start or the watermark, whichever is earlier, less the overlap.

    So a pass never leaves a gap behind the watermark. A first pass starts `months_back` ago at the latest.
    """
    settings = pass_.request.account.settings
    overlap = timedelta(minutes=settings.overlap_minutes)
    mark = watermark(pass_.connection, pass_.lane)
    if mark is None:
        furthest = pass_.adapter.now() - timedelta(days=31 * settings.months_back)
        return min(window_start, furthest) if window_start is not None else furthest
    return (min(window_start, mark) if window_start is not None else mark) - overlap


def up_to_end(pass_: RunningPass, listing: OrderListing, pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """The pages without the records that lie behind the end that was asked for; all of them where none was.

    Marketplaces publish lower bounds only, or read an upper one as they like: so it is kept to here.
    """
    end = pass_.request.end
    for page in pages:
        yield page if end is None else [record for record in page if not _is_after(record, listing, end)]


def _is_after(record: RawRecord, listing: OrderListing, end: datetime) -> bool:
    at = {"created": record.created_at, "modified": record.modified_at, "waiting": None}[listing]
    return at is not None and at.tzinfo is not None and at > end


def finish(pass_: RunningPass, ends: datetime) -> None:
    """The pass was whole: the watermark moves to its end, and never back."""
    ends = min(ends, pass_.request.end) if pass_.request.end is not None else ends
    pass_.summary.range_end = ends
    with pass_.connection.transaction():
        pass_.summary.watermark = advance_watermark(pass_.connection, pass_.lane, ends)


def window_end(pass_: RunningPass) -> datetime:
    """The moment up to which a pass that begins now can vouch: a little before now, by the source's lag.

    By the marketplace's clock, so ask it once something was answered.
    """
    return pass_.adapter.now() - timedelta(seconds=pass_.request.account.settings.lag_seconds)
