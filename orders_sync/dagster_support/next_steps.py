"""What happens after a pass that failed, in words for the page of its run."""

from datetime import UTC, datetime

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.next_try import next_try
from orders_sync.lanes.pauses import pause_of
from orders_sync.lanes.progress import failures_in_row
from orders_sync.lanes.refusals import Refusal
from orders_sync.marketplaces.kit.rate_limits import pause_end
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.time_words import span

NOTHING_LOST = "Nothing is lost: the next pass starts where this one did."

UNTIL_CHANGED = (
    "The lane pauses: it runs again when the account's file or credential has changed, or when somebody runs it by "
    "hand."
)


def next_steps(
    connection: Connection, account: SellerAccount, sync_type: SyncType, now: datetime, *, is_selection: bool
) -> str:
    """When the lane is tried again, or what it waits for. `is_selection`: a person selected the days of the run."""
    lane = Lane(account.name, sync_type)
    pause = pause_of(connection, account, sync_type)
    again = "To fetch the selected days, launch them once more. " if is_selection else ""
    if isinstance(pause, Refusal):  # the failure says why already
        return f"{again}{UNTIL_CHANGED} {NOTHING_LOST}"
    if pause is not None:
        return f"{again}{pause} {NOTHING_LOST}"
    due = next_try(max(failures_in_row(connection, [lane]).get(lane, 0), 1), now)
    until = pause_end(connection, account.name)
    if until is not None and until > due:
        due = until
    what = "The lane" if is_selection else "It"
    moment = f"{due.astimezone(UTC):%H:%M:%S} UTC"
    return f"{again}{what} is tried again in {span((due - now).total_seconds())}, at {moment}. {NOTHING_LOST}"
