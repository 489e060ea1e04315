"""Merging a batch of order records into the tables: only what is new or changed is decoded, checked and written.

One batch is one transaction: orders, items and events stand or fall together. The way of a batch:

1. Ask by primary key which records are known with the same fingerprint; these are done.
2. Decode and check the others; the rejected ones are kept with their reasons.
3. New orders are copied straight into the tables. Should one exist after all (another lane was faster), the whole
   lot takes way 4.
4. Changed orders are copied into temporary staging tables and merged from there; older copies are left aside, what
   a record leaves out keeps its value, and each change of a status becomes an event.
5. A record that PostgreSQL refuses is found by halving the batch, and rejected like any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec
import psycopg
from psycopg import Cursor
from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from orders_sync.database.copy import copy_into, to_copy_text
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import Order, Reason, RecordRejectedError
from orders_sync.model.statuses import Status
from orders_sync.sync import care_links, staging
from orders_sync.sync.batch import Batch, BatchResult, CheckedOrder, Prepared
from orders_sync.sync.copy_columns import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    ORDER_COLUMNS,
    EventRow,
    changed_row,
    created_row,
    event_columns,
)
from orders_sync.sync.rejected_records import RejectedRecord, keep, record_key, resolve, unresolved
from orders_sync.sync.validate import batch_is_valid, check_order

MAX_DEADLOCK_TRIES = 5
_ITEMS_MISSING = Reason("items", "are missing, and the order is not known yet", "one item or more")

_Cursor = Cursor[tuple[Any, ...]]


class OrderMerger:
    """Merges batches of one account's order records.

    `connection` writes; `reader` looks up, so that a batch can be prepared while the one before it is written. Where
    both are the same connection, batches must be prepared and written in turn.
    """

    def __init__(
        self,
        connection: Connection,
        account: str,
        decode: Callable[[bytes], Order],
        *,
        reader: Connection | None = None,
    ) -> None:
        self.connection = connection
        self.reader = reader or connection
        self.account = account
        self.decode = decode
        self._holds_orders = self._any_order()
        self._rejected_before = set(unresolved(connection, account, "order"))

    def prepare(self, records: Sequence[RawRecord]) -> Prepared:
        """Looks a batch up, and decodes and checks what is new or changed. Writes nothing."""
        newest, refused = _newest_of_each(records)
        unchanged = len(records) - len(newest) - len(refused)
        new: list[CheckedOrder] = []
        changed: list[CheckedOrder] = []
        known = self._known(list(newest))
        for record_id, record in newest.items():
            before = known.get(record_id)
            if before is not None and (before.fingerprint == record.fingerprint or before.is_newer_than(record)):
                unchanged += 1
                continue
            try:
                read = self._read(record)
            except RecordRejectedError as problem:
                refused.append(RejectedRecord("order", record_id, record.raw, problem.reasons))
                continue
            (new if before is None else changed).append(read)
        if not self._holds_orders and any(one.order.items is None for one in new):
            # Whether such a record will do depends on whether its order is known: so it has to be asked after all.
            self._holds_orders = True
            return self.prepare(records)
        batch = Prepared(
            self._checked(new, refused, are_new=True), self._checked(changed, refused, are_new=False),
            fetched=len(records), unchanged=unchanged, rejected=refused,
        )  # fmt: skip
        # Put together here, so that the writer has nothing to do but wait for PostgreSQL.
        _ = (batch.new.orders, batch.new.items, batch.new.created_events)
        return batch

    def write(self, batch: Prepared, summary: PassSummary) -> BatchResult:
        """Writes a batch in one transaction, repeated when it collides with another writer's locks."""
        result = self._write_repeatedly(batch)
        summary.fetched += batch.fetched
        summary.created += len(result.created)
        summary.changed += len(result.changed)
        summary.unchanged += result.unchanged
        summary.rejected += len(result.rejected)
        summary.events += result.events
        return result

    def _write_repeatedly(self, batch: Prepared) -> BatchResult:
        attempt = 1
        while True:
            result = BatchResult(unchanged=batch.unchanged, rejected=list(batch.rejected))
            if not (batch.new.accepted or batch.changed.accepted or batch.rejected):
                return result
            try:
                with self.connection.transaction():
                    self._write(batch, result)
                return result
            except (DeadlockDetected, SerializationFailure):
                if attempt == MAX_DEADLOCK_TRIES:
                    raise
                attempt += 1

    def _write(self, batch: Prepared, result: BatchResult) -> None:
        if batch.new.accepted:
            self._guarded(batch.new, result, self._copy_new)
        if batch.changed.accepted:
            self._guarded(batch.changed, result, self._merge_staged)
        self._keep_rejected(result)

    # -- which records are new or changed

    def _any_order(self) -> bool:
        row = self.connection.execute(
            "SELECT EXISTS (SELECT FROM orders WHERE account = %s)", [self.account]
        ).fetchone()
        return row is not None and bool(row[0])

    def _known(self, record_ids: list[str]) -> dict[str, "_Known"]:
        if not self._holds_orders:  # A first load: nothing to ask, until a record turns out to be known after all.
            return {}
        rows = self.reader.execute(
            "SELECT order_id, fingerprint, modified_at FROM orders WHERE account = %s AND order_id = ANY(%s)",
            [self.account, record_ids],
            binary=True,
        )
        return {order_id: _Known(fingerprint, modified_at) for order_id, fingerprint, modified_at in rows}

    def check(self, record: RawRecord) -> None:
        """Raises Rejected with every reason why the record of a known order can't be stored."""
        check_order(self._read(record).order)

    def _read(self, record: RawRecord) -> CheckedOrder:
        order = self.decode(record.raw)
        # A look for one byte is four times as fast, and most records have none.
        if b"\\" in record.raw and b"\\u0000" in record.raw and _holds_nul(msgspec.json.decode(record.raw)):
            raise RecordRejectedError([Reason("record", "a text holds the character NUL", "text without NUL")])
        if not record.raw.isascii():
            try:
                record.raw.decode()
            except UnicodeDecodeError:
                raise RecordRejectedError([Reason("record", "holds bytes that are not UTF-8", "UTF-8 text")]) from None
        return CheckedOrder(order, record)

    def _checked(self, read: list[CheckedOrder], refused: list[RejectedRecord], *, are_new: bool) -> Batch:
        """A batch of those that satisfy every rule; the others are added to `refused`."""
        batch = Batch(self.account, read)
        if batch_is_valid(batch.fields) and not (are_new and None in batch.fields.orders["items"]):
            return batch
        kept: list[CheckedOrder] = []
        for one in batch.accepted:
            try:
                check_order(one.order)
                if are_new and one.order.items is None:
                    raise RecordRejectedError([_ITEMS_MISSING])
            except RecordRejectedError as problem:
                refused.append(RejectedRecord("order", one.record.record_id, one.record.raw, problem.reasons))
            else:
                kept.append(one)
        return Batch(self.account, _without_shared_items(kept, refused) if are_new else kept)

    def _keep_rejected(self, result: BatchResult) -> None:
        keep(self.connection, self.account, result.rejected)
        if self._rejected_before:
            passed = {a.order.order_id for a in (*result.created, *result.changed)} & self._rejected_before
            resolve(self.connection, self.account, "order", sorted(passed))
            self._rejected_before -= passed
        self._rejected_before |= {record_key(r.record_id, r.raw) for r in result.rejected}

    # -- writing, with the record that PostgreSQL refuses singled out

    def _guarded(self, batch: Batch, result: BatchResult, write: Callable[[Batch, BatchResult], None]) -> None:
        attempt = BatchResult()
        try:
            with self.connection.transaction():
                write(batch, attempt)
        except UniqueViolation:
            if write == self._merge_staged:
                raise
            self._holds_orders = True
            self._guarded(batch, result, self._merge_staged)
            return
        except psycopg.DataError as error:
            if len(batch.accepted) > 1:
                for half in batch.halves():
                    self._guarded(half, result, write)
                return
            record = batch.accepted[0].record
            reason = Reason("record", f"PostgreSQL can't store it (SQLSTATE {error.sqlstate})", "valid JSON text")
            result.rejected.append(RejectedRecord("order", record.record_id, record.raw, [reason]))
            return
        result.created += attempt.created
        result.changed += attempt.changed
        result.unchanged += attempt.unchanged
        result.rejected += attempt.rejected
        result.events += attempt.events

    # -- new orders, straight into the tables

    def _copy_new(self, batch: Batch, result: BatchResult) -> None:
        with self.connection.cursor() as cursor:
            self._copy_orders_and_items(cursor, batch, "orders", "order_items")
            copy_into(cursor, "order_events", EVENT_COLUMNS, batch.created_events)
        care_links.link_items(self.connection, self.account, [one.order for one in batch.accepted])
        result.created += batch.accepted
        result.events += len(batch.accepted)

    def _copy_orders_and_items(self, cursor: _Cursor, batch: Batch, orders: str, items: str) -> None:
        copy_into(cursor, orders, ORDER_COLUMNS, batch.orders)
        copy_into(cursor, items, ITEM_COLUMNS, batch.items)

    # -- changed orders, over staging tables

    def _merge_staged(self, batch: Batch, result: BatchResult) -> None:
        by_id = {accepted.order.order_id: accepted for accepted in batch.accepted}
        with self.connection.cursor() as cursor:
            cursor.execute(staging.OPEN_STAGING)
            self._copy_orders_and_items(cursor, batch, "stage_orders", "stage_items")
            self._reject_taken_items(cursor, by_id, result)
            created = {order_id for (order_id,) in cursor.execute(staging.INSERT_ORDERS)}
            before = self._lock_known(cursor, by_id, created, result)
            events = _Events(self.account)
            for order_id in sorted(created):
                events.rows.append(created_row(self.account, by_id[order_id].order))
            for order_id, status, revision in cursor.execute(staging.UPDATE_ORDERS, [sorted(before)]).fetchall():
                before[order_id].revision = revision
                if status != before[order_id].status:
                    events.add(order_id, "", revision, before[order_id].status, status)
            self._merge_items(cursor, by_id, before, events)
            copy_into(cursor, "order_events", EVENT_COLUMNS, to_copy_text(event_columns(events.rows)))
            cursor.execute("TRUNCATE stage_orders, stage_items")
        stored = [by_id[order_id] for order_id in (*sorted(created), *sorted(before))]
        care_links.link_items(self.connection, self.account, [accepted.order for accepted in stored])
        result.created += [by_id[order_id] for order_id in sorted(created)]
        result.changed += [by_id[order_id] for order_id in sorted(before)]
        result.events += len(events.rows)

    def _reject_taken_items(self, cursor: _Cursor, by_id: dict[str, CheckedOrder], result: BatchResult) -> None:
        taken = cursor.execute(staging.TAKEN_ITEMS).fetchall()
        for order_id, item_id, owner in taken:
            if order_id in by_id:
                result.rejected.append(_item_taken(by_id.pop(order_id), item_id, owner))
        self._unstage(cursor, [order_id for order_id, _, _ in taken])

    def _lock_known(
        self, cursor: _Cursor, by_id: dict[str, CheckedOrder], created: set[str], result: BatchResult
    ) -> dict[str, "_Before"]:
        """Locks the rows to be changed, in one order for all writers; leaves aside what is not newer."""
        rows = cursor.execute(staging.LOCK_ORDERS, [self.account, [i for i in by_id if i not in created]]).fetchall()
        before: dict[str, _Before] = {}
        passed_by: list[str] = []
        for order_id, status, modified_at, mark in rows:
            record = by_id[order_id].record
            known = _Known(mark, modified_at)
            if known.fingerprint == record.fingerprint or known.is_newer_than(record):
                passed_by.append(order_id)
            else:
                before[order_id] = _Before(status)
        result.unchanged += len(passed_by)
        self._unstage(cursor, passed_by)
        return before

    def _unstage(self, cursor: _Cursor, order_ids: list[str]) -> None:
        if order_ids:
            cursor.execute("DELETE FROM stage_orders WHERE order_id = ANY(%s)", [order_ids])
            cursor.execute("DELETE FROM stage_items WHERE order_id = ANY(%s)", [order_ids])

    def _merge_items(
        self, cursor: _Cursor, by_id: dict[str, CheckedOrder], before: dict[str, "_Before"], events: "_Events"
    ) -> None:
        told = [order_id for order_id in sorted(before) if by_id[order_id].order.items is not None]
        old = dict(cursor.execute(staging.ITEM_STATUSES, [self.account, told]).fetchall())
        updated = cursor.execute(staging.UPDATE_ITEMS).fetchall()
        inserted = cursor.execute(staging.INSERT_ITEMS).fetchall()
        removed = cursor.execute(staging.REMOVE_ITEMS, [Status.REMOVED, self.account, told, Status.REMOVED]).fetchall()
        for order_id, item_id, status in sorted((*updated, *inserted, *removed)):
            if order_id in before and old.get(item_id) != status:
                events.add(order_id, item_id, before[order_id].revision, old.get(item_id), status)


@dataclass
class _Known:
    fingerprint: bytes
    modified_at: datetime | None

    def is_newer_than(self, record: RawRecord) -> bool:
        if self.modified_at is None or record.modified_at is None or record.modified_at.tzinfo is None:
            return False
        return self.modified_at > record.modified_at


@dataclass
class _Before:
    status: str
    revision: int = 0


class _Events:
    def __init__(self, account: str) -> None:
        self.account = account
        self.rows: list[EventRow] = []

    def add(self, order_id: str, item_id: str, revision: int, old: str | None, new: str) -> None:
        self.rows.append(changed_row(self.account, order_id, item_id, revision, old, new))


def _newest_of_each(records: Sequence[RawRecord]) -> tuple[dict[str, RawRecord], list[RejectedRecord]]:
    """The newest copy of each record of a batch (of equal ones the last), and those that have no usable id."""
    newest: dict[str, RawRecord] = {}
    refused: list[RejectedRecord] = []
    for record in records:
        if not record.record_id or "\x00" in record.record_id:
            reason = Reason("order_id", "is missing or can't be read", "the marketplace's id")
            refused.append(RejectedRecord("order", "", record.raw, [reason]))
            continue
        known = newest.get(record.record_id)
        if known is None or not _Known(b"", known.modified_at).is_newer_than(record):
            newest[record.record_id] = record
    return newest, refused


def _without_shared_items(new: list[CheckedOrder], refused: list[RejectedRecord]) -> list[CheckedOrder]:
    """Two orders of a batch can't own the same item: the second one is rejected."""
    owner: dict[str, str] = {}
    kept: list[CheckedOrder] = []
    for accepted in new:
        items = [item.item_id for item in accepted.order.items or ()]
        taken = next((item_id for item_id in items if item_id in owner), None)
        if taken is not None:
            refused.append(_item_taken(accepted, taken, owner[taken]))
            continue
        owner.update(dict.fromkeys(items, accepted.order.order_id))
        kept.append(accepted)
    return kept


def _item_taken(accepted: CheckedOrder, item_id: str, owner: str) -> RejectedRecord:
    reason = Reason("items", f"item {item_id} belongs to order {owner}", "an item of this order alone")
    return RejectedRecord("order", accepted.order.order_id, accepted.record.raw, [reason])


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value)
        return any("\x00" in key or _holds_nul(part) for key, part in pairs.items())
    if isinstance(value, list):
        return any(_holds_nul(part) for part in cast(list[Any], value))
    return False
