"""`care`: the latest care records since the watermark; each lands on its item as `care_id`."""

import contextlib
from datetime import timedelta
from typing import NamedTuple

from psycopg.errors import DataError

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import RequestRefusedError
from orders_sync.model.records import CareRecord, Reason, RecordRejectedError
from orders_sync.sync import care_links
from orders_sync.sync.rejected_records import RejectedRecord, keep, resolve, unresolved
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.validate import check_care_record
from orders_sync.sync.window import RETRIES_PER_PASS, finish, pass_start, until_end, window_end

_STORE = """
INSERT INTO care_records AS known (
  account, care_id, kind, state, marketplace_state, opened_at, modified_at, closed_at, raw, fingerprint
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s)
ON CONFLICT (account, care_id) DO UPDATE SET
  kind = CASE WHEN excluded.kind = 'other' THEN known.kind ELSE excluded.kind END,
  state = CASE WHEN excluded.state = 'unknown' AND excluded.marketplace_state IS NULL
          THEN known.state ELSE excluded.state END,
  marketplace_state = coalesce(excluded.marketplace_state, known.marketplace_state),
  opened_at = coalesce(excluded.opened_at, known.opened_at),
  modified_at = coalesce(excluded.modified_at, known.modified_at),
  closed_at = coalesce(excluded.closed_at, known.closed_at),
  raw = excluded.raw, fingerprint = excluded.fingerprint, stored_at = now(), buyer_data_blanked_at = NULL
WHERE known.modified_at IS NULL OR excluded.modified_at IS NULL OR excluded.modified_at >= known.modified_at
RETURNING (xmax = 0)
"""
_STORE_ITEMS = """
INSERT INTO care_record_items (account, care_id, item_id)
SELECT %s, care_id, item_id FROM unnest(%s::text[], %s::text[]) AS about (care_id, item_id)
ON CONFLICT DO NOTHING
"""


def sync(pass_: RunningPass) -> None:
    """One pass. Raises a MarketplaceError where the pass could not be whole."""
    start = pass_start(pass_, pass_.request.start)
    # The list is asked by the minute: start a whole minute earlier.
    start = start.replace(second=0, microsecond=0) - timedelta(minutes=1)
    pass_.summary.range_start = start
    ends = None
    for page in until_end(pass_, "modified", pass_.adapter.care_records(start)):
        ends = ends or window_end(pass_)
        _merge_page(pass_, page)
        pass_.note_progress()
    retry_rejected(pass_, limit=RETRIES_PER_PASS)
    finish(pass_, ends or window_end(pass_))


def retry_rejected(pass_: RunningPass, *, limit: int | None) -> None:
    """Tries rejected care records again, each asked for anew where the list is not whole.

    At most `most` of them. One that still fails stays as it is, with the date it was first rejected.
    """
    kept = unresolved(pass_.connection, pass_.lane.account, "care", limit=limit, before=pass_.began)
    for record_id, raw in kept.items():
        if record_id.startswith("hash:"):
            continue  # nothing to ask for: it has no id of its own
        with contextlib.suppress(RecordRejectedError, RequestRefusedError):
            _store_all(pass_, [_checked(pass_, RawRecord(record_id, raw, b""))], [])


class _Checked(NamedTuple):
    care: CareRecord
    record: RawRecord
    whole: str
    """The whole record's JSON."""


def _checked(pass_: RunningPass, record: RawRecord) -> _Checked:
    """The care record, whole, decoded and checked. Raises Rejected with every reason why it can't be stored."""
    if not record.record_id:
        raise RecordRejectedError([Reason("id", "is missing or can't be read", "the care record's id")])
    whole = pass_.adapter.care_record(record)
    care = pass_.adapter.decode_care_record(whole)
    check_care_record(care)
    try:
        return _Checked(care, record, whole.decode())
    except UnicodeDecodeError:
        raise RecordRejectedError([Reason("record", "holds bytes that are not UTF-8", "UTF-8 text")]) from None


def _merge_page(pass_: RunningPass, page: list[RawRecord]) -> None:
    summary = pass_.summary
    summary.fetched += len(page)
    known = _fingerprints(pass_, [record.record_id for record in page])
    changed: list[_Checked] = []
    refused: list[RejectedRecord] = []
    for record in page:
        if known.get(record.record_id) == record.fingerprint:
            summary.unchanged += 1
            continue
        try:
            changed.append(_checked(pass_, record))
        except RecordRejectedError as problem:
            refused.append(RejectedRecord("care", record.record_id, record.raw, problem.reasons))
            summary.problems.append(f"care record {record.record_id or 'without id'} rejected: {problem}")
    _store_all(pass_, changed, refused)


def _store_all(pass_: RunningPass, changed: list[_Checked], refused: list[RejectedRecord]) -> None:
    """Stores care records and links them to their items, in one transaction."""
    with pass_.connection.transaction():
        for checked in changed:
            _store(pass_, checked, refused)
        keep(pass_.connection, pass_.lane.account, refused)
        bad = {record.record_id for record in refused}
        stored = [checked.care for checked in changed if checked.care.care_id not in bad]
        pairs = sorted({(care.care_id, item_id) for care in stored for item_id in care.item_ids})
        if pairs:
            care_ids, item_ids = map(list, zip(*pairs, strict=True))
            pass_.connection.execute(_STORE_ITEMS, [pass_.lane.account, care_ids, item_ids])
            pass_.summary.linked += care_links.link(pass_.connection, pass_.lane.account, item_ids)
        good = [care.care_id for care in stored]
        resolve(pass_.connection, pass_.lane.account, "care", good)
    pass_.summary.rejected += len(refused)


def _store(pass_: RunningPass, checked: _Checked, refused: list[RejectedRecord]) -> None:
    care, record, text = checked
    values = [
        pass_.lane.account, care.care_id, care.kind, care.state, care.marketplace_state,
        care.opened_at, care.modified_at, care.closed_at, text, record.fingerprint,
    ]  # fmt: skip
    try:
        with pass_.connection.transaction():
            row = pass_.connection.execute(_STORE, values).fetchone()
    except DataError as error:
        reason = Reason("record", f"PostgreSQL can't store it (SQLSTATE {error.sqlstate})", "valid JSON text")
        refused.append(RejectedRecord("care", record.record_id, record.raw, [reason]))
        return
    if row is None:
        pass_.summary.unchanged += 1  # an older copy
    elif row[0]:
        pass_.summary.created += 1
    else:
        pass_.summary.changed += 1


def _fingerprints(pass_: RunningPass, care_ids: list[str]) -> dict[str, bytes]:
    rows = pass_.connection.execute(
        "SELECT care_id, fingerprint FROM care_records WHERE account = %s AND care_id = ANY(%s)",
        [pass_.lane.account, care_ids],
    )
    return {care_id: bytes(mark) for care_id, mark in rows}
