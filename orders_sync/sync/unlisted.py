"""Orders that no list contains any more though one should: each is fetched by its id.

Back Market's lists leave out unpaid orders. An order whose payment fails after it was stored as waiting would keep its
lock for ever: no list ever shows its new state. So an order that waits for the merchant or holds a lock, and that a
list of this pass should have contained, is fetched by its id. An order that is listed costs no call.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import LiteralString

from orders_sync.marketplaces.kit.adapter import OrderListing, RawRecord
from orders_sync.marketplaces.kit.errors import BadAnswerError, MarketplaceUnavailableError, RequestRefusedError
from orders_sync.marketplaces.kit.rate_limits import PausedError
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.merge_pages import merge_batch
from orders_sync.sync.running_pass import RunningPass

MAX_FETCHES_PER_PASS = 20
"""How many orders a pass fetches by their ids at most."""

#: The orders that a listing should contain: those that wait, for the list of these; else those that also hold a lock.
_WAITING: LiteralString = (
    "SELECT order_id, fetched_by_id_at FROM orders WHERE account = %(account)s AND status = 'pending'"
)
_LOCKED: LiteralString = """
SELECT order_id, fetched_by_id_at FROM orders
WHERE account = %(account)s AND order_id IN (
  SELECT order_id FROM stock_locks WHERE account = %(account)s AND locked > 0 AND state IN ('locked', 'short'))
"""
_CREATED: LiteralString = " AND created_at >= %(since)s"
_MODIFIED: LiteralString = " AND coalesce(modified_at, created_at) >= %(since)s"
_EXPECTED: dict[OrderListing, LiteralString] = {
    "waiting": _WAITING,
    "created": _WAITING + _CREATED + " UNION " + _LOCKED + _CREATED,
    "modified": _WAITING + _MODIFIED + " UNION " + _LOCKED + _MODIFIED,
}
_NEXT = """
SELECT order_id FROM orders
WHERE account = %(account)s AND order_id = ANY(%(missing)s)
  AND (fetched_by_id_at IS NULL OR fetched_by_id_at < now() - interval '1 day')
  -- The acceptance of the pass fetches these, since it needs to know what became of its request.
  AND NOT (%(accepts)s AND EXISTS (SELECT FROM acceptances sent WHERE sent.account = orders.account
    AND sent.order_id = orders.order_id AND sent.state IN ('requested', 'lost')))
ORDER BY fetched_by_id_at NULLS FIRST, order_id LIMIT %(limit)s
"""
_NOTE_FETCHED = "UPDATE orders SET fetched_by_id_at = now() WHERE account = %s AND order_id = %s"
_LISTED_AGAIN = "UPDATE orders SET fetched_by_id_at = NULL WHERE account = %s AND order_id = ANY(%s)"


class ExpectedOrders:
    """The stored orders that the lists of a pass should contain, less those that they did contain so far."""

    def __init__(self, pass_: RunningPass) -> None:
        self._pass = pass_
        self._missing: dict[str, datetime | None] = {}
        """When each was last fetched by its id, by the order's id."""
        self._listed_again: list[str] = []

    def expect(self, listing: OrderListing, since: datetime | None) -> None:
        """Adds the orders that this list should contain. Call it before the list is read."""
        parameters = {"account": self._pass.lane.account, "since": since}
        self._missing.update(self._pass.connection.execute(_EXPECTED[listing], parameters).fetchall())

    def noting(self, pages: Iterable[list[RawRecord]]) -> Iterator[list[RawRecord]]:
        """The pages as they are; their orders are no longer missing."""
        for page in pages:
            if self._missing:
                for record in page:
                    if self._missing.pop(record.record_id, None) is not None:
                        self._listed_again.append(record.record_id)
            yield page

    def fetch(self, merger: OrderMerger) -> None:
        """Fetches orders that no list contained by their ids, and merges them: those fetched longest ago first.

        Fetches at most MAX_FETCHES_PER_PASS. An order that stays unlisted is fetched again after a day.
        """
        account, connection = self._pass.lane.account, self._pass.connection
        if self._listed_again:
            connection.execute(_LISTED_AGAIN, [account, self._listed_again])
        if not self._missing:
            return
        order_ids = connection.execute(
            _NEXT,
            {
                "account": account, "missing": list(self._missing), "limit": MAX_FETCHES_PER_PASS,
                "accepts": self._pass.request.account.settings.accept_orderlines,
            },
        ).fetchall()  # fmt: skip
        self._fetch(merger, [order_id for (order_id,) in order_ids])

    def _fetch(self, merger: OrderMerger, order_ids: Sequence[str]) -> None:
        account, connection = self._pass.lane.account, self._pass.connection
        for order_id in order_ids:
            try:
                record = self._pass.adapter.order(order_id)
            except PausedError:
                raise
            except (RequestRefusedError, BadAnswerError, MarketplaceUnavailableError) as error:
                connection.execute(_NOTE_FETCHED, [account, order_id])
                self._problem(order_id, f"is not listed any more, and can't be had by its id: {error}")
                if isinstance(error, MarketplaceUnavailableError):
                    return  # each further one would take as long; the next pass goes on
                continue
            connection.execute(_NOTE_FETCHED, [account, order_id])
            if record is None:
                self._problem(
                    order_id,
                    "waits or holds a lock, and the marketplace no longer has it; look at it in the marketplace's back "
                    "office",
                )
                continue
            self._pass.add(PassSummary(fetched=1))
            merge_batch(self._pass, merger, [record])

    def _problem(self, order_id: str, text: str) -> None:
        self._pass.add(PassSummary(problems=[f"order {order_id} {text}"]))
