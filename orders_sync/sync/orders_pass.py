"""What `new` and `modified` share: reading lists of orders and merging them batch by batch."""

import gc
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

from orders_sync.database.copy import with_room
from orders_sync.database.engine import connect
from orders_sync.marketplaces.base import OrdersBy, RawRecord
from orders_sync.sync import lanes
from orders_sync.sync.batch import BatchResult
from orders_sync.sync.context import BATCH, Pass
from orders_sync.sync.merge import OrderMerger

RETRIES_A_PASS = 20
"""Rejected records asked for again in one pass, those longest not looked at first."""


def pass_start(work: Pass, window_start: datetime | None) -> datetime:
    """Where a pass starts: at the window's start or the watermark, whichever is earlier, less the overlap.

    So a pass never leaves a gap behind the watermark. A first pass starts `months_back` ago at the latest.
    """
    settings = work.request.account.settings
    overlap = timedelta(minutes=settings.overlap_minutes)
    mark = lanes.watermark(work.connection, work.lane)
    if mark is None:
        furthest = work.adapter.now() - timedelta(days=31 * settings.months_back)
        return min(window_start, furthest) if window_start is not None else furthest
    return (min(window_start, mark) if window_start is not None else mark) - overlap


@contextmanager
def open_merger(work: Pass) -> Generator[OrderMerger]:
    """A merger with a connection of its own to look up, so that looking up and writing go on side by side."""
    reader = connect(application=f"orders_sync reader {work.lane}")
    try:
        yield OrderMerger(with_room(work.connection), work.lane.account, work.adapter.decode_order, reader=reader)
    finally:
        reader.close()


def merge_all(work: Pass, merger: OrderMerger, pages: Iterable[list[RawRecord]]) -> None:
    """Merges all pages of a list, a batch a transaction; while one is written, the next one is prepared."""
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer, _tuned():
        under_way: Future[BatchResult] | None = None
        for records in _batches(pages):
            prepared = merger.prepare(records)
            if under_way is not None:
                _note(work, under_way.result())
            under_way = writer.submit(merger.write, prepared, work.summary)
        if under_way is not None:
            _note(work, under_way.result())


@contextmanager
def _tuned() -> Generator[None]:
    """Python tuned for many short-lived objects and two threads, one of which mostly waits for PostgreSQL.

    The writer gets its turn after 0.05 ms instead of 5: it has little to do between two answers of PostgreSQL. And
    garbage is looked for after 50,000 objects more instead of 700: a batch leaves none, and looking took a tenth.
    """
    turns, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(50e-6)
    gc.set_threshold(50_000, *thresholds[1:])
    try:
        yield
    finally:
        sys.setswitchinterval(turns)
        gc.set_threshold(*thresholds)


def merge_batch(work: Pass, merger: OrderMerger, records: list[RawRecord]) -> BatchResult:
    """Merges one batch and notes what is to be told of it."""
    result = merger.write(merger.prepare(records), work.summary)
    _note(work, result)
    return result


def _batches(pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """Small batches first, then larger ones: writing begins at once, and so does what a user sees of it."""
    batch: list[RawRecord] = []
    enough = BATCH // 8
    for page in pages:
        batch += page
        if len(batch) >= enough:
            yield batch
            batch = []
            enough = min(BATCH, 2 * enough)
    if batch:
        yield batch


def _note(work: Pass, result: BatchResult) -> None:
    for record in result.rejected:
        reasons = "; ".join(f"{reason.where} {reason.what}" for reason in record.reasons)
        work.summary.problems.append(f"order {record.record_id or 'without id'} rejected: {reasons}")
    work.note_progress()


def up_to_end(work: Pass, by: OrdersBy, pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """The pages without the records that lie behind the end that was asked for; all of them where none was.

    Marketplaces publish lower bounds only, or read an upper one as they like: so it is kept to here.
    """
    end = work.request.end
    for page in pages:
        yield page if end is None else [record for record in page if not _is_after(record, by, end)]


def _is_after(record: RawRecord, by: OrdersBy, end: datetime) -> bool:
    at = {"created": record.created_at, "modified": record.modified_at, "waiting": None}[by]
    return at is not None and at.tzinfo is not None and at > end


def finish(work: Pass, ends: datetime) -> None:
    """The pass was whole: the watermark moves to its end, and never back."""
    ends = min(ends, work.request.end) if work.request.end is not None else ends
    work.summary.range_end = ends
    with work.connection.transaction():
        work.summary.watermark = lanes.advance_watermark(work.connection, work.lane, ends)


def window_end(work: Pass) -> datetime:
    """The moment up to which a pass that begins now can vouch: a little before now, by the source's lag.

    By the marketplace's clock, so ask it once something was answered.
    """
    return work.adapter.now() - timedelta(seconds=work.request.account.settings.lag_seconds)
