"""Acceptance of orderlines that wait for the merchant: the only writes to a marketplace.

Acceptance follows the commit and never precedes it. Every request is stored as a row before it is sent, and its answer
is stored in that row. A line is accepted only while it still waits: as the pass itself has just seen, or, if an earlier
request was refused or its answer was lost, as the order shows when it is fetched anew. A request that the
marketplace certainly did not process is `failed`, and counts as none.

Where only lines whose pieces are locked are accepted, the locks are looked at again in the transaction that stores the
request, while nobody else changes stock: pieces may have been taken back since the pass made its list. Nothing can hold
them while the request is under way; if they are taken back in that time, the pass reports it.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, RawRecord
from orders_sync.marketplaces.kit.errors import (
    OF_ONE_RECORD,
    AnswerLostError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.statuses import Status
from orders_sync.stock.apply_events import lock_orders
from orders_sync.stock.connection import StockConnection
from orders_sync.sync.merge_pages import merge_batch, open_merger
from orders_sync.sync.put_off import fetch_order
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

MAX_REQUESTS = 5
"""How many requests that are not `failed` are sent for the same lines. After that a person has to accept them;
`orders-sync doctor` counts such lines."""

_WAITING_LINES = """
SELECT item.order_id, CASE WHEN %(unit)s = 'order' THEN '' ELSE item.sku END AS sku,
       CASE WHEN %(unit)s = 'item' THEN item.item_id ELSE '' END AS item_id,
       bool_or(item.kind = 'goods' AND lock.is_held IS NOT TRUE) AS short, array_agg(item.item_id ORDER BY item.item_id)
FROM order_items item
LEFT JOIN LATERAL (
  SELECT bool_and(state = 'locked') AS is_held FROM stock_locks
  WHERE account = item.account AND item_id = item.item_id AND state IN ('locked', 'short')) lock ON true
WHERE item.account = %(account)s AND item.order_id = ANY(%(orders)s) AND item.status = %(pending)s
  AND NOT EXISTS (
    SELECT FROM rejected_records bad WHERE bad.account = item.account AND bad.kind = 'order'
      AND bad.record_id = item.order_id AND bad.resolved_at IS NULL)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_EARLIER_REQUESTS = """
SELECT order_id, sku, item_id, count(*), (array_agg(state ORDER BY acceptance_id DESC))[1]
FROM acceptances WHERE account = %s AND order_id = ANY(%s) AND state <> 'failed' GROUP BY order_id, sku, item_id
"""
_SETTLE_LEFT = """
UPDATE acceptances request SET state = 'left', answered_at = now(),
  answer = coalesce(answer || '; ', '') || 'a sync found that the line no longer waits'
FROM orders stored
WHERE request.account = %s AND request.state IN ('requested', 'lost')
  AND stored.account = request.account AND stored.order_id = request.order_id
  AND NOT EXISTS (
    SELECT FROM order_items item
    WHERE item.account = request.account AND item.order_id = request.order_id AND item.status = 'pending'
      AND request.sku IN ('', item.sku) AND request.item_id IN ('', item.item_id))
"""
_PENDING_ORDERS = "SELECT order_id FROM orders WHERE account = %s AND status = 'pending'"
_UNANSWERED = """
SELECT DISTINCT order_id FROM acceptances WHERE account = %s AND state IN ('requested', 'lost')
"""


@dataclass(frozen=True)
class _Earlier:
    """Earlier requests for the same lines."""

    requests: int
    last_state: str


@dataclass(frozen=True)
class _Waiting:
    """What is to be accepted with one request."""

    target: AcceptanceTarget
    is_short: bool
    """Whether an item of it lacks pieces."""
    item_ids: Sequence[str]
    earlier: _Earlier | None


@dataclass(frozen=True)
class AcceptanceOutcome:
    """What became of the lines of one target."""

    target: AcceptanceTarget
    state: Literal["accepted", "refused", "failed", "lost", "left", "short", "given up"]
    """`refused` by the marketplace; `failed` certainly not done; `lost` without answer; `left` the waiting state since
    an earlier request, or since the pass listed it; `short` since then; `given up` after MAX_REQUESTS."""
    order: RawRecord | None = None
    """The order as it is now, if the marketplace answered with it."""
    problem: str | None = None
    """What went wrong, in one line."""

    def summary(self) -> PassSummary:
        """What the request adds to the summary of its pass."""
        return PassSummary(
            accepted=int(self.state == "accepted"),
            refused=int(self.state == "refused"),
            problems=[] if self.problem is None else [self.problem],
        )


def settle_left_requests(pass_: RunningPass) -> None:
    """Settles requests without an answer whose lines no longer wait, by what a sync has stored since."""
    pass_.connection.execute(_SETTLE_LEFT, [pass_.lane.account])


def orders_to_accept(pass_: RunningPass, waiting: Sequence[str]) -> list[str]:
    """The ids of the orders that wait, and of those with a request whose answer was lost.

    If such a request was done, the order's lines no longer wait, and it is not among those that wait. `waiting`: the
    orders that were listed because they wait. Where the sync needs no such list, they are those that are stored.
    """
    parameters = [pass_.lane.account]
    found = [order_id for (order_id,) in pass_.connection.execute(_UNANSWERED, parameters)]
    if "waiting" not in pass_.adapter.new_order_listings:
        found += [order_id for (order_id,) in pass_.connection.execute(_PENDING_ORDERS, parameters)]
    return sorted({*waiting, *found})


def accept_lines(
    pass_: RunningPass, order_ids: Sequence[str], *, accepts_short: bool, oversell: frozenset[str] = frozenset()
) -> Iterator[AcceptanceOutcome]:
    """Accepts the lines of these orders that wait, one request for each step of the iterator.

    A line that is refused does not stop the others. `accepts_short`: accept lines whose pieces are not locked, too.
    `oversell`: the accounts that may lock stock below zero. Call this with the authority to act outside. Afterwards,
    hand the outcomes to `store_accepted_orders`.

    Raises MarketplaceError if the marketplace answers a request with anything but an acceptance or a refusal.
    """
    if not accepts_short:
        # All at once, so that the oldest order gets its pieces first.
        lock_orders(StockConnection(pass_.connection), pass_.lane.account, order_ids, oversell)
    rules = _Rules(accepts_short, oversell)
    for waiting in _waiting(pass_, order_ids):
        if accepts_short or not waiting.is_short:
            yield _accept(pass_, waiting, rules)


def store_accepted_orders(pass_: RunningPass, outcomes: Sequence[AcceptanceOutcome]) -> None:
    """Stores the orders as they are after their acceptance: from the answers, or fetched where these lack them."""
    records = [outcome.order for outcome in outcomes if outcome.order is not None]
    records += _orders_missing_in_answers(pass_, outcomes)
    if records:
        with open_merger(pass_) as merger:
            merge_batch(pass_, merger, records)


class _Rules(NamedTuple):
    """What may be accepted."""

    accepts_short: bool
    oversell: frozenset[str]


def _waiting(pass_: RunningPass, order_ids: Sequence[str]) -> list[_Waiting]:
    """What waits, with earlier requests."""
    account, connection = pass_.lane.account, pass_.connection
    lines = connection.execute(
        _WAITING_LINES,
        {
            "account": account, "orders": list(order_ids), "pending": Status.PENDING,
            "unit": pass_.adapter.acceptance_unit,
        },
    ).fetchall()  # fmt: skip
    earlier = {
        AcceptanceTarget(order_id, sku, item_id): _Earlier(requests, last_state)
        for order_id, sku, item_id, requests, last_state in connection.execute(
            _EARLIER_REQUESTS, [account, list(order_ids)]
        )
    }
    return [
        _Waiting(target, short, item_ids, earlier.get(target))
        for order_id, sku, item_id, short, item_ids in lines
        for target in [AcceptanceTarget(order_id, sku, item_id)]
    ]


def _orders_missing_in_answers(pass_: RunningPass, outcomes: Sequence[AcceptanceOutcome]) -> list[RawRecord]:
    """Orders whose acceptance was not answered with the order: fetched, so that their new status is stored now."""
    last_accepted = {outcome.target.order_id: outcome for outcome in outcomes if outcome.state == "accepted"}
    fetched: list[RawRecord] = []
    for order_id in (order_id for order_id, last in last_accepted.items() if last.order is None):
        try:
            order = fetch_order(pass_.adapter, order_id)
        except OF_ONE_RECORD as error:
            # It is accepted: `modified` will bring its new status.
            pass_.add(PassSummary(problems=[f"order {order_id}: accepted, but could not be fetched anew: {error}"]))
            continue
        fetched += [order] if order is not None else []
    return fetched


def _accept(pass_: RunningPass, waiting: _Waiting, rules: _Rules) -> AcceptanceOutcome:
    """One request, unless the lines left the waiting state, lost their pieces, or too many requests were sent."""
    target = waiting.target
    if waiting.earlier is not None and (outcome := _after_earlier(pass_, target, waiting.earlier)) is not None:
        return outcome
    stock = StockConnection(pass_.connection)
    with pass_.connection.transaction() if rules.accepts_short else stock.changing():
        if not rules.accepts_short:
            lock_orders(stock, pass_.lane.account, [target.order_id], rules.oversell)
        now = _still_waiting(pass_, target)
        if now is None or (now.is_short and not rules.accepts_short):
            return AcceptanceOutcome(target, "left" if now is None else "short")
        acceptance_id = _store_request(pass_, target, now.item_ids)
    outcome = _send(pass_, target, now.item_ids, acceptance_id)
    if outcome.state in ("accepted", "lost") and not rules.accepts_short and _lost_its_pieces(pass_, target):
        problem = f"{target}: its pieces were taken back while its acceptance was under way; the lines are short now"
        return replace(outcome, problem="; ".join(filter(None, [outcome.problem, problem])))
    return outcome


def _send(
    pass_: RunningPass, target: AcceptanceTarget, item_ids: Sequence[str], acceptance_id: int
) -> AcceptanceOutcome:
    """Sends a request that is stored, and stores its answer."""
    try:
        answer = pass_.adapter.accept(target, item_ids)
    except AnswerLostError as error:
        _store_answer(pass_, acceptance_id, "lost", None, str(error))
        return AcceptanceOutcome(target, "lost", problem=f"{target}: acceptance without answer: {error}")
    except RequestRefusedError as error:
        _store_answer(pass_, acceptance_id, "refused", error.status, str(error))
        return AcceptanceOutcome(target, "refused", problem=f"{target}: acceptance refused: {error}")
    except MarketplaceUnavailableError as error:
        # Certainly not done (429, or no connection at all): the next pass sends it as if this one had not been.
        _store_answer(pass_, acceptance_id, "failed", None, str(error))
        return AcceptanceOutcome(target, "failed", problem=f"{target}: not accepted: {error}")
    except MarketplaceError as error:
        _store_answer(pass_, acceptance_id, "lost", None, str(error))
        raise
    _store_answer(pass_, acceptance_id, "accepted", answer.status, "accepted")
    log.info("%s: accepted %s", pass_.lane, target)
    return AcceptanceOutcome(target, "accepted", answer.order)


def _after_earlier(pass_: RunningPass, target: AcceptanceTarget, earlier: _Earlier) -> AcceptanceOutcome | None:
    """Fetches and stores the order anew, since earlier requests may have been done; None: a request is to be sent."""
    try:
        problem = None
        order = fetch_order(pass_.adapter, target.order_id)
        if order is not None:
            with open_merger(pass_) as merger:
                problem = next((found.one_line() for found in merge_batch(pass_, merger, [order]).rejected), None)
    except OF_ONE_RECORD as error:
        if error.concerns_all_calls:
            raise
        order, problem = None, str(error)
    if problem is not None:
        problem = f"{target}: not accepted, since the order could not be read anew: {problem}"
        return AcceptanceOutcome(target, "failed", problem=problem)
    if order is None or _still_waiting(pass_, target) is None:
        _settle_earlier(pass_, target, earlier)
        return AcceptanceOutcome(target, "left")
    if earlier.requests >= MAX_REQUESTS:
        problem = (
            f"{target}: still waits after {earlier.requests} requests, so no more are sent; "
            "accept it by hand in the marketplace's back office"
        )
        return AcceptanceOutcome(target, "given up", problem=problem)
    return None


def _still_waiting(pass_: RunningPass, target: AcceptanceTarget) -> _Waiting | None:
    return next((waiting for waiting in _waiting(pass_, [target.order_id]) if waiting.target == target), None)


def _lost_its_pieces(pass_: RunningPass, target: AcceptanceTarget) -> bool:
    still_waiting = _still_waiting(pass_, target)
    return still_waiting is not None and still_waiting.is_short


def _store_request(pass_: RunningPass, target: AcceptanceTarget, item_ids: Sequence[str]) -> int:
    row = pass_.connection.execute(
        """
        INSERT INTO acceptances (account, order_id, sku, item_id, state, request)
        VALUES (%s, %s, %s, %s, 'requested', %s) RETURNING acceptance_id
        """,
        [pass_.lane.account, *target, Jsonb({**target._asdict(), "items": list(item_ids), "accept": True})],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _store_answer(pass_: RunningPass, acceptance_id: int, state: str, status: int | None, answer: str) -> None:
    pass_.connection.execute(
        "UPDATE acceptances SET state = %s, answer_status = %s, answer = %s, answered_at = now() "
        "WHERE acceptance_id = %s",
        [state, status, answer[:500], acceptance_id],
    )


def _settle_earlier(pass_: RunningPass, target: AcceptanceTarget, earlier: _Earlier) -> None:
    """Stores that the lines no longer wait, in the row of an earlier request that has no answer."""
    if earlier.last_state in ("requested", "lost"):
        pass_.connection.execute(
            """
            UPDATE acceptances SET state = 'left', answered_at = now(),
              answer = coalesce(answer || '; ', '') || 'the order was fetched anew: the line no longer waits'
            WHERE account = %s AND order_id = %s AND sku = %s AND item_id = %s AND state IN ('requested', 'lost')
            """,
            [pass_.lane.account, *target],
        )
