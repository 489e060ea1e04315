"""Rejected records: they are kept unchanged, with their reasons, until they pass the check or a person dismisses them.

A dismissed record is not tried again and not counted. It comes back if the marketplace sends a changed version.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.model.keys import MAX_ID_LENGTH, UNSTORABLE
from orders_sync.model.known_credentials import masked
from orders_sync.model.records import Reason
from orders_sync.model.shown_ids import shown_id
from orders_sync.privacy.erased import blanked_records
from orders_sync.sync.believed_times import BelievedTimes

HASH_PREFIX = "hash:"
"""Begins the key of a rejected record that has no usable id."""


class RejectedRecord(msgspec.Struct, frozen=True):
    """A record that can't be stored as an order or care record: as the marketplace sent it, with every reason."""

    kind: str
    """`order` or `care`."""
    record_id: str
    """The marketplace's id; empty if the record has none that can be used."""
    raw: bytes
    reasons: Sequence[Reason]
    fingerprint: bytes = b""
    """As of the raw record; empty if it is not known."""
    modified_at: datetime | None = None
    """As of the raw record; None if it is not known."""

    @classmethod
    def of(cls, kind: str, record: RawRecord, reasons: Sequence[Reason]) -> "RejectedRecord":
        """A record of a list, or one that was fetched, that can't be stored."""
        return cls(kind, record.record_id, record.raw, reasons, record.fingerprint, record.modified_at)

    def one_line(self) -> str:
        """The record and its reasons in one line, without buyers' data."""
        reasons = "; ".join(f"{reason.where} {reason.what}" for reason in self.reasons)
        what = "put off" if is_put_off(self.reasons) else "rejected"
        return f"{title_of(self.kind)} {shown_id(self.record_id) or 'without id'} {what}: {reasons}"


NOT_FETCHED = "could not be fetched"


def not_fetched(cause: str) -> Reason:
    """Why a record is put off; the same text for all records with the same cause."""
    return Reason("record", f"{NOT_FETCHED}: {cause}", "the record")


def is_put_off(reasons: Sequence[Reason]) -> bool:
    """Whether a record is kept because it could not be fetched."""
    return any(reason.what.startswith(NOT_FETCHED) for reason in reasons)


def title_of(kind: str) -> str:
    """What a kind of record is called in a message."""
    return "care record" if kind == "care" else kind


def record_key(record_id: str, raw: bytes) -> str:
    """The key of a rejected record: its id, or a hash of the record if it has no id that can be used."""
    usable = record_id and len(record_id) <= MAX_ID_LENGTH and not UNSTORABLE.search(record_id)
    return record_id if usable else HASH_PREFIX + hashlib.blake2b(raw, digest_size=12).hexdigest()


def _key(record: RejectedRecord) -> str:
    return record_key(record.record_id, record.raw)


def keep(
    connection: Connection,
    account: str,
    records: Sequence[RejectedRecord],
    latest: Callable[[], datetime],
    kept: KeptFields,
) -> None:
    """Stores rejected records. A record that is rejected again keeps the date of its first rejection.

    A dismissed one stays dismissed, unless the record has changed. An older version than the one that is kept counts as
    an attempt, and changes nothing else: its record must not replace the newer one, and it had its turn (`to_retry`).
    A modified time that is not to be believed is not kept: no later version could end the rejection. `latest`: of the
    adapter, as for `BelievedTimes`. `kept`: what stays of a record whose buyer's data is blanked, or was erased.
    """
    if not records:
        return
    blanked = {
        kind: blanked_records(connection, account, kind, [_key(each) for each in records if each.kind == kind])
        for kind in {each.kind for each in records}
    }
    times = BelievedTimes(latest)
    with connection.cursor() as cursor:
        cursor.executemany(
            _KEEP,
            [
                (
                    account,
                    record.kind,
                    _key(record),
                    kept.part_of(record.kind, record.raw) if _key(record) in blanked[record.kind] else record.raw,
                    record.fingerprint or None,
                    _as_json(record.reasons),
                    times.believed(record.modified_at),
                )
                for record in sorted(records, key=lambda record: record.record_id)
            ],
        )


#: Whether a version is older than the one that is kept, and whose rejection has not ended.
_IS_OLDER = SQL("(stored.resolved_at IS NULL AND excluded.modified_at < stored.modified_at) IS TRUE")
_KEEP = SQL("""
INSERT INTO rejected_records AS stored (account, kind, record_id, raw, fingerprint, reasons, modified_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account, kind, record_id) DO UPDATE SET
  raw = CASE WHEN {is_older} THEN stored.raw ELSE excluded.raw END,
  fingerprint = CASE WHEN {is_older} THEN stored.fingerprint
                ELSE coalesce(excluded.fingerprint, stored.fingerprint) END,
  reasons = CASE WHEN {is_older} THEN stored.reasons ELSE excluded.reasons END,
  modified_at = CASE WHEN {is_older} THEN stored.modified_at
                ELSE coalesce(excluded.modified_at, stored.modified_at) END,
  last_seen_at = now(), attempts = stored.attempts + 1, resolved_at = NULL,
  dismissed_at = NULL, dismissed_by = NULL, dismissed_reason = NULL
WHERE stored.dismissed_at IS NULL
  OR coalesce(excluded.fingerprint <> stored.fingerprint, excluded.raw <> stored.raw) AND NOT {is_older}
""").format(is_older=_IS_OLDER)


def _as_json(reasons: Sequence[Reason]) -> Jsonb:
    texts = ({"where": r.where, "what": r.what, "allowed": r.allowed} for r in reasons)
    return Jsonb([{name: masked(text) for name, text in each.items()} for each in texts])


def resolve(connection: Connection, account: str, kind: str, passed: Mapping[str, datetime | None]) -> set[str]:
    """Notes that these records have passed since; returns the ids of those that were rejected until now.

    `passed`: the modified time of the version that passed, by id; None if it is not known, or if the record was fetched
    alone. An older version than the rejected one, as a cache lists it, must not hide that the newest one is rejected.
    """
    if not passed:
        return set()
    rows = connection.execute(
        """
        UPDATE rejected_records SET resolved_at = now()
        FROM unnest(%s::text[], %s::timestamptz[]) AS passed (record_id, modified_at)
        WHERE account = %s AND kind = %s AND rejected_records.record_id = passed.record_id AND resolved_at IS NULL
          AND coalesce(passed.modified_at >= rejected_records.modified_at, TRUE)
        RETURNING rejected_records.record_id
        """,
        [list(passed), list(passed.values()), account, kind],
    )
    return {record_id for (record_id,) in rows}


def resolve_unlisted(connection: Connection, account: str, *, since: datetime, began: datetime) -> None:
    """Notes that orders without a usable id have passed: a complete pass did not list them in the text that is kept.

    Their key is a hash of their text. If that is another one each time, e.g. by a signed URL, each listing keeps one
    record more; and the repaired record has another key. `since`: where the pass began to list; `began`: when it began.
    A record that was first seen in the first day since then stays, since it may have been older than the list. One that
    is still wrong is rejected again by the same pass, in its new text. Dismissed ones stay.
    """
    connection.execute(
        """
        UPDATE rejected_records SET resolved_at = now()
        WHERE account = %s AND kind = 'order' AND starts_with(record_id, %s)
          AND resolved_at IS NULL AND dismissed_at IS NULL
          AND last_seen_at < %s AND first_seen_at >= %s + interval '1 day'
        """,
        [account, HASH_PREFIX, began, since],
    )


def note_tried(
    connection: Connection, account: str, kind: str, key: str, reasons: Sequence[Reason], by: By | None = None
) -> None:
    """Notes that a rejected record was tried again and is still rejected, and why; the record itself stays.

    `by`: the person who tried it; None: a pass did.
    """
    with connection.transaction():
        connection.execute(
            """
            UPDATE rejected_records SET reasons = %s, attempts = attempts + 1, last_seen_at = now()
            WHERE account = %s AND kind = %s AND record_id = %s
            """,
            [_as_json(reasons), account, kind, key],
        )
        note_retry(connection, account, kind, key, by)


def note_retry(connection: Connection, account: str, kind: str, key: str, by: By | None) -> None:
    """Notes the act of a person who tries a rejected record again; None: a pass does."""
    if by is not None:
        note_act(connection, by, Act.RETRY_REJECTED, on_rejected(account, kind, key))


def unresolved_keys(connection: Connection, account: str, kind: str) -> set[str]:
    """The keys of the records that are rejected now, dismissed ones included."""
    rows = connection.execute(
        "SELECT record_id FROM rejected_records WHERE account = %s AND kind = %s AND resolved_at IS NULL",
        [account, kind],
    )
    return {key for (key,) in rows}


def dismissed_versions(connection: Connection, account: str, kind: str) -> dict[str, bytes]:
    """The fingerprints of the dismissed records, by key; empty where it is not known."""
    rows = connection.execute(
        """
        SELECT record_id, coalesce(fingerprint, '') FROM rejected_records
        WHERE account = %s AND kind = %s AND dismissed_at IS NOT NULL AND resolved_at IS NULL
        """,
        [account, kind],
    )
    return {key: bytes(fingerprint) for key, fingerprint in rows}


class Selection(NamedTuple):
    """Which rejected records are meant; None: any."""

    account: str | None = None
    kind: str | None = None
    """`order` or `care`."""
    key: str | None = None
    reason: str | None = None
    """A part of one of its reasons, as `reason_text` gives it, in any case of letters."""
    is_dismissed: bool = False
    """Whether those that a person dismissed are meant, instead of the others."""
    is_whole_reason: bool = False
    """Whether `reason` is a whole reason, as that of a group, and not a part of one."""


#: Without positions in lists and without quoted values, so that equal reasons are one group.
_REASON_TEXT = SQL(
    r"regexp_replace(reason->>'where', '\[\d+\]', '[]', 'g') || ': ' || "
    r"regexp_replace(reason->>'what', ': ''[^'']*''$', '')"
)
#: The condition of a row that a Selection means; its values are the parameters.
SELECTED = SQL("""
resolved_at IS NULL AND (dismissed_at IS NOT NULL) = %(is_dismissed)s
AND (%(account)s::text IS NULL OR account = %(account)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(key)s::text IS NULL OR record_id = %(key)s)
AND (%(reason)s::text IS NULL OR EXISTS (
  SELECT FROM jsonb_array_elements(reasons) AS reason WHERE CASE WHEN %(is_whole_reason)s THEN {text} = %(reason)s
    ELSE position(lower(%(reason)s) IN lower({text})) > 0 END))
""").format(text=_REASON_TEXT)


class KeptRecord(NamedTuple):
    """A rejected record as it is kept."""

    account: str
    kind: str
    key: str
    """The marketplace's id, or HASH_PREFIX and a hash if it has none that can be used."""
    raw: bytes
    fingerprint: bytes
    reasons: list[Reason]
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_reason: str | None


def selected(connection: Connection, selection: Selection, limit: int | None = None) -> list[KeptRecord]:
    """The selected records, by account, kind and key. `limit`: how many at most; None: all."""
    rest = SQL("ORDER BY account, kind, record_id LIMIT %(limit)s")
    return _kept(connection, rest, {**selection._asdict(), "limit": limit})


def to_retry(
    connection: Connection, selection: Selection, *, limit: int | None = None, before: datetime | None = None
) -> list[KeptRecord]:
    """The selected records, those that were tried longest ago first.

    At most `limit`, and only those that were last tried before `before`. With a limit, those without a usable id are
    left out: they can't be fetched, and would take the turns of others.
    """
    return _kept(
        connection,
        SQL(
            "AND (%(before)s::timestamptz IS NULL OR last_seen_at < %(before)s) "
            "AND (%(limit)s::bigint IS NULL OR NOT starts_with(record_id, %(prefix)s)) "
            "ORDER BY last_seen_at, record_id LIMIT %(limit)s"
        ),
        {**selection._asdict(), "before": before, "limit": limit, "prefix": HASH_PREFIX},
    )


def _kept(connection: Connection, rest: SQL, parameters: Mapping[str, Any]) -> list[KeptRecord]:
    rows = connection.execute(_KEPT.format(selected=SELECTED, rest=rest), parameters)
    return [
        KeptRecord(account, kind, key, bytes(raw), bytes(fingerprint), [Reason(**r) for r in reasons], *others)
        for account, kind, key, raw, fingerprint, reasons, *others in rows
    ]


_KEPT = SQL("""
SELECT account, kind, record_id, raw, coalesce(fingerprint, ''), reasons, attempts, first_seen_at, last_seen_at,
  dismissed_at, dismissed_by, dismissed_reason
FROM rejected_records WHERE {selected} {rest}
""")


def rejected_count(connection: Connection) -> int:
    """How many records are rejected now and not dismissed."""
    (count,) = connection.execute(
        "SELECT count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL"
    ).fetchone() or (0,)
    return count


class ReasonGroup(NamedTuple):
    """The rejected records of an account that have the same reason."""

    account: str
    kind: str
    reason: str
    """Where and what, without positions in lists: `items[].quantity: is 0`."""
    allowed: str
    records: int
    first_seen_at: datetime
    last_seen_at: datetime
    example: str
    """The key of the record that was rejected last."""


def grouped(connection: Connection, selection: Selection) -> list[ReasonGroup]:
    """The selected records grouped by reason, the most frequent first; one with several reasons is in each group."""
    query = _GROUPED.format(text=_REASON_TEXT, selected=SELECTED)
    return [ReasonGroup(*row) for row in connection.execute(query, selection._asdict())]


_GROUPED = SQL("""
SELECT account, kind, {text} AS what, reason->>'allowed', count(DISTINCT record_id), min(first_seen_at),
  max(last_seen_at), (array_agg(record_id ORDER BY last_seen_at DESC, record_id))[1]
FROM rejected_records, jsonb_array_elements(reasons) AS reason WHERE {selected}
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3
""")


def unresolved_kinds(connection: Connection, account: str, key: str) -> list[str]:
    """The kinds of which a record with this key is rejected now: an order and a care record may have the same id."""
    rows = connection.execute(
        "SELECT kind FROM rejected_records WHERE account = %s AND record_id = %s AND resolved_at IS NULL",
        [account, key],
    )
    return [kind for (kind,) in rows]


class RejectedText(NamedTuple):
    """A rejected record in the marketplace's own text, with why it was rejected."""

    raw: bytes
    reasons: list[Reason]


def rejected_text(connection: Connection, account: str, kind: str, key: str, by: By) -> RejectedText | None:
    """A rejected record as it was received; None if there is none.

    It may have buyer's data: that somebody reads it is on record.
    """
    row = connection.execute(
        "SELECT raw, reasons FROM rejected_records WHERE account = %s AND kind = %s AND record_id = %s",
        [account, kind, key],
    ).fetchone()
    if row is None:
        return None
    note_act(connection, by, Act.SHOW_REJECTED, on_rejected(account, kind, key))
    return RejectedText(bytes(row[0]), [Reason(**reason) for reason in row[1]])


def on_rejected(account: str, kind: str, key: str) -> On:
    """A rejected record as the object of an act."""
    return On(account, key if kind == "order" else None, other=f"rejected {title_of(kind)} {key}")
