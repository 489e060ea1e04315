"""Orders that no list contains any more though one should: each is fetched by its id.

Back Market's lists leave out unpaid orders. An order whose payment fails after it was stored as waiting would keep its
lock for ever: no list ever shows its new state. So an order that waits for the merchant or holds a lock, and that a
list of this pass should have contained, is fetched by its id. An order that is listed costs no call.

One that can't be fetched is put off (see `put_off`): each pass tries it again, and is partial until it is fetched.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import LiteralString

from orders_sync.marketplaces.kit.adapter import OrderListing, RawRecord
from orders_sync.marketplaces.kit.errors import OF_ONE_RECORD
from orders_sync.marketplaces.kit.rate_limits import PausedError
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.shown_ids import shown_id
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.merge_pages import merge_batch
from orders_sync.sync.put_off import (
    SingleFetches,
    fetch_order,
    forget_put_off,
    put_off_orders,
    put_off_stored,
    summary_of,
)
from orders_sync.sync.rejected_records import resolve
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
SELECT order_id, raw::text, fingerprint FROM orders
WHERE account = %(account)s AND order_id = ANY(%(missing)s)
  AND (fetched_by_id_at IS NULL OR fetched_by_id_at < now() - interval '1 day' OR order_id = ANY(%(put_off)s))
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
        """Those that were fetched by their ids before."""

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

        Fetches at most MAX_FETCHES_PER_PASS. An order that stays unlisted is fetched again after a day, one that could
        not be fetched in the next pass. Ends early if the marketplace is down.
        """
        account, connection = self._pass.lane.account, self._pass.connection
        if not self._missing and not self._listed_again:
            return
        put_off = put_off_orders(connection, account)
        if self._listed_again:
            connection.execute(_LISTED_AGAIN, [account, self._listed_again])
            for order_id in put_off.intersection(self._listed_again):
                forget_put_off(connection, account, order_id)
        stored = connection.execute(
            _NEXT,
            {
                "account": account, "missing": list(self._missing), "put_off": list(put_off),
                "limit": MAX_FETCHES_PER_PASS, "accepts": self._pass.request.account.settings.accept_orderlines,
            },
        ).fetchall()  # fmt: skip
        fetches = SingleFetches()
        for order_id, raw, fingerprint in stored:
            if not self._fetch(merger, fetches, RawRecord(order_id, raw.encode(), bytes(fingerprint))):
                return

    def _fetch(self, merger: OrderMerger, fetches: SingleFetches, stored: RawRecord) -> bool:
        """Fetches and merges one order; whether the marketplace still works."""
        account, connection, order_id = self._pass.lane.account, self._pass.connection, stored.record_id
        try:
            record = fetch_order(self._pass.adapter, order_id)
        except PausedError:
            raise
        except OF_ONE_RECORD as problem:
            connection.execute(_NOTE_FETCHED, [account, order_id])
            put_off_stored(connection, account, self._pass.adapter, stored, problem, self._pass.kept_fields)
            self._pass.add(summary_of("order", order_id, problem))
            return not fetches.is_down(problem)
        fetches.note_success()
        connection.execute(_NOTE_FETCHED, [account, order_id])
        if record is None:
            forget_put_off(connection, account, order_id)
            text = (
                f"order {shown_id(order_id)} waits or holds a lock, and the marketplace no longer has it; look at it "
                "in the marketplace's back office"
            )
            self._pass.add(PassSummary(problems=[text]))
            return True
        self._pass.add(PassSummary(fetched=1))
        if not merge_batch(self._pass, merger, [record]).rejected:
            resolve(connection, account, "order", {order_id: None})
        return True
