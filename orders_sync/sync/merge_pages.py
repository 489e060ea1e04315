"""Merging the pages of a list, batch by batch: while a batch is written, the next one is prepared."""

import sys
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from orders_sync.database.bulk_work import rare_garbage_collection
from orders_sync.database.copy import with_large_send_buffer
from orders_sync.database.engine import connect
from orders_sync.database.heartbeat import kept_in_use
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.batch import BatchResult
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.rejected_records import is_put_off
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.window import with_readable_ids

MAX_RECORDS_PER_BATCH = 2000
"""How many records are merged in one transaction: enough for set-based statements, few enough to keep memory flat."""


@contextmanager
def open_merger(pass_: RunningPass) -> Generator[OrderMerger]:
    """A merger with a second connection for its look-ups, so that it looks up one batch while it writes another."""
    with connect(application=f"orders_sync reader {pass_.lane}") as reader, kept_in_use(reader):
        yield OrderMerger(
            with_large_send_buffer(pass_.connection),
            pass_.lane.account,
            pass_.adapter,
            pass_.origin,
            pass_.kept_fields,
            sample=pass_.sample,
            reader=reader,
            reread=pass_.request.reread,
        )


def merge_all(pass_: RunningPass, merger: OrderMerger, pages: Iterable[list[RawRecord]]) -> None:
    """Merges all pages of a list, one transaction for each batch, and counts their records as fetched.

    While a batch is written, the next one is prepared.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer, _tuned():
        writing: Future[BatchResult] | None = None
        try:
            for records in _batches(pages):
                prepared = merger.prepare(records)
                done, writing = writing, None
                if done is not None:
                    _note(pass_, _fetched(done.result()))
                writing = writer.submit(merger.write, prepared)
        finally:  # What is written counts even if the next page can't be had.
            if writing is not None:
                _note(pass_, _fetched(writing.result()))


def merge_batch(pass_: RunningPass, merger: OrderMerger, records: list[RawRecord]) -> BatchResult:
    """Merges one batch, and adds what became of it to the pass's summary; does not count its records as fetched."""
    result = merger.write(merger.prepare(with_readable_ids(records)))
    _note(pass_, _part(result))
    return result


@contextmanager
def _tuned() -> Generator[None]:
    """Tunes Python for many short-lived objects and for two threads of which one mostly waits for PostgreSQL.

    The writing thread gets its turn after 0.05 ms instead of 5 ms, since it has little to do between two answers of
    PostgreSQL.
    """
    turns = sys.getswitchinterval()
    sys.setswitchinterval(50e-6)
    try:
        with rare_garbage_collection():
            yield
    finally:
        sys.setswitchinterval(turns)


def _batches(pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
    """Batches that grow: the first ones are small, so that writing and the progress that a user sees begin at once.

    Where the next page can't be had, the records before it are a last batch, and the error follows.
    """
    batch: list[RawRecord] = []
    enough = MAX_RECORDS_PER_BATCH // 8
    try:
        for page in pages:
            batch += page
            if len(batch) >= enough:
                yield batch
                batch = []
                enough = min(MAX_RECORDS_PER_BATCH, 2 * enough)
    except MarketplaceError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _note(pass_: RunningPass, part: PassSummary) -> None:
    pass_.add(part)
    pass_.note_progress()


def _fetched(result: BatchResult) -> PassSummary:
    return replace(_part(result), fetched=result.records)


def _part(result: BatchResult) -> PassSummary:
    put_off = sum(is_put_off(rejected.reasons) for rejected in result.rejected)
    return PassSummary(
        created=len(result.created),
        changed=len(result.changed),
        unchanged=result.unchanged,
        rejected=len(result.rejected) - put_off,
        put_off=put_off,
        events=result.events,
        flawed=result.flawed,
        problems=[rejected.one_line() for rejected in result.rejected],
    )
