"""A record that PostgreSQL rejects must not block its batch: it is isolated by bisecting the batch."""

from collections.abc import Callable

import psycopg

from orders_sync.model.records import Order, Reason, RecordRejectedError
from orders_sync.sync.batch import Batch, BatchResult
from orders_sync.sync.record_types import check_types
from orders_sync.sync.rejected_records import RejectedRecord


def write_isolating_rejected(batch: Batch, write: Callable[[Batch], BatchResult]) -> BatchResult:
    """Writes a batch. The records that PostgreSQL rejects are in the result as rejected, all others are written.

    `write` writes a batch all or nothing, in a savepoint of the transaction that is open, and raises DataError where
    PostgreSQL rejects it. If a batch of n records has one that is rejected, `write` runs about 2 log2(n) times.
    """
    try:
        return write(batch)
    except psycopg.DataError as error:
        if len(batch.checked) == 1:
            return BatchResult(rejected=[_rejected(batch, error)])
    first, second = batch.halves()
    return write_isolating_rejected(first, write) + write_isolating_rejected(second, write)


def _rejected(batch: Batch, error: psycopg.DataError) -> RejectedRecord:
    decoded = batch.checked[0]
    try:
        check_types(decoded.order, Order)
    except RecordRejectedError as problem:  # says more than PostgreSQL
        return RejectedRecord.of("order", decoded.record, problem.reasons)
    return RejectedRecord.of("order", decoded.record, [reason_of(error)])


def reason_of(error: psycopg.DataError) -> Reason:
    """Why PostgreSQL rejected a record; without its message, which may quote a buyer's data."""
    return Reason("record", f"PostgreSQL can't store it (SQLSTATE {error.sqlstate})", "valid JSON text")
