"""`care`: the latest care records since the watermark; each lands on its item as `care_id`."""

import contextlib
from datetime import timedelta
from typing import NamedTuple

from psycopg.errors import DataError

from orders_sync.marketplaces.base import RawRecord, Refused
from orders_sync.sync import care_links, rejected
from orders_sync.sync.context import Pass
from orders_sync.sync.orders_pass import RETRIES_A_PASS, finish, pass_start, up_to_end, window_end
from orders_sync.sync.records import CareRecord, Reason, Rejected
from orders_sync.sync.rejected import RejectedRecord
from orders_sync.sync.validate import check_care_record

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


def sync(work: Pass) -> None:
    """One pass. Raises a MarketplaceError where the pass could not be whole."""
    start = pass_start(work, work.request.start)
    # The list is asked by the minute: start a whole minute earlier.
    start = start.replace(second=0, microsecond=0) - timedelta(minutes=1)
    work.summary.range_start = start
    ends = None
    for page in up_to_end(work, "modified", work.adapter.care_records(start)):
        ends = ends or window_end(work)
        _merge_page(work, page)
        work.note_progress()
    retry_rejected(work, most=RETRIES_A_PASS)
    finish(work, ends or window_end(work))


def retry_rejected(work: Pass, *, most: int | None) -> None:
    """Tries rejected care records again, each asked for anew where the list is not whole.

    At most `most` of them. One that still fails stays as it is, with the date it was first rejected.
    """
    kept = rejected.unresolved(work.connection, work.lane.account, "care", most=most, before=work.began)
    for record_id, raw in kept.items():
        if record_id.startswith("hash:"):
            continue  # nothing to ask for: it has no id of its own
        with contextlib.suppress(Rejected, Refused):
            _store_all(work, [_checked(work, RawRecord(record_id, raw, b""))], [])


class _Checked(NamedTuple):
    care: CareRecord
    record: RawRecord
    whole: str
    """The whole record's JSON."""


def _checked(work: Pass, record: RawRecord) -> _Checked:
    """The care record, whole, decoded and checked. Raises Rejected with every reason why it can't be stored."""
    if not record.record_id:
        raise Rejected([Reason("id", "is missing or can't be read", "the care record's id")])
    whole = work.adapter.care_record(record)
    care = work.adapter.decode_care_record(whole)
    check_care_record(care)
    try:
        return _Checked(care, record, whole.decode())
    except UnicodeDecodeError:
        raise Rejected([Reason("record", "holds bytes that are not UTF-8", "UTF-8 text")]) from None


def _merge_page(work: Pass, page: list[RawRecord]) -> None:
    summary = work.summary
    summary.fetched += len(page)
    known = _fingerprints(work, [record.record_id for record in page])
    changed: list[_Checked] = []
    refused: list[RejectedRecord] = []
    for record in page:
        if known.get(record.record_id) == record.fingerprint:
            summary.unchanged += 1
            continue
        try:
            changed.append(_checked(work, record))
        except Rejected as problem:
            refused.append(RejectedRecord("care", record.record_id, record.raw, problem.reasons))
            summary.problems.append(f"care record {record.record_id or 'without id'} rejected: {problem}")
    _store_all(work, changed, refused)


def _store_all(work: Pass, changed: list[_Checked], refused: list[RejectedRecord]) -> None:
    """Stores care records and links them to their items, in one transaction."""
    with work.connection.transaction():
        for checked in changed:
            _store(work, checked, refused)
        rejected.keep(work.connection, work.lane.account, refused)
        bad = {record.record_id for record in refused}
        stored = [checked.care for checked in changed if checked.care.care_id not in bad]
        pairs = sorted({(care.care_id, item_id) for care in stored for item_id in care.item_ids})
        if pairs:
            care_ids, item_ids = map(list, zip(*pairs, strict=True))
            work.connection.execute(_STORE_ITEMS, [work.lane.account, care_ids, item_ids])
            work.summary.linked += care_links.link(work.connection, work.lane.account, item_ids)
        good = [care.care_id for care in stored]
        rejected.resolve(work.connection, work.lane.account, "care", good)
    work.summary.rejected += len(refused)


def _store(work: Pass, checked: _Checked, refused: list[RejectedRecord]) -> None:
    care, record, text = checked
    values = [
        work.lane.account, care.care_id, care.kind, care.state, care.marketplace_state,
        care.opened_at, care.modified_at, care.closed_at, text, record.fingerprint,
    ]  # fmt: skip
    try:
        with work.connection.transaction():
            row = work.connection.execute(_STORE, values).fetchone()
    except DataError as error:
        reason = Reason("record", f"PostgreSQL can't store it (SQLSTATE {error.sqlstate})", "valid JSON text")
        refused.append(RejectedRecord("care", record.record_id, record.raw, [reason]))
        return
    if row is None:
        work.summary.unchanged += 1  # an older copy
    elif row[0]:
        work.summary.created += 1
    else:
        work.summary.changed += 1


def _fingerprints(work: Pass, care_ids: list[str]) -> dict[str, bytes]:
    rows = work.connection.execute(
        "SELECT care_id, fingerprint FROM care_records WHERE account = %s AND care_id = ANY(%s)",
        [work.lane.account, care_ids],
    )
    return {care_id: bytes(mark) for care_id, mark in rows}
