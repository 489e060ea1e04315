"""Whose data must not be stored again: records that the retention blanked, and those that `buyer erase` erased.

An erased record has a row of its own (`erased_records`), which outlives the order: one that was deleted by hand and is
imported again stays without its buyer. A record that the retention blanked is known by its own row.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import LiteralString

from orders_sync.database.copy import array_text
from orders_sync.database.engine import Connection


def erased_records(connection: Connection, account: str, kind: str, record_ids: Iterable[str]) -> set[str]:
    """Which of these records were erased. `kind`: `order` or `care`."""
    return _ids(connection, _ERASED, account, kind, record_ids)


def blanked_records(connection: Connection, account: str, kind: str, record_ids: Iterable[str]) -> set[str]:
    """Which of these records were blanked or erased."""
    return _ids(connection, _BLANKED[kind], account, kind, record_ids)


def blanked_care(connection: Connection, account: str, items: Mapping[str, Sequence[str]]) -> set[str]:
    """Which care records were blanked or erased, or are about an item of an erased order.

    `items`: the ids of the items that each is about, by its id. Call it in the transaction that stores them: those that
    are stored are locked, so that none is blanked in between.
    """
    care_ids, pairs = sorted(items), [(care_id, item) for care_id, of_care in items.items() for item in of_care]
    locked = connection.execute(_LOCK_CARE, [account, care_ids])
    found = {care_id for care_id, is_blanked in locked if is_blanked} | erased_records(
        connection, account, "care", care_ids
    )
    erased = {item for (item,) in connection.execute(_OF_ERASED_ORDERS, [account, sorted({i for _, i in pairs})])}
    return found | {care_id for care_id, item in pairs if item in erased}


def note_erased(connection: Connection, account: str, kind: str, record_ids: Collection[str]) -> None:
    """Notes that records were erased, in the transaction that erases them."""
    connection.execute(_NOTE, [account, kind, sorted(record_ids)])


def _ids(connection: Connection, query: LiteralString, account: str, kind: str, record_ids: Iterable[str]) -> set[str]:
    # A rejected record may have an id that PostgreSQL takes in no query.
    usable = [each for each in record_ids if each and "\0" not in each]
    if not usable:
        return set()
    rows = connection.execute(query, {"account": account, "kind": kind, "ids": array_text(usable)})
    return {record_id for (record_id,) in rows}


_ERASED: LiteralString = """
SELECT record_id FROM erased_records
WHERE account = %(account)s AND kind = %(kind)s AND record_id = ANY(%(ids)s::text[])
"""
_BLANKED: dict[str, LiteralString] = {
    "order": _ERASED
    + """UNION
SELECT order_id FROM orders
WHERE account = %(account)s AND order_id = ANY(%(ids)s::text[]) AND buyer_data_blanked_at IS NOT NULL
""",
    "care": _ERASED
    + """UNION
SELECT care_id FROM care_records
WHERE account = %(account)s AND care_id = ANY(%(ids)s::text[]) AND buyer_data_blanked_at IS NOT NULL
""",
}
_LOCK_CARE = """
SELECT care_id, buyer_data_blanked_at IS NOT NULL FROM care_records
WHERE account = %s AND care_id = ANY(%s) ORDER BY care_id FOR UPDATE
"""
_OF_ERASED_ORDERS = """
SELECT item.item_id FROM order_items item
JOIN erased_records erased ON erased.account = item.account AND erased.kind = 'order'
  AND erased.record_id = item.order_id
WHERE item.account = %s AND item.item_id = ANY(%s)
"""
_NOTE = """
INSERT INTO erased_records (account, kind, record_id) SELECT %s, %s, unnest(%s::text[])
ON CONFLICT (account, kind, record_id) DO UPDATE SET erased_at = now()
"""
