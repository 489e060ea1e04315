"""The ledger of requests to accept or refuse orderlines: each is a row before it is sent, and keeps its answer."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget

Decision = Literal["accept", "refuse"]
"""What a request is about: to accept all its lines, or to refuse at least one of them."""
RequestState = Literal["accepted", "done", "refused", "failed", "lost"]
"""What became of a request; `done`: a refusal was carried out. The comment of acceptances.state explains the others."""


class DecidedLines(NamedTuple):
    """What one request asks of the marketplace."""

    target: AcceptanceTarget
    accepted: Sequence[str]
    """The ids of the items that are accepted."""
    refused: Sequence[str] = ()
    reason: str | None = None
    """Why items are refused."""

    @property
    def decision(self) -> Decision:
        """What the request is about."""
        return "refuse" if self.refused else "accept"


class EarlierRequest(NamedTuple):
    """An earlier request that may have been processed."""

    target: AcceptanceTarget
    decision: str
    state: str

    def is_about(self, target: AcceptanceTarget) -> bool:
        """Whether it is about lines of the target, too: it may name the order only, and the target one SKU of it."""
        pairs = zip(self.target[1:], target[1:], strict=True)
        return self.target.order_id == target.order_id and all(mine in ("", its) or its == "" for mine, its in pairs)


def earlier_requests(connection: Connection, account: str, target: AcceptanceTarget) -> list[EarlierRequest]:
    """The requests for lines of the target; none of those that were certainly not processed (`failed`)."""
    rows = connection.execute(_EARLIER, [account, target.order_id])
    found = [EarlierRequest(AcceptanceTarget(*names), decision, state) for *names, decision, state in rows]
    return [request for request in found if request.is_about(target)]


def unanswered_orders(connection: Connection, account: str) -> list[str]:
    """The ids of the orders with a request whose answer was lost."""
    return [order_id for (order_id,) in connection.execute(_UNANSWERED, [account])]


def store_request(connection: Connection, account: str, lines: DecidedLines) -> int:
    """Stores a request that is about to be sent; returns its number."""
    target, accepted, refused, reason = lines
    content = {**target._asdict(), "items": list(refused or accepted), "accept": not refused}
    if refused and accepted:
        content["accepted_items"] = list(accepted)
    row = connection.execute(_STORE, [account, *target, lines.decision, reason, Jsonb(content)]).fetchone()
    assert row is not None
    return int(row[0])


def store_answer(
    connection: Connection, acceptance_id: int, state: RequestState, status: int | None, answer: str
) -> None:
    """Stores what became of a request. `answer`: one line without buyer's data."""
    connection.execute(_ANSWER, [state, status, answer[:500], acceptance_id])


def settle_requests(connection: Connection, account: str) -> None:
    """Settles every request without an answer, by what is stored: `left` if its lines no longer wait, else `lost`.

    Call it while the lane of `new` is held and no request is under way: no answer can come any more then, since the run
    that stored the request has died.
    """
    connection.execute(_SETTLE, [account])


def settle_earlier(connection: Connection, account: str, earlier: Sequence[EarlierRequest]) -> None:
    """Stores that the lines of these requests no longer wait, where the answer was lost."""
    for target in {request.target for request in earlier if request.state == "lost"}:
        connection.execute(_SETTLE_EARLIER, [account, *target])


_EARLIER = """
SELECT order_id, sku, item_id, decision, state FROM acceptances
WHERE account = %s AND order_id = %s AND state <> 'failed' ORDER BY acceptance_id
"""
_UNANSWERED = "SELECT DISTINCT order_id FROM acceptances WHERE account = %s AND state = 'lost'"
_STORE = """
INSERT INTO acceptances (account, order_id, sku, item_id, state, decision, reason, request)
VALUES (%s, %s, %s, %s, 'requested', %s, %s, %s) RETURNING acceptance_id
"""
_ANSWER = """
UPDATE acceptances SET state = %s, answer_status = %s, answer = %s, answered_at = now() WHERE acceptance_id = %s
"""
_SETTLE = """
UPDATE acceptances request SET state = CASE WHEN now.waits THEN 'lost' ELSE 'left' END, answered_at = now(),
  answer = concat_ws('; ', answer,
    CASE WHEN request.state = 'requested' THEN 'the run died before the answer was stored' END,
    CASE WHEN NOT now.waits THEN 'a sync found that the line no longer waits' END)
FROM (
  SELECT acceptance_id, EXISTS (
    SELECT FROM order_items item
    WHERE item.account = unanswered.account AND item.order_id = unanswered.order_id AND item.status = 'pending'
      AND unanswered.sku IN ('', item.sku) AND unanswered.item_id IN ('', item.item_id)) AS waits
  FROM acceptances unanswered WHERE account = %s AND state IN ('requested', 'lost')) now
WHERE request.acceptance_id = now.acceptance_id AND (request.state = 'requested' OR NOT now.waits)
"""
_SETTLE_EARLIER = """
UPDATE acceptances SET state = 'left', answered_at = now(),
  answer = coalesce(answer || '; ', '') || 'the order was fetched anew: the line no longer waits'
WHERE account = %s AND order_id = %s AND sku = %s AND item_id = %s AND state = 'lost'
"""
