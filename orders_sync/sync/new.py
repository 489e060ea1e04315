"""`new`: orders created since the watermark, and whatever waits for the merchant; then acceptance.

What waits is asked for as well because the list by creation leaves out unpaid orders: one that is paid hours after
it was created appears behind the watermark.
"""

from collections.abc import Iterator
from itertools import chain

from orders_sync.marketplaces.base import RawRecord
from orders_sync.sync import acceptance, rejected
from orders_sync.sync.context import Pass
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.orders_pass import (
    RETRIES_A_PASS,
    finish,
    merge_all,
    merge_batch,
    open_merger,
    pass_start,
    up_to_end,
    window_end,
)
from orders_sync.sync.records import Rejected


def sync(work: Pass) -> None:
    """One pass. Raises a MarketplaceError where the pass could not be whole."""
    start = pass_start(work, work.request.start)
    work.summary.range_start = start
    waiting: list[str] = []
    ends = None
    with open_merger(work) as merger:
        for by in work.adapter.new_orders_by:
            pages = work.adapter.orders(by, None if by == "waiting" else start)
            first = next(pages, list[RawRecord]())  # the first answer tells the marketplace's clock
            ends = ends or window_end(work)
            found = up_to_end(work, by, chain([first], pages))
            merge_all(work, merger, _noting(found, waiting) if by == "waiting" else found)
        retry_rejected(work, merger, most=RETRIES_A_PASS)
        finish(work, ends or window_end(work))
        acceptance.accept_waiting(work, merger, waiting)


def _noting(pages: Iterator[list[RawRecord]], order_ids: list[str]) -> Iterator[list[RawRecord]]:
    for page in pages:
        order_ids += [record.record_id for record in page]
        yield page


def retry_rejected(work: Pass, merger: OrderMerger, *, most: int | None) -> None:
    """Tries rejected orders again: asks for each anew, and checks the kept record where that brings none.

    At most `most` of them, the oldest first.
    """
    kept = rejected.unresolved(work.connection, work.lane.account, "order", most=most, before=work.began)
    for record_id, raw in kept.items():
        asked = "" if record_id.startswith("hash:") else record_id
        record = work.adapter.order(asked) if asked else None
        if record is None or record.raw == raw:
            record = RawRecord(asked, raw, b"")
            if not _passes_now(merger, record):
                continue
        merge_batch(work, merger, [record])


def _passes_now(merger: OrderMerger, record: RawRecord) -> bool:
    try:
        merger.check(record)
    except Rejected:
        return False
    return True
