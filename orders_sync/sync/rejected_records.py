"""Rejected records: they are kept unchanged, with their reasons, until they pass the check."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.model.records import Reason

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

    def one_line(self) -> str:
        """The record and its reasons in one line, without buyers' data."""
        title = "care record" if self.kind == "care" else self.kind
        reasons = "; ".join(f"{reason.where} {reason.what}" for reason in self.reasons)
        return f"{title} {self.record_id or 'without id'} rejected: {reasons}"


def record_key(record_id: str, raw: bytes) -> str:
    """The key of a rejected record: its id, or a hash of the record if it has no id that can be used."""
    usable = record_id and len(record_id) <= 200 and "\x00" not in record_id
    return record_id if usable else HASH_PREFIX + hashlib.blake2b(raw, digest_size=12).hexdigest()


def keep(connection: Connection, account: str, records: Sequence[RejectedRecord]) -> None:
    """Stores rejected records. A record that is rejected again keeps the date of its first rejection."""
    if not records:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO rejected_records AS stored (account, kind, record_id, raw, reasons)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (account, kind, record_id) DO UPDATE SET
              raw = excluded.raw, reasons = excluded.reasons, last_seen_at = now(),
              attempts = stored.attempts + 1, resolved_at = NULL
            """,
            [
                (
                    account,
                    record.kind,
                    record_key(record.record_id, record.raw),
                    record.raw,
                    Jsonb([{"where": r.where, "what": r.what, "allowed": r.allowed} for r in record.reasons]),
                )
                for record in sorted(records, key=lambda record: record.record_id)
            ],
        )


def resolve(connection: Connection, account: str, kind: str, record_ids: list[str]) -> None:
    """Notes that these records have passed since; ids that are not rejected are ignored."""
    if record_ids:
        connection.execute(
            """
            UPDATE rejected_records SET resolved_at = now()
            WHERE account = %s AND kind = %s AND record_id = ANY(%s) AND resolved_at IS NULL
            """,
            [account, kind, record_ids],
        )


def unresolved(
    connection: Connection,
    account: str,
    kind: str,
    *,
    limit: int | None = None,
    before: datetime | None = None,
) -> dict[str, bytes]:
    """The raw records that are rejected now, by key: those that were tried longest ago come first.

    At most `limit`, and only those that were last tried before `before`.
    """
    rows = connection.execute(
        """
        SELECT record_id, raw FROM rejected_records
        WHERE account = %(account)s AND kind = %(kind)s AND resolved_at IS NULL
          AND (%(before)s::timestamptz IS NULL OR last_seen_at < %(before)s)
        ORDER BY last_seen_at, record_id LIMIT %(limit)s
        """,
        {"account": account, "kind": kind, "before": before, "limit": limit},
    )
    return {record_id: bytes(raw) for record_id, raw in rows}
