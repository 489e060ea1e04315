"""Contract drift: where an account's records differ from what its adapter knows, found in samples of each pass.

A pass samples a few of the records that are new or changed: an unchanged one shows nothing new, and costs nothing. The
first FIRST_SAMPLE records of an account show which fields its marketplace sends that the adapter does not read;
after that, another field is drift. A type that the adapter can't read, and a state that it does not know, are drift at
once. A field is said to have vanished when so many records lack it that never lacked it before.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, cast

import msgspec
from psycopg.types.json import Jsonb

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.contract import RecordShape, known_fields, parent_of, shape_of_record
from orders_sync.model.known_credentials import masked

FIRST_SAMPLE = 200
"""So many records show which fields an account's records have."""
SAMPLE_PER_PASS = 20
SAMPLE_PER_BATCH = 20
VANISHED_AFTER = 20
"""A field that so many sampled records had, without exception, has vanished when so many in a row lack it. Likewise, a
field is new if so many records could have had it before."""
MAX_FINDINGS_PER_PASS = 50
NEW_FIELD, VANISHED_FIELD, NEW_TYPE, NEW_VALUE = "new field", "vanished field", "new type", "new value"


class ContractSample:
    """A sample of the records of one pass."""

    def __init__(self, kind: str, struct: type[msgspec.Struct] | None) -> None:
        """`kind`: `order` or `care`. `struct`: the contract's form of the record as the adapter reads it."""
        self.kind = kind
        self.struct = struct
        self._records: list[RawRecord] = []

    def take(self, records: Iterable[RawRecord]) -> None:
        """Takes some records of a batch, as far as there is room: `records` are new or changed, and whole."""
        room = min(SAMPLE_PER_BATCH, FIRST_SAMPLE - len(self._records))
        self._records += islice(records, max(0, room))

    def shapes(self, count: int) -> Iterator[tuple[str, RecordShape]]:
        """The shapes of `count` of the records, from all parts of the pass, each with the record's id."""
        for record in self._records[:: max(1, len(self._records) // count)][:count]:
            try:
                document = msgspec.json.decode(record.raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # it has flaws, or is rejected
            if isinstance(document, dict):
                yield record.record_id, shape_of_record(cast(dict[str, Any], document), self.struct)

    def __len__(self) -> int:
        return len(self._records)


@dataclass(slots=True)
class _Field:
    """What is known of a field: a row of contract_fields."""

    field: str
    types: list[str]
    is_read: bool
    records: int = 0
    missing: int = 0
    is_optional: bool = False


class Finding(NamedTuple):
    """A difference between an account's records and what its adapter knows."""

    field: str
    what: str
    detail: str
    record_id: str

    def __str__(self) -> str:
        return f"{self.what} {self.field}" + (f": {self.detail}" if self.detail else "")


def store_sample(connection: Connection, account: str, marketplace: str, sample: ContractSample) -> list[Finding]:
    """Stores what the sample shows; returns the findings that are new, each of which was never reported before."""
    if not len(sample):
        return []
    fields = {name: _Field(name, *known) for name, *known in connection.execute(_FIELDS, [account, sample.kind])}
    known = known_fields(sample.struct)
    sampled = fields.get("", _Field("", ["object"], True)).records
    findings: list[Finding] = []
    for record_id, shape in sample.shapes(max(SAMPLE_PER_PASS, FIRST_SAMPLE - sampled)):
        findings += _compare(fields, known, record_id, shape)
    with connection.transaction():
        rows = Jsonb([asdict(fields[name]) for name in sorted(fields)])
        connection.execute(_STORE_FIELDS, [account, sample.kind, marketplace, rows])
        unique = {one[:3]: one for one in (Finding(*map(masked, finding)) for finding in reversed(findings))}
        new = sorted(unique.values())[:MAX_FINDINGS_PER_PASS]
        columns = [[getattr(one, name) for one in new] for name in Finding._fields]
        stored = connection.execute(_STORE_FINDINGS, [account, sample.kind, marketplace, *columns]).fetchall()
    return [Finding(*row) for row in stored]


def _compare(
    fields: dict[str, _Field], known: Mapping[str, frozenset[str] | None], record_id: str, shape: RecordShape
) -> list[Finding]:
    """Compares a record with what is known, and adds to `fields` what it shows."""
    root = fields.setdefault("", _Field("", ["object"], True))
    is_learning = root.records < FIRST_SAMPLE
    root.records += 1
    findings = [Finding(where, NEW_VALUE, value, record_id) for where, value in shape.unknown_values]
    for where, types in shape.types.items():
        row = fields.get(where)
        is_read = where in known
        if row is None:
            # How often it could have been there before.
            parent = parent_of(where)
            chances = fields[parent].records - 1 if parent in fields else 0
            row = fields[where] = _Field(where, [], is_read, is_optional=chances > 0)
            if not is_learning and not is_read and chances >= VANISHED_AFTER:
                findings.append(Finding(where, NEW_FIELD, " or ".join(sorted(types)) or "null", record_id))
        elif not is_learning and row.types and not is_read:
            findings += [Finding(where, NEW_TYPE, one, record_id) for one in sorted(types.difference(row.types))]
        readable = known.get(where)
        if readable is not None and not types <= readable:
            findings += [Finding(where, NEW_TYPE, one, record_id) for one in sorted(types - readable)]
        if not types.issubset(row.types):
            row.types = sorted({*row.types, *types})
        row.is_read = is_read
        row.records += 1
        row.is_optional = row.is_optional or 0 < row.missing < VANISHED_AFTER
        row.missing = 0
    if len(fields) > len(shape.types) + 1:  # some are missing
        for where, row in fields.items():
            if where and where not in shape.types and (not parent_of(where) or parent_of(where) in shape.types):
                row.missing += 1
                if row.missing >= VANISHED_AFTER and row.records >= VANISHED_AFTER and not row.is_optional:
                    findings.append(Finding(where, VANISHED_FIELD, "", record_id))
    return findings


_FIELDS = """
SELECT field, types, is_read, records, missing, is_optional FROM contract_fields WHERE account = %s AND kind = %s
"""
_STORE_FIELDS = """
INSERT INTO contract_fields AS stored (account, kind, marketplace, field, types, is_read, records, missing, is_optional)
SELECT %s, %s, %s, one.field, one.types, one.is_read, one.records, one.missing, one.is_optional
FROM jsonb_to_recordset(%s) AS one (
  field text, types jsonb, is_read boolean, records integer, missing integer, is_optional boolean)
ORDER BY one.field
ON CONFLICT (account, kind, field) DO UPDATE SET
  marketplace = excluded.marketplace, types = excluded.types, is_read = excluded.is_read, records = excluded.records,
  missing = excluded.missing, is_optional = excluded.is_optional, last_sampled_at = now()
WHERE (excluded.records, excluded.missing) IS DISTINCT FROM (stored.records, stored.missing)
"""
_STORE_FINDINGS = """
INSERT INTO contract_drift (account, kind, marketplace, field, what, detail, record_id)
SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
ON CONFLICT (account, kind, field, what, detail) DO NOTHING
RETURNING field, what, detail, record_id
"""


class Drift(NamedTuple):
    """A stored finding."""

    account: str
    marketplace: str
    kind: str
    field: str
    what: str
    detail: str
    record_id: str
    first_seen_at: datetime
    noted_at: datetime | None
    noted_by: str | None


def stored_drift(connection: Connection, account: str | None = None, *, with_noted: bool = False) -> list[Drift]:
    """The findings of all accounts, or of one; without those that a person has noted as seen, unless `with_noted`."""
    return rows_as(connection, Drift, _DRIFT, {"account": account, "with_noted": with_noted})


_DRIFT = """
SELECT account, marketplace, kind, field, what, detail, record_id, first_seen_at, noted_at, noted_by
FROM contract_drift
WHERE (%(account)s::text IS NULL OR account = %(account)s) AND (%(with_noted)s OR noted_at IS NULL)
ORDER BY account, kind, field, what, detail
"""


def note_seen(connection: Connection, account: str, field: str | None, by: By) -> int:
    """Notes an account's findings as seen, all of them or those about one field; returns how many."""
    with connection.transaction():
        noted = connection.execute(_NOTE, {"account": account, "field": field, "by": by.user}).rowcount
        if noted:
            on = On(account, other=None if field is None else f"field {field}")
            note_act(connection, by, Act.NOTE_DRIFT_AS_SEEN, on, f"{noted} differences")
    return noted


_NOTE = """
UPDATE contract_drift SET noted_at = now(), noted_by = %(by)s
WHERE account = %(account)s AND noted_at IS NULL AND (%(field)s::text IS NULL OR field = %(field)s)
"""


class SeenField(NamedTuple):
    """A field that an account's records have."""

    account: str
    kind: str
    field: str
    types: str
    is_read: bool
    records: int
    missing: int
    first_seen_at: datetime


def seen_fields(connection: Connection, account: str) -> list[SeenField]:
    """The fields of an account's records, as far as samples show them."""
    return rows_as(connection, SeenField, _SEEN, [account])


_SEEN = """
SELECT account, kind, field, (SELECT string_agg(one, ' or ') FROM jsonb_array_elements_text(types) AS one) AS types,
  is_read, records, missing, first_seen_at
FROM contract_fields WHERE account = %s AND field <> '' ORDER BY kind, field
"""
