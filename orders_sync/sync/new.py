"""`new`: orders created since the watermark, and whatever waits for the merchant.

What waits is asked for as well because the list by creation leaves out unpaid orders: one that is paid hours after
it was created appears behind the watermark.
"""

from collections.abc import Iterator
from itertools import chain

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.records import RecordRejectedError
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.merge_pages import merge_all, merge_batch, open_merger
from orders_sync.sync.rejected_records import unresolved
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.window import RETRIES_A_PASS, finish, pass_start, up_to_end, window_end


def sync(pass_: RunningPass) -> list[str]:
    """One pass; returns the ids of the orders that wait for the merchant.

    Raises a MarketplaceError where the pass could not be whole.
    """
    start = pass_start(pass_, pass_.request.start)
    pass_.summary.range_start = start
    waiting: list[str] = []
    ends = None
    with open_merger(pass_) as merger:
        for listing in pass_.adapter.new_order_listings:
            pages = pass_.adapter.orders(listing, None if listing == "waiting" else start)
            first = next(pages, list[RawRecord]())  # the first answer tells the marketplace's clock
            ends = ends or window_end(pass_)
            found = up_to_end(pass_, listing, chain([first], pages))
            merge_all(pass_, merger, _noting(found, waiting) if listing == "waiting" else found)
        retry_rejected(pass_, merger, most=RETRIES_A_PASS)
        finish(pass_, ends or window_end(pass_))
    return waiting


def _noting(pages: Iterator[list[RawRecord]], order_ids: list[str]) -> Iterator[list[RawRecord]]:
    for page in pages:
        order_ids += [record.record_id for record in page]
        yield page


def retry_rejected(pass_: RunningPass, merger: OrderMerger, *, most: int | None) -> None:
    """Tries rejected orders again: asks for each anew, and checks the kept record where that brings none.

    At most `most` of them, the oldest first.
    """
    kept = unresolved(pass_.connection, pass_.lane.account, "order", most=most, before=pass_.began)
    for record_id, raw in kept.items():
        asked = "" if record_id.startswith("hash:") else record_id
        record = pass_.adapter.order(asked) if asked else None
        if record is None or record.raw == raw:
            record = RawRecord(asked, raw, b"")
            if not _passes_now(merger, record):
                continue
        merge_batch(pass_, merger, [record])


def _passes_now(merger: OrderMerger, record: RawRecord) -> bool:
    try:
        merger.check(record)
    except RecordRejectedError:
        return False
    return True
