"""`care`: the latest care records since the watermark; each is linked to its items by their `care_id`."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal, NamedTuple

from psycopg.errors import DataError

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import RequestRefusedError
from orders_sync.marketplaces.kit.lenient import decode_leniently
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import CareRecord, Flaw, Reason, RecordRejectedError
from orders_sync.sync import care_links
from orders_sync.sync.isolate_rejected import reason_of
from orders_sync.sync.record_flaws import RecordFlaws
from orders_sync.sync.rejected_records import HASH_PREFIX, RejectedRecord, keep, resolve, unresolved
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.validate import mend_care_record
from orders_sync.sync.window import RETRIES_PER_PASS, finish, pass_start, until_end, window_end

_STORE = """
INSERT INTO care_records AS stored (
  account, care_id, kind, state, marketplace_state, opened_at, modified_at, closed_at, raw, fingerprint
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s)
ON CONFLICT (account, care_id) DO UPDATE SET
  kind = CASE WHEN excluded.kind = 'other' THEN stored.kind ELSE excluded.kind END,
  state = CASE WHEN excluded.state = 'unknown' AND excluded.marketplace_state IS NULL
          THEN stored.state ELSE excluded.state END,
  marketplace_state = coalesce(excluded.marketplace_state, stored.marketplace_state),
  opened_at = coalesce(excluded.opened_at, stored.opened_at),
  modified_at = coalesce(excluded.modified_at, stored.modified_at),
  closed_at = coalesce(excluded.closed_at, stored.closed_at),
  raw = excluded.raw, fingerprint = excluded.fingerprint, stored_at = now(), buyer_data_blanked_at = NULL
WHERE stored.modified_at IS NULL OR excluded.modified_at IS NULL OR excluded.modified_at >= stored.modified_at
RETURNING (xmax = 0)
"""
_STORE_ITEMS = """
INSERT INTO care_record_items AS stored (account, care_id, item_id, quantity)
SELECT %s, care_id, item_id, quantity
FROM unnest(%s::text[], %s::text[], %s::integer[]) AS about (care_id, item_id, quantity)
ON CONFLICT (account, care_id, item_id) DO UPDATE SET quantity = excluded.quantity
WHERE excluded.quantity IS NOT NULL AND excluded.quantity IS DISTINCT FROM stored.quantity
"""

_ITEMS_OF = "SELECT DISTINCT item_id FROM care_record_items WHERE account = %s AND care_id = ANY(%s)"


def sync(pass_: RunningPass) -> None:
    """Runs one pass. Raises MarketplaceError if the pass could not be complete."""
    start = pass_start(pass_, pass_.request.start)
    # Marketplaces filter the list by the minute: start a whole minute earlier.
    start = start.replace(second=0, microsecond=0) - timedelta(minutes=1)
    pass_.add(PassSummary(range_start=start))
    end = None
    for page in until_end(pass_, "modified", pass_.adapter.care_records(start)):
        end = end or window_end(pass_)
        pass_.add(replace(_merge(pass_, page), fetched=len(page)))
        pass_.note_progress()
    retry_rejected(pass_, limit=RETRIES_PER_PASS)
    finish(pass_, end or window_end(pass_))


def retry_rejected(pass_: RunningPass, *, limit: int | None) -> None:
    """Tries rejected care records again: at most `limit` of them, those that were tried longest ago first.

    Each is fetched anew if the list does not have it whole. One that fails again stays as it is, with the date of its
    first rejection.
    """
    kept = unresolved(pass_.connection, pass_.lane.account, "care", limit=limit, before=pass_.began)
    for key, raw in kept.items():
        if key.startswith(HASH_PREFIX):
            continue  # it has no id to fetch it by
        with contextlib.suppress(RecordRejectedError, RequestRefusedError):
            pass_.add(_store(pass_, [_check(pass_, RawRecord(key, raw, b""))], []))


class _CheckedCare(NamedTuple):
    care: CareRecord
    record: RawRecord
    whole: str
    """The whole record's JSON."""
    flaws: Sequence[Flaw]


def _merge(pass_: RunningPass, page: Sequence[RawRecord]) -> PassSummary:
    """Stores what is new or changed in a page of the list."""
    stored = _fingerprints(pass_, [record.record_id for record in page])
    new_or_changed = [record for record in page if stored.get(record.record_id) != record.fingerprint]
    checked: list[_CheckedCare] = []
    rejected: list[RejectedRecord] = []
    for record in new_or_changed:
        try:
            checked.append(_check(pass_, record))
        except RecordRejectedError as problem:
            rejected.append(RejectedRecord("care", record.record_id, record.raw, problem.reasons))
    result = _store(pass_, checked, rejected)
    return replace(result, unchanged=result.unchanged + len(page) - len(new_or_changed))


def _fingerprints(pass_: RunningPass, care_ids: list[str]) -> dict[str, bytes]:
    rows = pass_.connection.execute(
        "SELECT care_id, fingerprint FROM care_records WHERE account = %s AND care_id = ANY(%s)",
        [pass_.lane.account, care_ids],
    )
    return {care_id: bytes(fingerprint) for care_id, fingerprint in rows}


def _check(pass_: RunningPass, record: RawRecord) -> _CheckedCare:
    """The care record, whole, decoded and checked. Raises RecordRejectedError with every reason against it."""
    if not record.record_id:
        raise RecordRejectedError([Reason("id", "is missing or can't be read", "the care record's id")])
    adapter = pass_.adapter
    decoded = decode_leniently(adapter.decode_care_record, adapter.care_struct, adapter.care_record(record))
    care, flaws = mend_care_record(decoded.value)
    return _CheckedCare(care, record, decoded.raw.decode(), (*decoded.flaws, *flaws))


def _store(pass_: RunningPass, checked: Sequence[_CheckedCare], rejected: Sequence[RejectedRecord]) -> PassSummary:
    """Stores checked records, links them to their items, and keeps the rejected ones, in one transaction."""
    connection, account = pass_.connection, pass_.lane.account
    with connection.transaction():
        outcomes = [_store_one(connection, account, one) for one in checked]
        all_rejected = [*rejected, *(outcome for outcome in outcomes if isinstance(outcome, RejectedRecord))]
        keep(connection, account, all_rejected)
        rejected_ids = {record.record_id for record in all_rejected}
        stored = [one.care for one in checked if one.care.care_id not in rejected_ids]
        # An older version than the stored one says nothing about the items.
        current = [o.care for o, became in zip(checked, outcomes, strict=True) if became in ("created", "changed")]
        linked = _link(connection, account, current)
        resolve(connection, account, "care", [care.care_id for care in stored])
        flaws = {one.care.care_id: one.flaws for one in checked if one.flaws and one.care.care_id not in rejected_ids}
        RecordFlaws(connection, account, "care").replace([care.care_id for care in stored], flaws)
    return PassSummary(
        created=outcomes.count("created"),
        changed=outcomes.count("changed"),
        unchanged=outcomes.count("unchanged"),
        linked=linked,
        rejected=len(all_rejected),
        flawed=len(flaws),
        problems=[rejected.one_line() for rejected in all_rejected],
    )


def _store_one(
    connection: Connection, account: str, checked: _CheckedCare
) -> Literal["created", "changed", "unchanged"] | RejectedRecord:
    care, record = checked.care, checked.record
    values = [
        account, care.care_id, care.kind, care.state, care.marketplace_state,
        care.opened_at, care.modified_at, care.closed_at, checked.whole, record.fingerprint,
    ]  # fmt: skip
    try:
        with connection.transaction():
            row = connection.execute(_STORE, values).fetchone()
    except DataError as error:
        return RejectedRecord("care", record.record_id, record.raw, [reason_of(error)])
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
