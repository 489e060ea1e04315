"""Merging a batch of order records into the tables: only what is new or changed is decoded, checked and written.

One batch is one transaction: orders, items and events are committed together or not at all. The steps:

1. Look up by primary key which records are stored with the same fingerprint; these are done (`stored_orders`).
2. Decode and check the others (`check_records`): flaws are mended and kept beside the order (`record_flaws`), and what
   can't be stored is kept with the reasons (`rejected_records`).
3. Copy new orders straight into the tables (`write_new`). If another lane has stored one of them meanwhile, write them
   as in step 4 instead.
4. Copy changed orders into temporary staging tables and merge them from there (`write_changed`).
5. Isolate a record that PostgreSQL rejects by bisecting the batch (`isolate_rejected`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TypeVar

from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.model.records import Flaw, Order
from orders_sync.privacy.erased import erased_records
from orders_sync.sync.batch import Batch, BatchResult, DecodedOrder, Origin, PreparedBatch
from orders_sync.sync.check_records import Listed, by_id, check_orders, decode_records, order_decoder, usable_versions
from orders_sync.sync.contract_drift import ContractSample
from orders_sync.sync.isolate_rejected import write_isolating_rejected
from orders_sync.sync.known_values import with_known_values
from orders_sync.sync.record_flaws import RecordFlaws
from orders_sync.sync.record_types import check_types
from orders_sync.sync.rejected_records import (
    RejectedRecord,
    dismissed_versions,
    keep,
    record_key,
    resolve,
    unresolved_keys,
)
from orders_sync.sync.stored_orders import Comparison, StoredOrders
from orders_sync.sync.validate import mend_order
from orders_sync.sync.write_changed import write_changed
from orders_sync.sync.write_new import write_new

MAX_TRIES = 5
"""How often a batch is written that collides with another writer's locks."""


Result = TypeVar("Result")


def repeat_on_collision(write: Callable[[], Result]) -> Result:
    """What `write`, one transaction, returns. It is repeated if it collides with another writer's locks."""
    for _ in range(MAX_TRIES - 1):
        with suppress(DeadlockDetected, SerializationFailure):
            return write()
    return write()


class OrderMerger:
    """Merges batches of one account's order records.

    `connection` writes; `reader` looks up, so that a batch can be prepared while the one before it is written. Where
    both are the same connection, batches must be prepared and written in turn.
    """

    def __init__(
        self,
        connection: Connection,
        account: str,
        adapter: Adapter,
        origin: Origin,
        kept: KeptFields,
        *,
        sample: ContractSample | None = None,
        reader: Connection | None = None,
        reread: bool = False,
    ) -> None:
        """`origin`: what the changes are stored by. `kept`: what stays of a record whose buyer's data is blanked.

        `sample`: takes some of the new and changed records.

        `reread`: compare records with the stored orders value by value, instead of by their fingerprints.
        """
        self._connection = connection
        self._account = account
        self._decode = order_decoder(adapter)
        self._latest_time = adapter.latest_time
        self._origin = origin
        self._kept = kept
        self._sample = sample
        self._reader = reader or connection
        self._stored = StoredOrders(self._reader, account)
        self._comparison = Comparison.VALUES if reread else Comparison.FINGERPRINTS
        self._rejected_ids = unresolved_keys(connection, account, "order")
        self._dismissed = dismissed_versions(connection, account, "order")
        self._flaws = RecordFlaws(connection, account, "order")

    def prepare(self, records: Sequence[RawRecord]) -> PreparedBatch:
        """Looks a batch up, and decodes and checks what is new or changed. Writes nothing."""
        listed = self._listed(records)
        if listed.versions:
            # Which version can be stored depends on whether the order is: look the batch up, on a first load too.
            self._stored.end_first_load()
        stored = self._stored.versions([*listed.alone, *listed.versions])
        new: list[RawRecord] = []
        changed: list[RawRecord] = []
        listed_flaws: list[tuple[str, Flaw]] = []
        passed: dict[str, datetime | None] = {}
        for record_id, record in listed.alone.items():
            version = stored.get(record_id)
            if version is None:
                new.append(record)
            elif not version.covers(record, self._comparison):
                changed.append(record)
            elif version.fingerprint == record.fingerprint:
                listed_flaws += ((record_id, flaw) for flaw in record.flaws)
                if record_id in self._rejected_ids:
                    passed[record_id] = record.modified_at
        new_decoded, new_undecodable = decode_records(self._decode, new)
        if self._stored.is_first_load and any(not decoded.order.items for decoded in new_decoded):
            # Such a record is an order's change if the order is stored, and invalid if not: look the batch up now.
            self._stored.end_first_load()
            return self.prepare(records)
        if self._sample is not None:
            self._sample.take(chain(new, changed))
        changed_decoded, changed_undecodable = decode_records(self._decode, changed)
        unusable: list[RejectedRecord] = []
        older: dict[str, list[DecodedOrder]] = {}
        for record_id, versions in listed.versions.items():
            version = stored.get(record_id)
            usable, rejected = usable_versions(self._decode, versions, None if version is None else self._with_known)
            if rejected is not None:
                unusable.append(rejected)
            if version is not None:
                usable = [one for one in usable if not version.covers(one.record, self._comparison)]
            if usable:
                (new_decoded if version is None else changed_decoded).append(usable[0])
                older[record_id] = usable[1:]
        changed_decoded = with_known_values(self._reader, self._account, changed_decoded)
        new_batch, new_invalid = check_orders(self._account, new_decoded, are_new=True)
        changed_batch, changed_invalid = check_orders(self._account, changed_decoded, are_new=False)
        rejected = (
            *listed.without_id, *listed.cut_off, *new_undecodable, *changed_undecodable, *new_invalid, *changed_invalid,
            *unusable,
        )  # fmt: skip
        return PreparedBatch(
            new_batch,
            changed_batch,
            unchanged=len(records) - len(new_batch.checked) - len(changed_batch.checked) - len(rejected),
            rejected=rejected,
            older=older,
            listed_flaws=listed_flaws,
            passed=passed,
        )

    def _listed(self, records: Sequence[RawRecord]) -> Listed:
        """The records by id, without those that a person dismissed in this version."""
        listed = by_id(records, self._dismissed)
        if not self._dismissed:
            return listed
        kept = [one for one in listed.without_id if record_key("", one.raw) not in self._dismissed]
        return listed._replace(without_id=kept)

    def write(self, batch: PreparedBatch) -> BatchResult:
        """Writes a batch in one transaction, which is repeated if it collides with another writer's locks."""
        if not (batch.new.checked or batch.changed.checked or batch.rejected or batch.listed_flaws or batch.passed):
            return BatchResult(unchanged=batch.unchanged)
        return repeat_on_collision(lambda: self._write_once(batch))

    def check(self, record: RawRecord) -> None:
        """Raises RecordRejectedError with every reason why the record can't be stored, if its order is stored."""
        decoded = self._decode(record.raw)
        check_types(decoded.value, Order)
        known = self._with_known(DecodedOrder(decoded.value, record, decoded.raw, decoded.flaws))
        mend_order(known.order, known.flaws)

    def _with_known(self, decoded: DecodedOrder) -> DecodedOrder:
        return with_known_values(self._reader, self._account, [decoded])[0]

    def _write_once(self, batch: PreparedBatch) -> BatchResult:
        with self._connection.transaction():
            result = BatchResult(unchanged=batch.unchanged, rejected=batch.rejected)
            if batch.new.checked:
                result += write_isolating_rejected(batch.new, self._write_new_or_changed)
            if batch.changed.checked:
                result += write_isolating_rejected(batch.changed, self._write_changed)
            result, instead = self._write_older(batch, result)
            keep(self._connection, self._account, result.rejected, self._latest_time, self._kept)
            written = {*result.created, *result.changed, *result.equal}
            # A version that can't be stored stays on the list as long as it comes beside one that can.
            candidates = self._rejected_ids - {rejected.record_id for rejected in result.rejected}
            passed = {order_id: at for order_id, at in batch.passed.items() if order_id in candidates}
            if now_right := candidates & written:
                passed |= {
                    decoded.order.order_id: decoded.record.modified_at
                    for one in (batch.new, batch.changed, *instead)
                    for decoded in one.checked
                    if decoded.order.order_id in now_right
                }
            resolved = resolve(self._connection, self._account, "order", passed)
            flaws = {**batch.new.flaws(written), **batch.changed.flaws(written)}
            for one in instead:
                flaws |= one.flaws(written)
            self._flaws.replace(written, flaws)
            self._flaws.add([*result.conflicts, *batch.listed_flaws])
            result += BatchResult(flawed=len(flaws))
        # A new set: the other thread may look at the one before.
        rejected_now = {record_key(rejected.record_id, rejected.raw) for rejected in result.rejected}
        self._rejected_ids = (self._rejected_ids - resolved) | rejected_now
        return result

    def _write_older(self, batch: PreparedBatch, result: BatchResult) -> tuple[BatchResult, list[Batch]]:
        """Writes older versions of the orders whose newest one PostgreSQL rejects: the newest that it takes of each.

        Returns the result with what became of them, and what was written.
        """
        instead: list[Batch] = []
        for order_id in {rejected.record_id for rejected in result.rejected} & batch.older.keys():
            is_new = any(decoded.order.order_id == order_id for decoded in batch.new.checked)
            for decoded in batch.older[order_id]:
                checked, _ = check_orders(self._account, [decoded], are_new=is_new)
                write = self._write_new_or_changed if is_new else self._write_changed
                written = replace(write_isolating_rejected(checked, write), rejected=())
                if written.records:
                    instead.append(checked)
                    # Until now it counted as a record that brings nothing new.
                    result += written + BatchResult(unchanged=-1)
                    break
        return result, instead

    def _write_new_or_changed(self, batch: Batch) -> BatchResult:
        if erased_records(self._connection, self._account, "order", [one.order.order_id for one in batch.checked]):
            return self._write_changed(batch)  # by the staging tables, where the buyer's data is left out
        try:
            return write_new(self._connection, batch)
        except UniqueViolation:
            self._stored.end_first_load()
            return self._write_changed(batch)

    def _write_changed(self, batch: Batch) -> BatchResult:
        return write_changed(self._connection, batch, self._origin, self._comparison, self._kept)
