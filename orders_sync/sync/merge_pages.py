"""Merging the pages of a list batch by batch: the next batch is prepared while one is written."""

import gc
import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from orders_sync.database.copy import with_large_send_buffer
from orders_sync.database.engine import connect
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.sync.batch import BatchResult
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.running_pass import RunningPass

MAX_RECORDS_PER_BATCH = 2000
"""Records merged in one transaction: enough to be set-based, few enough to keep memory flat."""


@contextmanager
def open_merger(pass_: RunningPass) -> Generator[OrderMerger]:
    """A merger with a connection of its own to look up, so that looking up and writing go on side by side."""
    reader = connect(application=f"orders_sync reader {pass_.lane}")
    try:
        yield OrderMerger(
            with_large_send_buffer(pass_.connection), pass_.lane.account, pass_.adapter.decode_order, reader=reader
        )
    finally:
        reader.close()


def merge_all(pass_: RunningPass, merger: OrderMerger, pages: Iterable[list[RawRecord]]) -> None:
    """Merges all pages of a list, a batch a transaction; while one is written, the next one is prepared."""
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer, _tuned():
        under_way: Future[BatchResult] | None = None
        for records in _batches(pages):
            prepared = merger.prepare(records)
            if under_way is not None:
                _note(pass_, under_way.result())
            under_way = writer.submit(merger.write, prepared, pass_.summary)
        if under_way is not None:
            _note(pass_, under_way.result())


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


def merge_batch(pass_: RunningPass, merger: OrderMerger, records: list[RawRecord]) -> BatchResult:
    """Merges one batch and notes what is to be told of it."""
    result = merger.write(merger.prepare(records), pass_.summary)
    _note(pass_, result)
    return result


def _batches(pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """Small batches first, then larger ones: writing begins at once, and so does what a user sees of it."""
    batch: list[RawRecord] = []
    enough = MAX_RECORDS_PER_BATCH // 8
    for page in pages:
        batch += page
        if len(batch) >= enough:
            yield batch
            batch = []
            enough = min(MAX_RECORDS_PER_BATCH, 2 * enough)
    if batch:
        yield batch


def _note(pass_: RunningPass, result: BatchResult) -> None:
    for record in result.rejected:
        reasons = "; ".join(f"{reason.where} {reason.what}" for reason in record.reasons)
        pass_.summary.problems.append(f"order {record.record_id or 'without id'} rejected: {reasons}")
    pass_.note_progress()
