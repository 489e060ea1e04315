"""Lanes that pause: a person has paused the account, or its credential is refused (`refusals`)."""

from datetime import UTC, datetime
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.refusals import Refusal, refusal_of
from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import SyncType


class AccountPause(NamedTuple):
    """A person has paused an account."""

    account: str
    at: datetime
    """By our clock."""
    by: str
    """Who did it: user@machine, or the user in Dagster."""
    reason: str

    def __str__(self) -> str:
        return (
            f"Account {self.account} is paused since {_utc(self.at)} by {self.by}: "
            f"{self.reason.rstrip('.')}. No run of it is requested until somebody resumes it: `orders-sync accounts "
            f"resume {self.account}`, or the job `resume_account`."
        )


class PauseError(UserFacingError):
    """The account is paused already, or is not paused."""


Pause = AccountPause | Refusal
"""Why a lane pauses."""


def pause_account(connection: Connection, account: str, by: By) -> None:
    """Pauses an account, and stores who did it and why. Raises PauseError if it is paused already."""
    with connection.transaction():
        if not connection.execute(_PAUSE, [account, by.user, by.reason]).rowcount:
            raise PauseError(str(paused_accounts(connection)[account]))
        note_act(connection, by, Act.PAUSE_ACCOUNT, On(account))


def resume_account(connection: Connection, account: str, by: By) -> AccountPause:
    """Ends the pause of an account, and stores who did it and why; returns it.

    What ticks have missed meanwhile runs within a minute. Raises PauseError if the account is not paused.
    """
    with connection.transaction():
        pause = paused_accounts(connection).get(account)
        if pause is None:
            raise PauseError(f"Account {account} is not paused: its runs are requested.")
        connection.execute("DELETE FROM account_pauses WHERE account = %s", [account])
        note_act(connection, by, Act.RESUME_ACCOUNT, On(account), f"paused since {_utc(pause.at)}")
    return pause


def paused_accounts(connection: Connection) -> dict[str, AccountPause]:
    """The accounts that a person has paused, by name."""
    found = connection.execute("SELECT account, paused_at, paused_by, reason FROM account_pauses ORDER BY account")
    return {pause.account: pause for pause in map(AccountPause._make, found)}


def pause_of(connection: Connection, account: SellerAccount, sync_type: SyncType) -> Pause | None:
    """Why a lane pauses, so that no run of it is requested; None if it does not."""
    return paused_accounts(connection).get(account.name) or refusal_of(connection, account, sync_type)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_PAUSE: LiteralString = """
INSERT INTO account_pauses (account, paused_by, reason) VALUES (%s, %s, %s) ON CONFLICT (account) DO NOTHING
"""
