"""`care`: the latest care records since the watermark; each is linked to its items by their `care_id`."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Literal, NamedTuple

import msgspec
from psycopg.errors import DataError

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.lanes.restocking import forget_restocking, note_passed, note_restocking
from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.errors import MarketplaceError, of_adapter
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import CareItem, CareRecord, Flaw, Reason, RecordRejectedError
from orders_sync.model.shown_ids import shown_id
from orders_sync.privacy.erased import blanked_care
from orders_sync.sync import care_links
from orders_sync.sync.believed_times import BelievedTimes
from orders_sync.sync.check_records import without_odd_times
from orders_sync.sync.due_returns import note_due_returns, stored_closings
from orders_sync.sync.isolate_rejected import reason_of
from orders_sync.sync.known_values import AS_STORED
from orders_sync.sync.put_off import (
    OtherRecordError,
    SingleFetches,
    is_cut_off,
    put_off,
    put_off_cut_off,
    summary_of,
    with_reason,
)
from orders_sync.sync.record_flaws import RecordFlaws
from orders_sync.sync.record_types import check_types
from orders_sync.sync.rejected_records import (
    HASH_PREFIX,
    RejectedRecord,
    Selection,
    dismissed_versions,
    is_put_off,
    keep,
    note_retry,
    note_tried,
    resolve,
    selected,
    to_retry,
)
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.validate import mend_care_record
from orders_sync.sync.window import RETRIES_PER_PASS, finish, pass_start, until_end, window_end

_STORE = """
INSERT INTO care_records AS stored (
  account, care_id, kind, state, marketplace_state, opened_at, modified_at, closed_at, received, raw, fingerprint,
  buyer_data_blanked_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, CASE WHEN %s THEN now() END)
ON CONFLICT (account, care_id) DO UPDATE SET
  kind = CASE WHEN excluded.kind = 'other' THEN stored.kind ELSE excluded.kind END,
  state = CASE WHEN excluded.state = 'unknown' AND excluded.marketplace_state IS NULL
          THEN stored.state ELSE excluded.state END,
  marketplace_state = coalesce(excluded.marketplace_state, stored.marketplace_state),
  opened_at = coalesce(excluded.opened_at, stored.opened_at),
  modified_at = coalesce(excluded.modified_at, stored.modified_at),
  closed_at = coalesce(excluded.closed_at, stored.closed_at),
  received = coalesce(excluded.received, stored.received),
  raw = excluded.raw, buyer_data_blanked_at = coalesce(stored.buyer_data_blanked_at, excluded.buyer_data_blanked_at),
  fingerprint = excluded.fingerprint, stored_at = now()
WHERE excluded.fingerprint <> stored.fingerprint AND (
    stored.modified_at IS NULL OR excluded.modified_at IS NULL OR excluded.modified_at >= stored.modified_at)
  OR excluded.fingerprint = stored.fingerprint
  AND (excluded.kind <> 'other' AND excluded.kind <> stored.kind
    OR excluded.state <> stored.state AND (excluded.state <> 'unknown' OR excluded.marketplace_state IS NOT NULL)
    OR stored.buyer_data_blanked_at IS NULL AND stored.raw <> excluded.raw
    OR (coalesce(excluded.marketplace_state, stored.marketplace_state),
        coalesce(excluded.opened_at, stored.opened_at), coalesce(excluded.modified_at, stored.modified_at),
        coalesce(excluded.closed_at, stored.closed_at), coalesce(excluded.received, stored.received))
       IS DISTINCT FROM
       (stored.marketplace_state, stored.opened_at, stored.modified_at, stored.closed_at, stored.received))
RETURNING (xmax = 0)
"""
_STORE_ITEMS = """
INSERT INTO care_record_items AS stored (account, care_id, item_id, quantity)
SELECT %s, care_id, item_id, quantity
FROM unnest(%s::text[], %s::text[], %s::integer[]) AS about (care_id, item_id, quantity)
ON CONFLICT (account, care_id, item_id) DO UPDATE SET quantity = excluded.quantity
WHERE excluded.quantity IS NOT NULL AND excluded.quantity IS DISTINCT FROM stored.quantity
"""

_STORED_ITEMS = """
SELECT item_id, quantity FROM care_record_items WHERE account = %s AND care_id = %s ORDER BY item_id
"""
_ITEMS_OF = "SELECT DISTINCT item_id FROM care_record_items WHERE account = %s AND care_id = ANY(%s)"


def sync(pass_: RunningPass) -> None:
    """Runs one pass. Raises MarketplaceError if the pass could not be complete.

    A record whose detail can't be fetched is put off, see `put_off`.
    """
    start = pass_start(pass_, pass_.request.start)
    # Marketplaces filter the list by the minute: start a whole minute earlier.
    start = start.replace(second=0, microsecond=0) - timedelta(minutes=1)
    pass_.add(PassSummary(range_start=start))
    _note_restocking(pass_)
    settled = _settled_versions(pass_)
    fetches = SingleFetches()
    end = None
    for page in until_end(pass_, "modified", pass_.adapter.care_records(start)):
        end = end or window_end(pass_)
        try:
            _merge(pass_, page, settled, fetches)
        finally:
            pass_.note_progress()
    retry_rejected(pass_, Selection(pass_.lane.account, "care"), limit=RETRIES_PER_PASS)
    finish(pass_, end or window_end(pass_))
    if pass_.request.end is None:
        note_passed(pass_.connection, pass_.lane.account)


def retry_rejected(
    pass_: RunningPass, selection: Selection, *, limit: int | None, by: By | None = None
) -> MarketplaceError | None:
    """Tries the selected care records again: at most `limit` of them, those that were tried longest ago first.

    Each is fetched anew if the list does not have it whole. One that fails again stays as it is, with the date of its
    first rejection. Ends early if the marketplace is down, and returns why. `by`: the person who tries them; None: a
    pass does.
    """
    fetches = SingleFetches()
    for kept in to_retry(pass_.connection, selection, limit=limit, before=pass_.began):
        if kept.key.startswith(HASH_PREFIX):
            continue  # it has no id to fetch it by
        try:
            checked = _check(pass_, RawRecord(kept.key, kept.raw, kept.fingerprint))
        except RecordRejectedError as problem:
            fetches.note_success()
            waits = is_cut_off(kept.raw, kept.reasons)  # the list has the record whole once it is smaller
            reasons = kept.reasons if waits else problem.reasons
            note_tried(pass_.connection, kept.account, kept.kind, kept.key, reasons, by)
            if waits:
                still = RejectedRecord(kept.kind, kept.key, kept.raw, reasons)
                pass_.add(PassSummary(put_off=1, problems=[still.one_line()]))
        except MarketplaceError as problem:
            note_tried(pass_.connection, kept.account, kept.kind, kept.key, with_reason(kept.reasons, problem), by)
            pass_.add(summary_of("care", kept.key, problem))
            if fetches.is_down(problem):
                return problem
        else:
            fetches.note_success()
            with pass_.connection.transaction():
                note_retry(pass_.connection, kept.account, kept.kind, kept.key, by)
                stored = _store(pass_, [checked], [])
                if not stored.rejected:  # a detail may be older than the list that named it
                    resolve(pass_.connection, kept.account, kept.kind, {kept.key: None})
            pass_.add(stored)
    return None


def _note_restocking(pass_: RunningPass) -> None:
    if pass_.request.account.settings.restock_returns:
        note_restocking(pass_.connection, [pass_.lane.account])
    else:
        forget_restocking(pass_.connection, pass_.lane.account)


class CheckedCare(NamedTuple):
    """A care record that can be stored."""

    care: CareRecord
    record: RawRecord
    whole: str
    """The whole record's JSON."""
    flaws: Sequence[Flaw]


def _settled_versions(pass_: RunningPass) -> dict[str, set[bytes]]:
    """The versions of records, by key, that the list need not bring again.

    Those that a person dismissed, and those that were put off: only a retry fetches these, so that some records in a
    row that can't be had don't fail every pass.
    """
    kept = selected(pass_.connection, Selection(pass_.lane.account, "care"))
    versions = {one.key: {one.fingerprint} for one in kept if is_put_off(one.reasons)}
    for key, fingerprint in dismissed_versions(pass_.connection, pass_.lane.account, "care").items():
        versions.setdefault(key, set()).add(fingerprint)
    return versions


def _merge(
    pass_: RunningPass, page: Sequence[RawRecord], settled: Mapping[str, set[bytes]], fetches: SingleFetches
) -> None:
    """Stores what is new or changed in a page of the list. Raises MarketplaceError if the marketplace is down.

    What was fetched before that is stored.
    """
    stored = {} if pass_.request.reread else _fingerprints(pass_, [record.record_id for record in page])
    new_or_changed = [
        record
        for record in page
        if stored.get(record.record_id) != record.fingerprint
        and record.fingerprint not in settled.get(record.record_id, ())
    ]
    pass_.add(PassSummary(fetched=len(page) - len(new_or_changed), unchanged=len(page) - len(new_or_changed)))
    with _storing(pass_) as (checked, rejected):
        for record in new_or_changed:
            if record.is_cut_off:
                kept = put_off_cut_off("care", record)
                keep(pass_.connection, pass_.lane.account, [kept], pass_.adapter.latest_time, pass_.kept_fields)
                pass_.add(PassSummary(fetched=1, put_off=1, problems=[kept.one_line()]))
                continue
            try:
                checked.append(_check(pass_, record))
                pass_.sample.take([msgspec.structs.replace(record, raw=checked[-1].whole.encode())])
                fetches.note_success()
            except RecordRejectedError as problem:
                fetches.note_success()
                rejected.append(RejectedRecord.of("care", record, problem.reasons))
            except MarketplaceError as problem:
                is_down = fetches.is_down(problem)
                if not problem.concerns_all_calls:
                    kept = put_off("care", record, problem)
                    latest, fields = pass_.adapter.latest_time, pass_.kept_fields
                    keep(pass_.connection, pass_.lane.account, [kept], latest, fields)
                    pass_.add(replace(summary_of("care", record.record_id, problem), fetched=1))
                if is_down:
                    raise


@contextmanager
def _storing(pass_: RunningPass) -> Generator[tuple[list[CheckedCare], list[RejectedRecord]]]:
    """Stores what the block puts into the two lists, however it ends."""
    checked: list[CheckedCare] = []
    rejected: list[RejectedRecord] = []
    try:
        yield checked, rejected
    finally:
        pass_.add(replace(_store(pass_, checked, rejected), fetched=len(checked) + len(rejected)))


def _fingerprints(pass_: RunningPass, care_ids: list[str]) -> dict[str, bytes]:
    rows = pass_.connection.execute(
        "SELECT care_id, fingerprint FROM care_records WHERE account = %s AND care_id = ANY(%s)",
        [pass_.lane.account, care_ids],
    )
    return {care_id: bytes(fingerprint) for care_id, fingerprint in rows}


def _check(pass_: RunningPass, record: RawRecord) -> CheckedCare:
    """The care record, whole, decoded and checked. Raises RecordRejectedError with every reason against it.

    Raises MarketplaceError if it can't be fetched.
    """
    if not record.record_id:
        raise RecordRejectedError([Reason("id", "is missing or can't be read", "the care record's id")])
    with of_adapter("care_record"):
        whole = pass_.adapter.care_record(record)
    return check_care(pass_.connection, pass_.lane.account, pass_.adapter, record, whole)


def check_care(connection: Connection, account: str, adapter: Adapter, record: RawRecord, whole: bytes) -> CheckedCare:
    """A care record decoded and checked; `whole`: its complete JSON. Makes no call.

    A copy that leaves its items out is about those that are stored. Raises RecordRejectedError with every reason
    against it, and OtherRecordError if `whole` is another record.
    """
    lenient = decode_leniently(adapter.decode_care_record, adapter.care_struct, whole)
    check_types(lenient.value, CareRecord)
    decoded = BelievedTimes(adapter.latest_time).checked(lenient)
    if decoded.value.care_id.strip() != record.record_id:
        raise OtherRecordError(
            f"the marketplace answered the request for {shown_id(record.record_id)} with another record"
        )
    care, as_stored = _with_stored_items(connection, account, without_odd_times(decoded.value, record))
    care, flaws = mend_care_record(care, decoded.flaws)
    return CheckedCare(care, record, decoded.raw.decode(), (*decoded.flaws, *record.flaws, *as_stored, *flaws))


def _with_stored_items(connection: Connection, account: str, care: CareRecord) -> tuple[CareRecord, list[Flaw]]:
    """The care record with the items of its stored copy and a flaw, if it names none and needs some."""
    if care.items or care.state == "cancelled":
        return care, []
    stored = connection.execute(_STORED_ITEMS, [account, care.care_id.strip()]).fetchall()
    if not stored:
        return care, []
    items = [CareItem(item_id, quantity) for item_id, quantity in stored]
    return msgspec.structs.replace(care, items=items), [Flaw("items", "names no order item", AS_STORED)]


def _store(pass_: RunningPass, checked: Sequence[CheckedCare], rejected: Sequence[RejectedRecord]) -> PassSummary:
    """Stores checked records, links them to their items, and keeps the rejected ones, in one transaction."""
    connection, account = pass_.connection, pass_.lane.account
    with connection.transaction():
        restocks, kept = pass_.request.account.settings.restock_returns, pass_.kept_fields
        result = store_checked(connection, account, checked, kept, restocks=restocks)
        all_rejected = [*rejected, *result.rejected]
        keep(connection, account, all_rejected, pass_.adapter.latest_time, kept)
        rejected_ids = {record.record_id for record in all_rejected}
        passed = {one.care.care_id: one.record.modified_at or one.care.modified_at for one in checked}
        resolve(connection, account, "care", {key: at for key, at in passed.items() if key not in rejected_ids})
    return PassSummary(
        created=result.created,
        changed=result.changed,
        unchanged=len(checked) - result.created - result.changed - len(result.rejected),
        linked=result.linked,
        rejected=len(all_rejected),
        flawed=result.flawed,
        problems=[rejected.one_line() for rejected in all_rejected],
    )


class StoredCare(NamedTuple):
    """What became of checked care records; the others are unchanged."""

    created: int
    changed: int
    linked: int
    """How many items have another care record than before."""
    flawed: int
    rejected: Sequence[RejectedRecord]
    """Those that PostgreSQL can't store."""


def store_checked(
    connection: Connection, account: str, checked: Sequence[CheckedCare], kept: KeptFields, *, restocks: bool
) -> StoredCare:
    """Stores checked records with their flaws, and links them to their items. Call it in a transaction.

    `kept`: what stays of a record whose buyer's data is blanked. `restocks`: whether the account's returns are booked
    to stock.
    """
    before = stored_closings(connection, account, [one.care.care_id for one in checked]) if restocks else None
    items = {one.care.care_id: [item.item_id for item in one.care.items] for one in checked}
    blanked = blanked_care(connection, account, items)
    outcomes = [_store_one(connection, account, one, kept if one.care.care_id in blanked else None) for one in checked]
    rejected = [outcome for outcome in outcomes if isinstance(outcome, RejectedRecord)]
    # An older version than the stored one says nothing about the items.
    current = [o.care for o, became in zip(checked, outcomes, strict=True) if became in ("created", "changed")]
    linked = _link(connection, account, current)
    if before is not None:
        note_due_returns(connection, account, current, before)
    rejected_ids = {record.record_id for record in rejected}
    stored = [one for one in checked if one.care.care_id not in rejected_ids]
    flaws = {one.care.care_id: one.flaws for one in stored if one.flaws}
    RecordFlaws(connection, account, "care").replace([one.care.care_id for one in stored], flaws)
    return StoredCare(outcomes.count("created"), outcomes.count("changed"), linked, len(flaws), rejected)


def _store_one(
    connection: Connection, account: str, checked: CheckedCare, kept: KeptFields | None
) -> Literal["created", "changed", "unchanged"] | RejectedRecord:
    """Stores a record, of its JSON only what is `kept`; None: all of it."""
    care, record = checked.care, checked.record
    whole = checked.whole if kept is None else kept.part_of("care", checked.whole.encode()).decode()
    values = [
        account, care.care_id, care.kind, care.state, care.marketplace_state,
        care.opened_at, care.modified_at, care.closed_at, care.received, whole, record.fingerprint,
        kept is not None,
    ]  # fmt: skip
    try:
        with connection.transaction():
            row = connection.execute(_STORE, values).fetchone()
    except DataError as error:
        return RejectedRecord.of("care", record, [reason_of(error)])
    if row is None:
        return "unchanged"  # it is an older version than the stored one
    return "created" if row[0] else "changed"


def _link(connection: Connection, account: str, records: Sequence[CareRecord]) -> int:
    """Notes which items the records are about, and links those that are stored; returns how many links changed."""
    pieces = {(care.care_id, item.item_id): item.quantity for care in records for item in care.items}
    care_ids = sorted({care.care_id for care in records})
    if pieces:
        about = sorted(pieces)
        columns = [[care_id for care_id, _ in about], [item_id for _, item_id in about], [pieces[key] for key in about]]
        connection.execute(_STORE_ITEMS, [account, *columns])
    # A record may have been cancelled: all of its items, also those that it no longer names, may need another link.
    rows = connection.execute(_ITEMS_OF, [account, care_ids])
    return care_links.link(connection, account, [item_id for (item_id,) in rows])
