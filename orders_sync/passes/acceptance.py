"""Acceptance of orderlines that wait for the merchant: the only writes to a marketplace.

It follows the commit and never precedes it. Every request is a row before it is sent, and its answer lands on that
row. A line is asked to be accepted only while it still waits: in the answer of this very pass, or, where an earlier
request was refused or its answer got lost, after asking for the order anew.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, RawRecord
from orders_sync.marketplaces.kit.errors import (
    AnswerLostError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.model.statuses import Status
from orders_sync.sync.merge_pages import merge_batch, open_merger
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

MAX_REQUESTS = 5
"""Requests for the same lines; then a person has to look (`orders-sync doctor` tells)."""

_WAITING = """
SELECT item.order_id, CASE WHEN %(by)s = 'order' THEN '' ELSE item.sku END AS sku,
       CASE WHEN %(by)s = 'item' THEN item.item_id ELSE '' END AS item_id,
       bool_or(lock.state = 'short' OR lock.state IS NULL) AS short
FROM order_items item
LEFT JOIN stock_locks lock ON lock.account = item.account AND lock.item_id = item.item_id
WHERE item.account = %(account)s AND item.order_id = ANY(%(orders)s) AND item.status = %(pending)s
  AND NOT EXISTS (
    SELECT FROM rejected_records bad WHERE bad.account = item.account AND bad.kind = 'order'
      AND bad.record_id = item.order_id AND bad.resolved_at IS NULL)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_EARLIER = """
SELECT order_id, sku, item_id, count(*), (array_agg(state ORDER BY acceptance_id DESC))[1]
FROM acceptances WHERE account = %s AND order_id = ANY(%s) GROUP BY order_id, sku, item_id
"""
_UNANSWERED = """
SELECT DISTINCT order_id FROM acceptances WHERE account = %s AND state IN ('requested', 'lost')
"""


@dataclass
class _Earlier:
    requests: int
    state: str


def accept_waiting(pass_: RunningPass, waiting: Sequence[str]) -> None:
    """Accepts the waiting lines of these orders. One refusal does not stop the others.

    Orders with a request whose answer was lost are looked at as well: if the request was done, they no longer wait.
    Call it with the authority to act outside, once what the locks say of short lines is up to date.
    """
    settings = pass_.request.account.settings
    unanswered = pass_.connection.execute(_UNANSWERED, [pass_.lane.account]).fetchall()
    order_ids = sorted({*waiting, *(order_id for (order_id,) in unanswered)})
    if not order_ids:
        return
    rows = pass_.connection.execute(
        _WAITING,
        {
            "account": pass_.lane.account, "orders": order_ids, "pending": Status.PENDING,
            "by": pass_.adapter.acceptance_unit,
        },
    ).fetchall()  # fmt: skip
    earlier = {
        AcceptanceTarget(order_id, sku, item_id): _Earlier(count, state)
        for order_id, sku, item_id, count, state in pass_.connection.execute(_EARLIER, [pass_.lane.account, order_ids])
    }
    answers: list[RawRecord] = []
    accepted_before = pass_.summary.accepted
    told: dict[str, bool] = {}
    for order_id, sku, item_id, short in rows:
        if short and not settings.accept_short_lines:
            continue
        target = AcceptanceTarget(order_id, sku, item_id)
        answer = _accept(pass_, target, earlier.get(target))
        if answer is not None:
            answers.append(answer)
        if pass_.summary.accepted > accepted_before:
            accepted_before, told[order_id] = pass_.summary.accepted, answer is not None
        pass_.note_progress()
    for order_id in (order_id for order_id, is_told in told.items() if not is_told):
        # The answer does not carry the order: ask for it, so that what follows from the acceptance need not wait.
        now = pass_.adapter.order(order_id)
        answers += [now] if now is not None else []
    if answers:
        with open_merger(pass_) as merger:
            merge_batch(pass_, merger, answers)


def _accept(pass_: RunningPass, target: AcceptanceTarget, before: _Earlier | None) -> RawRecord | None:
    """One request, unless an earlier one was sent and the line has left the waiting state since."""
    if before is not None:
        record = pass_.adapter.order(target.order_id)
        if record is None or not _still_waits(pass_, record, target):
            _resolve_earlier(pass_, target, before)
            return record
        if before.requests >= MAX_REQUESTS:
            pass_.summary.problems.append(f"{target}: still waits after {before.requests} requests; please look at it")
            return None
    acceptance_id = _requested(pass_, target)
    try:
        answer = pass_.adapter.accept(target)
    except AnswerLostError as problem:
        _answered(pass_, acceptance_id, "lost", None, str(problem))
        pass_.summary.problems.append(f"{target}: acceptance without answer: {problem}")
        return None
    except RequestRefusedError as problem:
        _answered(pass_, acceptance_id, "refused", problem.status, str(problem))
        pass_.summary.refused += 1
        pass_.summary.problems.append(f"{target}: acceptance refused: {problem}")
        return None
    except MarketplaceUnavailableError as problem:
        # Certainly not done (429, or no connection at all): on record, and tried again in the next pass.
        _answered(pass_, acceptance_id, "refused", None, str(problem))
        pass_.summary.problems.append(f"{target}: not accepted: {problem}")
        return None
    except MarketplaceError as problem:
        _answered(pass_, acceptance_id, "lost", None, str(problem))
        raise
    _answered(pass_, acceptance_id, "accepted", answer.status, "accepted")
    pass_.summary.accepted += 1
    log.info("%s: accepted %s", pass_.lane, target)
    return answer.order


def _still_waits(pass_: RunningPass, record: RawRecord, target: AcceptanceTarget) -> bool:
    items = pass_.adapter.decode_order(record.raw).items or []
    return any(
        item.status == Status.PENDING and target.sku in ("", item.sku) and target.item_id in ("", item.item_id)
        for item in items
    )


def _requested(pass_: RunningPass, target: AcceptanceTarget) -> int:
    row = pass_.connection.execute(
        """
        INSERT INTO acceptances (account, order_id, sku, item_id, state, request)
        VALUES (%s, %s, %s, %s, 'requested', %s) RETURNING acceptance_id
        """,
        [pass_.lane.account, *target, Jsonb({**target._asdict(), "accept": True})],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _answered(pass_: RunningPass, acceptance_id: int, state: str, status: int | None, answer: str) -> None:
    pass_.connection.execute(
        "UPDATE acceptances SET state = %s, answer_status = %s, answer = %s, answered_at = now() "
        "WHERE acceptance_id = %s",
        [state, status, answer[:500], acceptance_id],
    )


def _resolve_earlier(pass_: RunningPass, target: AcceptanceTarget, before: _Earlier) -> None:
    """Asking again showed that the line no longer waits: the lost or cut-off request is settled."""
    if before.state in ("requested", "lost"):
        pass_.connection.execute(
            """
            UPDATE acceptances SET state = 'left', answered_at = now(),
              answer = coalesce(answer || '; ', '') || 'asked again: the line no longer waits'
            WHERE account = %s AND order_id = %s AND sku = %s AND item_id = %s AND state IN ('requested', 'lost')
            """,
            [pass_.lane.account, *target],
        )
