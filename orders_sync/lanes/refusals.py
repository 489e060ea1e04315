"""Lanes that pause since their account's credential was refused, or is missing: until somebody corrects it.

Whether it was corrected shows a mark of the account's settings and credentials. Nobody can find a credential by the
mark: it is made with a random salt and a slow hash, and only two bytes of it are stored. Each guess costs 16 MB and
some 50 ms, and one of 65,536 wrong guesses has the same mark, so that the mark proves no guess right. (A secret key
would have to be kept outside the database, and alike on all machines.) One of 65,536 corrections is not noticed.
"""

import hashlib
import os
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import LiteralString, NamedTuple

import msgspec

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType

_MARK_BYTES = 2


class Refusal(NamedTuple):
    """Why a lane pauses."""

    lane: Lane
    """The lane that pauses."""
    at: datetime
    """When the credential was refused, or found missing, by our clock."""
    problem: str
    """Why the pass failed, in one line."""

    def __str__(self) -> str:
        return (
            f"Lane {self.lane} pauses since {self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: "
            f"{self.problem.rstrip('.')}. It runs again when the account's file or credential has changed, or when "
            "somebody runs it by hand."
        )


def note_refusal(
    connection: Connection, account: SellerAccount, sync_type: SyncType, problem: str, *, pauses_account: bool
) -> None:
    """Notes that a pass failed because of the credential.

    `pauses_account`: the credential itself is wrong, so that all lanes of the account pause; else only this one.
    """
    salt = secrets.token_bytes(16)
    values = [account.name, sync_type.value, pauses_account, problem, salt, _mark(account, salt)]
    connection.execute(_NOTE, values)


def end_pause(connection: Connection, lane: Lane) -> None:
    """A pass of the lane begins: it will show whether the credential is refused."""
    connection.execute(
        "DELETE FROM refused_credentials WHERE account = %s AND (sync_type = %s OR pauses_account)", [*lane]
    )


def refusal_of(connection: Connection, account: SellerAccount, sync_type: SyncType) -> Refusal | None:
    """Why a lane pauses; None if it does not, or if the account's file or credential has changed since."""
    for at, problem, salt, mark in connection.execute(_REFUSALS, [account.name, sync_type.value]):
        if secrets.compare_digest(_mark(account, salt), mark):
            return Refusal(Lane(account.name, sync_type), at, problem)
    return None


def _mark(account: SellerAccount, salt: bytes) -> bytes:
    settings = account.settings
    credentials = [os.environ.get(str(getattr(settings, key))) for key in settings.CREDENTIALS]
    content = msgspec.json.encode([account.name, settings.model_dump_json(), credentials])
    return _slow_hash(hashlib.blake2b(content).digest(), salt)


@lru_cache(maxsize=256)
def _slow_hash(content: bytes, salt: bytes) -> bytes:
    """Kept, since sensors compare the marks of all lanes that pause every few seconds."""
    return hashlib.scrypt(content, salt=salt, n=2**14, r=8, p=1, dklen=_MARK_BYTES)


_NOTE: LiteralString = """
INSERT INTO refused_credentials (account, sync_type, pauses_account, problem, salt, mark)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (account, sync_type) DO UPDATE SET refused_at = now(), pauses_account = excluded.pauses_account,
  problem = excluded.problem, salt = excluded.salt, mark = excluded.mark
"""
_REFUSALS: LiteralString = """
SELECT refused_at, problem, salt, mark FROM refused_credentials
WHERE account = %s AND (sync_type = %s OR pauses_account) ORDER BY refused_at
"""
