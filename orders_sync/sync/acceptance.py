"""Acceptance of orderlines that wait for the merchant: the only writes to a marketplace.

It follows the commit and never precedes it. Every request is a row before it is sent, and its answer lands on that
row. A line is asked to be accepted only while it still waits: in the answer of this very pass, or, where an earlier
request was refused or its answer got lost, after asking for the order anew.
"""

import logging
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from orders_sync.marketplaces.base import (
    AnswerLost,
    MarketplaceError,
    RawRecord,
    Refused,
    Unavailable,
    Waiting,
)
from orders_sync.migration.phase import Phase, keep_phase, let_phase_move
from orders_sync.stock.locks import apply_pending
from orders_sync.sync.context import Pass
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.orders_pass import merge_batch
from orders_sync.sync.statuses import Status

log = logging.getLogger("orders_sync.sync")

MOST_REQUESTS = 5
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


def accept_waiting(work: Pass, merger: OrderMerger, order_ids: list[str]) -> None:
    """Accepts the waiting lines of these orders, if the account says so. One refusal does not stop the others.

    Orders with a request whose answer is not known are looked at as well: if it was done, they no longer wait.
    """
    settings = work.request.account.settings
    if not settings.accept_orderlines or work.adapter.accepts_by is None:
        return
    try:
        if keep_phase(work.connection) is Phase.LIVE:  # else V1 is the truth: V2 acts on nothing outside
            _accept_all(work, merger, order_ids)
    finally:
        let_phase_move(work.connection)


def _accept_all(work: Pass, merger: OrderMerger, order_ids: list[str]) -> None:
    settings = work.request.account.settings
    unanswered = work.connection.execute(_UNANSWERED, [work.lane.account]).fetchall()
    order_ids = sorted({*order_ids, *(order_id for (order_id,) in unanswered)})
    if not order_ids:
        return
    if not settings.accept_short_lines:
        apply_pending(work.connection)  # which lines are short must be known before they are accepted
    rows = work.connection.execute(
        _WAITING,
        {
            "account": work.lane.account, "orders": order_ids, "pending": Status.PENDING,
            "by": work.adapter.accepts_by,
        },
    ).fetchall()  # fmt: skip
    earlier = {
        Waiting(order_id, sku, item_id): _Earlier(count, state)
        for order_id, sku, item_id, count, state in work.connection.execute(_EARLIER, [work.lane.account, order_ids])
    }
    answers: list[RawRecord] = []
    accepted_before = work.summary.accepted
    told: dict[str, bool] = {}
    for order_id, sku, item_id, short in rows:
        if short and not settings.accept_short_lines:
            continue
        waiting = Waiting(order_id, sku, item_id)
        answer = _accept(work, waiting, earlier.get(waiting))
        if answer is not None:
            answers.append(answer)
        if work.summary.accepted > accepted_before:
            accepted_before, told[order_id] = work.summary.accepted, answer is not None
        work.note_progress()
    for order_id in (order_id for order_id, is_told in told.items() if not is_told):
        # The answer does not carry the order: ask for it, so that what follows from the acceptance need not wait.
        now = work.adapter.order(order_id)
        answers += [now] if now is not None else []
    if answers:
        fetched = work.summary.fetched
        merge_batch(work, merger, answers)
        work.summary.fetched = fetched


def _accept(work: Pass, waiting: Waiting, before: _Earlier | None) -> RawRecord | None:
    """One request, unless an earlier one was sent and the line has left the waiting state since."""
    if before is not None:
        record = work.adapter.order(waiting.order_id)
        if record is None or not _still_waits(work, record, waiting):
            _resolve_earlier(work, waiting, before)
            return record
        if before.requests >= MOST_REQUESTS:
            work.summary.problems.append(f"{waiting}: still waits after {before.requests} requests; please look at it")
            return None
    acceptance_id = _requested(work, waiting)
    try:
        answer = work.adapter.accept(waiting)
    except AnswerLost as problem:
        _answered(work, acceptance_id, "lost", None, str(problem))
        work.summary.problems.append(f"{waiting}: acceptance without answer: {problem}")
        return None
    except Refused as problem:
        _answered(work, acceptance_id, "refused", problem.status, str(problem))
        work.summary.refused += 1
        work.summary.problems.append(f"{waiting}: acceptance refused: {problem}")
        return None
    except Unavailable as problem:
        # Certainly not done (429, or no connection at all): on record, and tried again in the next pass.
        _answered(work, acceptance_id, "refused", None, str(problem))
        work.summary.problems.append(f"{waiting}: not accepted: {problem}")
        return None
    except MarketplaceError as problem:
        _answered(work, acceptance_id, "lost", None, str(problem))
        raise
    _answered(work, acceptance_id, "accepted", answer.status, "accepted")
    work.summary.accepted += 1
    log.info("%s: accepted %s", work.lane, waiting)
    return answer.order


def _still_waits(work: Pass, record: RawRecord, waiting: Waiting) -> bool:
    items = work.adapter.decode_order(record.raw).items or []
    return any(
        item.status == Status.PENDING and waiting.sku in ("", item.sku) and waiting.item_id in ("", item.item_id)
        for item in items
    )


def _requested(work: Pass, waiting: Waiting) -> int:
    row = work.connection.execute(
        """
        INSERT INTO acceptances (account, order_id, sku, item_id, state, request)
        VALUES (%s, %s, %s, %s, 'requested', %s) RETURNING acceptance_id
        """,
        [work.lane.account, *waiting, Jsonb({**waiting._asdict(), "accept": True})],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _answered(work: Pass, acceptance_id: int, state: str, status: int | None, answer: str) -> None:
    work.connection.execute(
        "UPDATE acceptances SET state = %s, answer_status = %s, answer = %s, answered_at = now() "
        "WHERE acceptance_id = %s",
        [state, status, answer[:500], acceptance_id],
    )


def _resolve_earlier(work: Pass, waiting: Waiting, before: _Earlier) -> None:
    """Asking again showed that the line no longer waits: the lost or cut-off request is settled."""
    if before.state in ("requested", "lost"):
        work.connection.execute(
            """
            UPDATE acceptances SET state = 'left', answered_at = now(),
              answer = coalesce(answer || '; ', '') || 'asked again: the line no longer waits'
            WHERE account = %s AND order_id = %s AND sku = %s AND item_id = %s AND state IN ('requested', 'lost')
            """,
            [work.lane.account, *waiting],
        )
