"""Flaws: what is wrong with records that are stored nevertheless. A record's flaws are those of its stored version."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import astuple

from orders_sync.database.engine import Connection
from orders_sync.model.keys import with_valid_characters
from orders_sync.model.known_credentials import masked
from orders_sync.model.records import Flaw


class RecordFlaws:
    """The flaws of one account's records of a kind. It knows which records have some: most batches cost nothing.

    Use one for a pass. A flaw that another lane adds meanwhile stays until the record changes again.
    """

    def __init__(self, connection: Connection, account: str, kind: str) -> None:
        """`kind`: `order` or `care`."""
        self._connection = connection
        self._account = account
        self._kind = kind
        rows = connection.execute(
            "SELECT DISTINCT record_id FROM record_flaws WHERE account = %s AND kind = %s", [account, kind]
        )
        self._flawed = {record_id for (record_id,) in rows}

    def replace(self, stored: Collection[str], flaws: Mapping[str, Sequence[Flaw]]) -> None:
        """Replaces the flaws of the records that were stored now, by their ids. Call it in their transaction."""
        right_now = sorted(self._flawed.intersection(stored) | flaws.keys())
        if not right_now:
            return
        pairs = [(record_id, flaw) for record_id in flaws for flaw in flaws[record_id]]
        self._connection.execute(
            "DELETE FROM record_flaws WHERE account = %s AND kind = %s AND record_id = ANY(%s) "
            "AND (record_id, field) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [self._account, self._kind, right_now, [record_id for record_id, _ in pairs], [f.field for _, f in pairs]],
        )
        self._flawed -= set(right_now)
        self.add(pairs)

    def add(self, flaws: Sequence[tuple[str, Flaw]]) -> None:
        """Adds flaws of records, each with the record's id; one that is known by its field is replaced."""
        if not flaws:
            return
        storable = [(record_id, Flaw(*map(_storable, astuple(flaw)))) for record_id, flaw in flaws]
        rows = sorted({(record_id, flaw.field): flaw for record_id, flaw in storable}.items())
        self._connection.execute(
            """
            INSERT INTO record_flaws (account, kind, record_id, field, found, stored)
            SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
            ON CONFLICT (account, kind, record_id, field) DO UPDATE SET
              found = excluded.found, stored = excluded.stored, last_seen_at = now()
            """,
            [
                self._account, self._kind, [key[0] for key, _ in rows], [key[1] for key, _ in rows],
                [flaw.found for _, flaw in rows], [flaw.stored for _, flaw in rows],
            ],
        )  # fmt: skip
        self._flawed |= {record_id for record_id, _ in flaws}


def _storable(text: str) -> str:
    return masked(with_valid_characters(text))


class FlawGroup(NamedTuple):
    """Equal flaws of an account's records."""

    account: str
    kind: str
    field: str
    """Without positions in lists: `items[].fee`."""
    found: str
    stored: str
    records: int
    example: str
    """The id of the record that had the flaw last."""


def grouped_flaws(connection: Connection, account: str | None = None) -> list[FlawGroup]:
    """The flaws of all accounts, or of one, grouped by what they are; the most frequent ones first."""
    rows = connection.execute(
        r"""
        SELECT account, kind, regexp_replace(field, '\[\d+\]', '[]', 'g') AS place, found, stored,
               count(DISTINCT record_id), (array_agg(record_id ORDER BY last_seen_at DESC, record_id))[1]
        FROM record_flaws WHERE %(account)s::text IS NULL OR account = %(account)s
        GROUP BY account, kind, place, found, stored ORDER BY 6 DESC, 1, 2, 3, 4
        """,
        {"account": account},
    )
    return [FlawGroup(*row) for row in rows]


class ListedFlaw(NamedTuple):
    """One flaw of one record."""

    account: str
    kind: str
    record_id: str
    field: str
    found: str
    stored: str
    first_seen_at: datetime
    last_seen_at: datetime


def listed_flaws(connection: Connection, account: str | None = None) -> list[ListedFlaw]:
    """The flaws of all accounts, or of one, by account, kind, record and field."""
    rows = connection.execute(
        """
        SELECT account, kind, record_id, field, found, stored, first_seen_at, last_seen_at
        FROM record_flaws WHERE %(account)s::text IS NULL OR account = %(account)s ORDER BY 1, 2, 3, 4
        """,
        {"account": account},
    )
    return [ListedFlaw(*row) for row in rows]
