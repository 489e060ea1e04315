"""Decoding stored raw records again, after an adapter was corrected: their rows become what it makes of them now.

Nothing is fetched. A row that is equal is left alone; of one that differs, a change of a status writes its event. What
only another answer could show stays as it is: which order an item belongs to, the URLs of documents, and the flaws of
the record's bytes, of its documents and of times that the list or the clock contradicted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import held_lanes
from orders_sync.marketplaces.kit.adapter import EXCLUDED_BY_FILTER, Adapter, RawRecord
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.model.records import Flaw, Reason, RecordRejectedError
from orders_sync.model.shown_ids import shown_id
from orders_sync.sync import care
from orders_sync.sync.batch import Batch, BatchResult, DecodedOrder, Origin
from orders_sync.sync.believed_times import IN_THE_FUTURE
from orders_sync.sync.check_records import Decode, check_orders, decode_records, order_decoder
from orders_sync.sync.isolate_rejected import write_isolating_rejected
from orders_sync.sync.known_values import with_known_values
from orders_sync.sync.merge import repeat_on_collision
from orders_sync.sync.put_off import OtherRecordError
from orders_sync.sync.record_flaws import RecordFlaws
from orders_sync.sync.rejected_records import RejectedRecord, title_of
from orders_sync.sync.stored_orders import Comparison
from orders_sync.sync.write_changed import write_changed

RECORDS_PER_TRANSACTION = 1000


class Difference(NamedTuple):
    """A value that the adapter reads differently now."""

    kind: str
    """`order` or `care`."""
    record_id: str
    item_id: str
    """Empty if it is a value of the record itself."""
    field: str
    """The column."""
    before: Any
    """None if it was empty, or if `is_named_only`."""
    after: Any
    is_named_only: bool = False
    """Whether the values are not shown: they are buyer's data, or the URL of a document."""


@dataclass
class Redecoded:
    """What came of decoding stored records again."""

    orders: int = 0
    """Stored orders that were decoded."""
    care_records: int = 0
    changed_orders: int = 0
    changed_care_records: int = 0
    events: int = 0
    """Changes of a status that were missed: each is an event."""
    differences: list[Difference] = field(default_factory=list[Difference])
    problems: list[str] = field(default_factory=list[str])
    """Records that the adapter would reject now, one line each, without buyers' data; they stay as they are."""


def redecode_orders(
    connection: Connection,
    account: str,
    adapter: Adapter,
    origin: Origin,
    kept: KeptFields,
    *,
    since: datetime | None,
    write: bool,
) -> Redecoded:
    """Decodes the account's stored orders that were created since then again, all of them where it is None.

    `kept`: what stays of a record whose buyer's data is blanked. `write`: store what differs; else everything is rolled
    back, batch by batch.
    """
    outcome = Redecoded()
    decode, flaws = order_decoder(adapter), RecordFlaws(connection, account, "order")
    for records in _stored_records(connection, "order", account, since):
        batch, rejected = _check(connection, account, decode, records)
        result, differences = repeat_on_collision(
            lambda: _store(connection, batch, origin, kept, flaws, write)  # noqa: B023
        )
        outcome.orders += len(records)
        outcome.changed_orders += len(result.changed)
        outcome.events += result.events
        outcome.differences += differences
        outcome.problems += [one.one_line() for one in (*rejected, *result.rejected)]
    return outcome


def _check(
    connection: Connection, account: str, decode: Decode, records: Sequence[RawRecord]
) -> tuple[Batch, list[RejectedRecord]]:
    decoded, undecodable = decode_records(decode, records)
    own = with_known_values(connection, account, [one for one in decoded if not _has_another_id(one)])
    batch, invalid = check_orders(account, own, are_new=False)
    return batch, [*undecodable, *(_rejected(one) for one in decoded if _has_another_id(one)), *invalid]


def _has_another_id(decoded: DecodedOrder) -> bool:
    return decoded.order.order_id.strip() != decoded.record.record_id


def _rejected(decoded: DecodedOrder) -> RejectedRecord:
    reason = Reason("order_id", "is another one now", "the id that it is stored with")
    return RejectedRecord.of("order", decoded.record, [reason])


def _store(
    connection: Connection, batch: Batch, origin: Origin, kept: KeptFields, flaws: RecordFlaws, write: bool
) -> tuple[BatchResult, list[Difference]]:
    if not batch.checked:
        return BatchResult(), []
    with connection.transaction(force_rollback=not write):
        result = write_isolating_rejected(
            batch, lambda part: write_changed(connection, part, origin, Comparison.STORED_RECORDS, kept)
        )
        written = {*result.changed, *result.equal}
        flaws.replace(written, batch.flaws(written))
        flaws.add(result.conflicts)
        return result, _order_differences(connection, batch.account, origin, result.changed)


def _order_differences(
    connection: Connection, account: str, origin: Origin, order_ids: Sequence[str]
) -> list[Difference]:
    rows = connection.execute(_CHANGES, [account, list(order_ids), *origin])
    return [
        Difference("order", order_id, item_id, column, *(values or (None, None)), is_named_only=not values)
        for order_id, fields, items in rows
        for item_id, changes in (("", fields), *sorted(items.items()))
        for column, values in sorted(changes.items())
    ]


_CHANGES = """
SELECT order_id, fields, items FROM order_changes
WHERE account = %s AND order_id = ANY(%s) AND written_by = %s AND run_id = %s ORDER BY order_id
"""


def redecode_care_records(
    connection: Connection,
    account: str,
    adapter: Adapter,
    kept: KeptFields,
    *,
    since: datetime | None,
    write: bool,
    restocks: bool,
) -> Redecoded:
    """The same for the care records that were opened since then. `restocks`: whether returns are booked to stock."""
    outcome = Redecoded()
    for records in _stored_records(connection, "care", account, since):
        checked: list[care.CheckedCare] = []
        for record in records:
            try:
                checked.append(care.check_care(connection, account, adapter, record, record.raw))
            except RecordRejectedError as problem:
                rejected = RejectedRecord.of("care", record, problem.reasons)
                outcome.problems.append(rejected.one_line())
            except OtherRecordError:
                outcome.problems.append(
                    f"{title_of('care')} {shown_id(record.record_id)} rejected: its id is another one now"
                )
        care_ids = [one.care.care_id for one in checked]
        with connection.transaction(force_rollback=not write):
            before = _care_values(connection, account, care_ids)
            result = care.store_checked(connection, account, checked, kept, restocks=restocks)
            differences = _care_differences(before, _care_values(connection, account, care_ids))
        outcome.care_records += len(records)
        outcome.changed_care_records += len({one.record_id for one in differences})
        outcome.differences += differences
        outcome.problems += [one.one_line() for one in result.rejected]
    return outcome


_CareValues = Mapping[tuple[str, str], Mapping[str, Any]]
"""The values of care records, with an empty item id, and of their items."""
_CARE_VALUES = """
SELECT care_id, '' AS item_id, to_jsonb(stored) - %(left_out)s::text[] FROM care_records stored
WHERE account = %(account)s AND care_id = ANY(%(care_ids)s)
UNION ALL
SELECT care_id, item_id, to_jsonb(stored) - %(left_out)s::text[] FROM care_record_items stored
WHERE account = %(account)s AND care_id = ANY(%(care_ids)s)
"""
_NOT_DECODED = [
    "account", "care_id", "item_id", "raw", "fingerprint", "buyer_data_blanked_at", "first_stored_at", "stored_at",
    "linked_at",
]  # fmt: skip


def _care_values(connection: Connection, account: str, care_ids: list[str]) -> _CareValues:
    parameters = {"account": account, "care_ids": care_ids, "left_out": _NOT_DECODED}
    return {(care_id, item_id): values for care_id, item_id, values in connection.execute(_CARE_VALUES, parameters)}


def _care_differences(before: _CareValues, after: _CareValues) -> list[Difference]:
    return [
        Difference("care", care_id, item_id, column, known.get(column), value)
        for (care_id, item_id), values in sorted(after.items())
        for known in [before.get((care_id, item_id), {})]
        for column, value in values.items()
        if column not in known or known[column] != value
    ]


_STORED: dict[str, LiteralString] = {
    "order": """
SELECT order_id, raw::text, fingerprint FROM orders
WHERE account = %(account)s AND order_id > %(after)s
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
ORDER BY order_id LIMIT %(limit)s
""",
    "care": """
SELECT care_id, raw::text, fingerprint FROM care_records
WHERE account = %(account)s AND care_id > %(after)s
  AND (%(since)s::timestamptz IS NULL OR coalesce(opened_at, first_stored_at) >= %(since)s)
ORDER BY care_id LIMIT %(limit)s
""",
}
#: Flaws that the stored record does not show.
_KEPT_FLAWS = """
SELECT record_id, field, found, stored FROM record_flaws
WHERE account = %s AND kind = %s AND record_id = ANY(%s)
  AND (field = 'record' OR field LIKE 'documents.%%' OR found = ANY(%s))
"""


def _stored_records(
    connection: Connection, kind: str, account: str, since: datetime | None
) -> Iterator[list[RawRecord]]:
    """The stored raw records by their ids, as many at a time as are decoded in one transaction."""
    after = ""
    while True:
        held_lanes().check()  # of the two that store orders, the connection of one does nothing else
        parameters = {"account": account, "after": after, "since": since, "limit": RECORDS_PER_TRANSACTION}
        rows = connection.execute(_STORED[kind], parameters).fetchall()
        if rows:
            flaws: dict[str, list[Flaw]] = {}
            kept = [account, kind, [row[0] for row in rows], [EXCLUDED_BY_FILTER, IN_THE_FUTURE]]
            for record_id, *flaw in connection.execute(_KEPT_FLAWS, kept):
                flaws.setdefault(record_id, []).append(Flaw(*flaw))
            yield [
                RawRecord(record_id, raw.encode(), bytes(fingerprint), flaws=tuple(flaws.get(record_id, ())))
                for record_id, raw, fingerprint in rows
            ]
        if len(rows) < RECORDS_PER_TRANSACTION:
            return
        after = rows[-1][0]
