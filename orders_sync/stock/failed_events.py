"""Events that could not be applied: tried again, or skipped, by a person with a reason."""

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.model.errors import UserFacingError
from orders_sync.stock.connection import StockConnection

MAX_EVENT_ID = 2**63 - 1
"""The largest number that PostgreSQL's bigint holds."""


class FailedEventError(UserFacingError):
    """There is no such failed event; the message says what there is."""


def retry_failed(stock: StockConnection, by: By, event_id: int | None = None) -> int:
    """Lets the stock job try failed events again, as often as new ones; returns how many. `event_id`: only this one.

    Raises FailedEventError where no such event has failed.
    """
    if event_id is not None and not 0 < event_id <= MAX_EVENT_ID:
        raise _no_such_event(event_id)
    with stock.transaction():
        retried = stock.execute(_RETRY, {"event": event_id}).fetchall()
        if not retried and event_id is not None:
            raise _no_such_event(event_id)
        for event in retried:
            note_act(stock.connection, by, Act.RETRY_EVENTS, _on(*event))
    return len(retried)


def skip_failed(stock: StockConnection, event_id: int, by: By) -> None:
    """Counts a failed event as applied, and keeps on it who decided so, and why.

    This changes neither the item nor what it needs: `repair` still finds its lock if that is wrong.

    Raises FailedEventError where no such event has failed.
    """
    if not 0 < event_id <= MAX_EVENT_ID:
        raise _no_such_event(event_id)
    parameters = {"event": event_id, "by": by.user, "reason": by.reason}
    with stock.transaction():
        skipped = stock.execute(_SKIP, parameters).fetchone()
        if skipped is None:
            raise _no_such_event(event_id)
        note_act(stock.connection, by, Act.SKIP_EVENT, _on(*skipped))


def _on(account: str, order_id: str, item_id: str, event_id: int) -> On:
    return On(account, order_id, item_id or None, other=f"event {event_id}")


def _no_such_event(event_id: int) -> FailedEventError:
    return FailedEventError(
        f"There is no failed event {event_id}. `orders-sync stock events` lists those that have failed."
    )


_RETRY = """
UPDATE order_events SET attempts = 0
WHERE applied_at IS NULL AND attempts > 0 AND (%(event)s::bigint IS NULL OR event_id = %(event)s)
RETURNING account, order_id, item_id, event_id
"""
_SKIP = """
UPDATE order_events SET applied_at = now(),
  problem = format('skipped by %%s: %%s (%%s)', %(by)s::text, %(reason)s::text, problem)
WHERE applied_at IS NULL AND attempts > 0 AND event_id = %(event)s
RETURNING account, order_id, item_id, event_id
"""
