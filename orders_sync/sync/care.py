"""`care`: the latest care records since the watermark; each lands on its item as `care_id`."""

from datetime import timedelta

from psycopg.errors import DataError

from orders_sync.marketplaces.base import RawRecord
from orders_sync.sync import care_links, rejected
from orders_sync.sync.context import Pass
from orders_sync.sync.orders_pass import finish, pass_start, window_end
from orders_sync.sync.records import CareRecord, Reason, Rejected
from orders_sync.sync.rejected import RejectedRecord
from orders_sync.sync.validate import check_care_record

_STORE = """
INSERT INTO care_records AS known (
  account, care_id, item_id, kind, state, marketplace_state, opened_at, modified_at, closed_at, raw, fingerprint
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s)
ON CONFLICT (account, care_id) DO UPDATE SET
  item_id = coalesce(excluded.item_id, known.item_id),
  kind = CASE WHEN excluded.kind = 'other' THEN known.kind ELSE excluded.kind END,
  state = CASE WHEN excluded.state = 'unknown' AND excluded.marketplace_state IS NULL
          THEN known.state ELSE excluded.state END,
  marketplace_state = coalesce(excluded.marketplace_state, known.marketplace_state),
  opened_at = coalesce(excluded.opened_at, known.opened_at),
  modified_at = coalesce(excluded.modified_at, known.modified_at),
  closed_at = coalesce(excluded.closed_at, known.closed_at),
  raw = excluded.raw, fingerprint = excluded.fingerprint, stored_at = now()
WHERE known.modified_at IS NULL OR excluded.modified_at IS NULL OR excluded.modified_at >= known.modified_at
RETURNING (xmax = 0)
"""


def sync(work: Pass) -> None:
    """One pass. Raises a MarketplaceError where the pass could not be whole."""
    start = pass_start(work, work.request.start)
    # The list is asked by the minute: start a whole minute earlier.
    start = start.replace(second=0, microsecond=0) - timedelta(minutes=1)
    work.summary.range_start = start
    ends = None
    for page in work.adapter.care_records(start):
        ends = ends or window_end(work)
        _merge_page(work, page)
        work.note_progress()
    finish(work, ends or window_end(work))


def _merge_page(work: Pass, page: list[RawRecord]) -> None:
    summary = work.summary
    summary.fetched += len(page)
    known = _fingerprints(work, [record.record_id for record in page])
    changed: list[tuple[CareRecord, RawRecord, str]] = []
    refused: list[RejectedRecord] = []
    for record in page:
        if known.get(record.record_id) == record.fingerprint:
            summary.unchanged += 1
            continue
        try:
            if not record.record_id:
                raise Rejected([Reason("id", "is missing or can't be read", "the care record's id")])
            whole = work.adapter.care_record(record)
            care = work.adapter.decode_care_record(whole)
            check_care_record(care)
            changed.append((care, record, whole.decode()))
        except (Rejected, UnicodeDecodeError) as problem:
            reasons = (
                problem.reasons
                if isinstance(problem, Rejected)
                else [Reason("record", "holds bytes that are not UTF-8", "UTF-8 text")]
            )
            refused.append(RejectedRecord("care", record.record_id, record.raw, reasons))
            summary.problems.append(
                f"care record {record.record_id or 'without id'} rejected: "
                + "; ".join(f"{reason.where} {reason.what}" for reason in reasons)
            )
    with work.connection.transaction():
        for care, record, text in changed:
            _store(work, care, record, text, refused)
        items = [care.item_id for care, _, _ in changed if care.item_id is not None]
        if items:
            summary.linked += care_links.link(work.connection, work.lane.account, items)
        rejected.keep(work.connection, work.lane.account, refused)
        bad = {record.record_id for record in refused}
        good = [care.care_id for care, _, _ in changed if care.care_id not in bad]
        rejected.resolve(work.connection, work.lane.account, "care", good)
    summary.rejected += len(refused)


def _store(work: Pass, care: CareRecord, record: RawRecord, text: str, refused: list[RejectedRecord]) -> None:
    values = [
        work.lane.account, care.care_id, care.item_id, care.kind, care.state, care.marketplace_state,
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
