"""Which returns are due in stock: those that close as received while their account has `restock_returns`.

The pass that stores such a record writes a row of `stock_returns` in the same transaction; the stock job books it. The
row is unique for the care record and the item, so however often the record is read, its pieces are booked once.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.model.records import CareRecord


class StoredClosings(NamedTuple):
    """What is stored of some care records before newer versions of them are."""

    received: set[str]
    """Those that are closed and received already."""
    open: set[str]
    """Those that are not closed."""


def stored_closings(connection: Connection, account: str, care_ids: Sequence[str]) -> StoredClosings:
    """What is stored of these care records now."""
    rows = connection.execute(_STORED, [account, list(care_ids)]).fetchall()
    return StoredClosings(
        {care_id for care_id, state, received in rows if state == "closed" and received},
        {care_id for care_id, state, _ in rows if state != "closed"},
    )


def note_due_returns(
    connection: Connection, account: str, records: Sequence[CareRecord], before: StoredClosings
) -> None:
    """Notes the pieces of those of these records that have just closed as received, since the setting was seen.

    Call it once they are stored. `before`: what was stored of them. A record closed since then if the marketplace says
    so, or if a complete pass with the setting found it open: not every marketplace says when a return closes.
    """
    # Items that a record does not name any more stay stored, and do not come back.
    new = sorted({(care.care_id, item.item_id) for care in records for item in care.items if _may_be_due(care, before)})
    if new:
        columns = {"care_ids": [care_id for care_id, _ in new], "item_ids": [item_id for _, item_id in new]}
        connection.execute(_NOTE_DUE, {"account": account, "open": sorted(before.open), **columns})


def _may_be_due(care: CareRecord, before: StoredClosings) -> bool:
    return care.kind == "return" and care.state == "closed" and care.care_id not in before.received


_STORED = "SELECT care_id, state, received FROM care_records WHERE account = %s AND care_id = ANY(%s)"
# A record of which a person has booked pieces has its row already: the rest of them is due.
_NOTE_DUE = """
INSERT INTO stock_returns AS stored (account, care_id, item_id, pieces, came_back_at)
SELECT account, care_id, about.item_id, about.quantity, coalesce(care.closed_at, care.modified_at)
FROM unnest(%(care_ids)s::text[], %(item_ids)s::text[]) AS named (care_id, item_id)
JOIN care_record_items about USING (care_id, item_id)
JOIN care_records care USING (account, care_id) JOIN restocking_accounts USING (account)
WHERE account = %(account)s
  AND care.kind = 'return' AND care.state = 'closed' AND care.received
  AND (coalesce(care.closed_at, care.modified_at) >= restocking_accounts.since
    OR care_id = ANY(%(open)s) AND restocking_accounts.passed_at IS NOT NULL)
ON CONFLICT (account, care_id, item_id) DO UPDATE
  SET pieces = excluded.pieces, came_back_at = excluded.came_back_at, at = now(), handled_at = NULL, note = NULL
  WHERE stored.handled_at IS NOT NULL
    AND excluded.pieces > stored.booked + stored.booked_before + stored.counted
"""
