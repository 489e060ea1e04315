"""The evidence of failed calls: a marketplace's error answers whole, in a table of their own.

They may quote a buyer's data, so no message, log or metadata has more of them than their published codes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane

KEPT_PER_ACCOUNT = 100
"""So many answers of an account are kept: the newest ones."""


class ErrorAnswer(NamedTuple):
    """An error answer of a marketplace, without credentials; or one that is no answer of its contract."""

    method: str
    path: str
    """Without the query."""
    status: int
    headers: dict[str, str]
    body: bytes
    """The beginning of the body."""
    body_bytes: int
    """Bytes of the whole body."""
    times: int
    """How often the pass got such an answer to this request; the newest one is kept."""
    answered_at: datetime


class KeptAnswer(NamedTuple):
    """An error answer in a list."""

    number: int
    account: str
    sync_type: str
    run_id: str
    answered_at: datetime
    method: str
    path: str
    status: int
    times: int
    body_bytes: int


def keep_error_answers(connection: Connection, lane: Lane, run_id: str, answers: Sequence[ErrorAnswer]) -> list[int]:
    """Stores the answers that a run of a lane got, and returns their numbers. The account's oldest ones go."""
    if not answers:
        return []
    with connection.transaction():
        numbers = [
            int(row[0])
            for answer in answers
            for row in connection.execute(
                _KEEP, {**answer._asdict(), **lane._asdict(), "headers": Jsonb(answer.headers), "run_id": run_id}
            )
        ]
        connection.execute(_DELETE_OLDEST, [lane.account, lane.account, KEPT_PER_ACCOUNT])
    return numbers


def kept_answers(connection: Connection, account: str | None) -> list[KeptAnswer]:
    """The kept answers of an account, or of all, the newest one first."""
    return [KeptAnswer(*row) for row in connection.execute(_LIST, {"account": account})]


def kept_answer(connection: Connection, number: int) -> tuple[KeptAnswer, dict[str, str], bytes] | None:
    """A kept answer with its headers and body; None if there is none, or none any more."""
    row = connection.execute(_SHOW, [number]).fetchone()
    return None if row is None else (KeptAnswer(*row[2:]), row[0], bytes(row[1]))


def erase_error_answers(connection: Connection, account: str, days: int, now: datetime | None = None) -> int:
    """Deletes an account's answers that are older than so many days at `now`, and returns their number."""
    return connection.execute(_ERASE, {"account": account, "days": days, "now": now}).rowcount


_KEEP = """
INSERT INTO error_answers
  (account, sync_type, run_id, method, path, status, headers, body, body_bytes, times, answered_at)
VALUES (%(account)s, %(sync_type)s, %(run_id)s, %(method)s, %(path)s, %(status)s, %(headers)s, %(body)s, %(body_bytes)s,
  %(times)s, %(answered_at)s)
RETURNING error_answer_id
"""
_DELETE_OLDEST = """
DELETE FROM error_answers WHERE account = %s AND error_answer_id <= (
  SELECT error_answer_id FROM error_answers WHERE account = %s ORDER BY error_answer_id DESC OFFSET %s LIMIT 1)
"""
_LIST = """
SELECT error_answer_id, account, sync_type, run_id, answered_at, method, path, status, times, body_bytes
FROM error_answers WHERE %(account)s::text IS NULL OR account = %(account)s ORDER BY error_answer_id DESC
"""
_SHOW = """
SELECT headers, body, error_answer_id, account, sync_type, run_id, answered_at, method, path, status, times, body_bytes
FROM error_answers WHERE error_answer_id = %s
"""
_ERASE = """
DELETE FROM error_answers
WHERE account = %(account)s AND answered_at < coalesce(%(now)s, now()) - make_interval(days => %(days)s)
"""
