"""The orderlines that wait for the merchant: since when, whether their stock is locked, and when they are refused."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, AcceptanceUnit
from orders_sync.stock.connection import StockConnection

REFUSAL_NOTICE = timedelta(hours=1)
"""A line is refused only if it has been short for so long: `orders-sync acceptance waiting` shows it before."""

MAX_REQUESTS = 5
"""How many requests that are not `failed` are sent about a line, to accept or to refuse it. After that a person has to
decide about it; `orders-sync doctor` counts such lines."""

ODD_DAYS = 30
"""No marketplace lets a line wait so long: an order paid so long before we first stored it has a wrong time."""


class WaitingLine(NamedTuple):
    """An orderline that waits for the merchant to accept it."""

    account: str
    order_id: str
    item_id: str
    sku: str
    quantity: int
    waits_since: datetime
    """When the order was paid, or placed if the marketplace does not say, by its clock; by ours, when it was first
    stored, if neither is known or the time is odd: it has a flaw, lies in the future, or ODD_DAYS before that."""
    is_short: bool
    """Whether pieces of it are not locked."""
    short_since: datetime | None
    """Since when, by our clock; None where it has no lock that waits."""
    why_short: str | None
    is_rejected: bool
    """Whether the newest version of its order is rejected: nothing of the order is accepted or refused."""
    held_back: str | None
    """Why a person holds the order back from refusal; None: nobody does."""
    requests: int
    """How many requests to accept or refuse it were sent, those left out that were certainly not processed."""

    @property
    def is_given_up(self) -> bool:
        """Whether so many requests about it were in vain that no more are sent."""
        return self.requests >= MAX_REQUESTS

    def target(self, unit: AcceptanceUnit) -> AcceptanceTarget:
        """What a request about the line names, where one request is about this unit."""
        return AcceptanceTarget(
            self.order_id, self.sku if unit != "order" else "", self.item_id if unit == "item" else ""
        )

    def is_of(self, target: AcceptanceTarget) -> bool:
        """Whether a request with this target is about the line."""
        own = self.target("item")
        return target.order_id == own.order_id and target.sku in ("", own.sku) and target.item_id in ("", own.item_id)

    def refused_from(self, refuse_after: timedelta) -> datetime | None:
        """From when on it is refused if it is still short; None: it is not."""
        if not self.is_short or self.short_since is None or self.is_rejected or self.held_back is not None:
            return None
        return max(self.waits_since + refuse_after, self.short_since + REFUSAL_NOTICE)


def waiting_lines(
    stock: StockConnection, accounts: Sequence[str], order_ids: Sequence[str] | None = None
) -> list[WaitingLine]:
    """The lines of these accounts that wait, by order, SKU and id; only those of `order_ids`, unless it is None."""
    parameters = {"accounts": list(accounts), "odd_days": ODD_DAYS}
    if order_ids is None:
        return stock.rows_as(WaitingLine, _LINES + _BY_ORDER, parameters)
    parameters["orders"] = list(order_ids)
    return stock.rows_as(WaitingLine, _LINES + _OF_ORDERS + _BY_ORDER, parameters)


def count_waiting_lines(connection: Connection, accounts: Collection[str]) -> int:
    """How many lines of these accounts wait."""
    ((count,),) = connection.execute(_COUNT, [list(accounts)])
    return int(count)


def hold_back(stock: StockConnection, account: str, order_id: str, by: By, *, holds: bool) -> bool:
    """Holds an order back from refusal, or lets the account's setting count again; on record. False: no such order.

    Where that is so already, for the same reason, nothing changes.
    """
    values = {"account": account, "order": order_id, "holds": holds, "reason": by.reason, "by": by.user}
    with stock.transaction():
        if stock.execute(_HOLD, values).rowcount:
            act = Act.HOLD_BACK if holds else Act.UNDO_HOLD_BACK
            note_act(stock.connection, by, act, On(account, order_id))
            return True
        return stock.execute(_IS_STORED, values).fetchone() == (True,)


_LINES: LiteralString = """
SELECT item.account, item.order_id, item.item_id, item.sku, item.quantity,
  CASE WHEN paid.at BETWEEN placed.first_stored_at - make_interval(days => %(odd_days)s) AND now() AND NOT EXISTS (
    SELECT FROM record_flaws flaw WHERE flaw.account = item.account AND flaw.kind = 'order'
      AND flaw.record_id = item.order_id AND flaw.field IN ('created_at', 'paid_at'))
  THEN paid.at ELSE placed.first_stored_at END AS waits_since,
  item.kind = 'goods' AND lock.is_held IS NOT TRUE AS is_short, lock.short_since, lock.problem AS why_short,
  EXISTS (
    SELECT FROM rejected_records bad WHERE bad.account = item.account AND bad.kind = 'order'
      AND bad.record_id = item.order_id AND bad.resolved_at IS NULL) AS is_rejected,
  CASE WHEN hold.holds THEN hold.reason END AS held_back,
  (SELECT count(*) FROM acceptances request
   WHERE request.account = item.account AND request.order_id = item.order_id AND request.state NOT IN ('left', 'failed')
     AND request.sku IN ('', item.sku) AND request.item_id IN ('', item.item_id)) AS requests
FROM order_items item JOIN orders placed ON placed.account = item.account AND placed.order_id = item.order_id
-- Nobody pays before the order: such a time is a default date.
CROSS JOIN LATERAL (SELECT greatest(placed.paid_at, placed.created_at) AS at) paid
LEFT JOIN LATERAL (
  SELECT bool_and(state = 'locked') AS is_held, max(since) FILTER (WHERE state = 'short') AS short_since,
    string_agg(problem, '; ') FILTER (WHERE state = 'short') AS problem
  FROM stock_locks
  WHERE account = item.account AND item_id = item.item_id AND state IN ('locked', 'short')) lock ON true
LEFT JOIN LATERAL (
  SELECT holds, reason FROM refusal_holds
  WHERE account = item.account AND order_id = item.order_id ORDER BY hold_id DESC LIMIT 1) hold ON true
WHERE item.account = ANY(%(accounts)s) AND item.status = 'pending'
"""
_COUNT = "SELECT count(*) FROM order_items WHERE account = ANY(%s) AND status = 'pending'"
_OF_ORDERS: LiteralString = " AND item.order_id = ANY(%(orders)s)"
_BY_ORDER: LiteralString = " ORDER BY item.account, item.order_id, item.sku, item.item_id"
_HOLD = """
INSERT INTO refusal_holds (account, order_id, holds, reason, made_by)
SELECT account, order_id, %(holds)s, %(reason)s, %(by)s FROM orders
WHERE account = %(account)s AND order_id = %(order)s AND CASE WHEN %(holds)s THEN %(reason)s END IS DISTINCT FROM (
  SELECT CASE WHEN holds THEN reason END FROM refusal_holds
  WHERE account = %(account)s AND order_id = %(order)s ORDER BY hold_id DESC LIMIT 1)
"""
_IS_STORED = "SELECT EXISTS (SELECT FROM orders WHERE account = %(account)s AND order_id = %(order)s)"
