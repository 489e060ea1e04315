"""Dismissals of rejected records: a person puts one aside, and it is neither tried again nor counted."""

from datetime import datetime
from typing import NamedTuple

from psycopg.sql import SQL

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act, note_acts
from orders_sync.database.engine import Connection
from orders_sync.model.errors import UserFacingError
from orders_sync.sync.rejected_records import SELECTED, Selection, on_rejected


class Dismissal(NamedTuple):
    """Who dismissed a rejected record, when and why."""

    at: datetime
    by: str
    reason: str


def dismiss(connection: Connection, account: str, kind: str, key: str, by: By) -> Dismissal | None:
    """Dismisses a rejected record, with who did it and why.

    Returns the earlier dismissal of one that is dismissed already: that one counts, and nothing changes.
    """
    record = {"account": account, "kind": kind, "key": key}
    with connection.transaction():
        if connection.execute(_DISMISS, {**record, "by": by.user, "reason": by.reason}).rowcount:
            note_act(connection, by, Act.DISMISS_REJECTED, on_rejected(account, kind, key))
            return None
        earlier = connection.execute(_DISMISSED, record).fetchone()
    return None if earlier is None else Dismissal(*earlier)


_DISMISS = """
UPDATE rejected_records SET dismissed_at = now(), dismissed_by = %(by)s, dismissed_reason = %(reason)s
WHERE account = %(account)s AND kind = %(kind)s AND record_id = %(key)s AND resolved_at IS NULL AND dismissed_at IS NULL
"""
_DISMISSED = """
SELECT dismissed_at, dismissed_by, dismissed_reason FROM rejected_records
WHERE account = %(account)s AND kind = %(kind)s AND record_id = %(key)s AND resolved_at IS NULL
  AND dismissed_at IS NOT NULL
"""


def dismiss_seen(connection: Connection, selection: Selection, by: By, *, seen_until: datetime, seen: int) -> int:
    """Dismisses the selected records that a person saw; returns their number.

    `seen_until`, `seen`: when the person looked, and how many there were. A record that was rejected first after that
    stays, and so does one that has the reason no longer. Raises UserFacingError, and dismisses none, if there are more
    than were seen: an old one was rejected again since, or has another reason now.
    """
    values = {**selection._asdict(), "seen_until": seen_until, "by": by.user, "why": by.reason}
    with connection.transaction():
        found = connection.execute(_DISMISS_SEEN, values).fetchall()
        if len(found) > seen:
            raise UserFacingError(
                f"There are {len(found)} such records now, and there were {seen}: look at them again."
            )
        note_acts(connection, by, Act.DISMISS_REJECTED, (on_rejected(*key) for key in found))
    return len(found)


_DISMISS_SEEN = SQL("""
UPDATE rejected_records SET dismissed_at = now(), dismissed_by = %(by)s, dismissed_reason = %(why)s
WHERE {selected} AND first_seen_at <= %(seen_until)s RETURNING account, kind, record_id
""").format(selected=SELECTED)
