"""`new`: orders created since the watermark, and all orders that wait for the merchant.

The orders that wait are listed as well because the list by creation leaves out unpaid orders: an order that is paid
hours after its creation appears there behind the watermark.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from orders_sync.acts.by import By
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import MarketplaceError
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.records import Reason, RecordRejectedError
from orders_sync.sync.merge import OrderMerger
from orders_sync.sync.merge_pages import merge_all, merge_batch, open_merger
from orders_sync.sync.put_off import SingleFetches, fetch_order, is_cut_off, summary_of, with_reason
from orders_sync.sync.rejected_records import HASH_PREFIX, Selection, note_retry, note_tried, resolve, to_retry
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.unlisted import ExpectedOrders
from orders_sync.sync.window import RETRIES_PER_PASS, finish, pass_start, until_end, window_end


def sync(pass_: RunningPass) -> list[str]:
    """Runs one pass; returns the ids of the orders that wait for the merchant.

    Raises MarketplaceError if the pass could not be complete.
    """
    start = pass_start(pass_, pass_.request.start)
    pass_.add(PassSummary(range_start=start))
    waiting: list[str] = []
    end = None
    expected = ExpectedOrders(pass_)
    with open_merger(pass_) as merger:
        for listing in pass_.adapter.new_order_listings:
            expected.expect(listing, start)
        for listing in pass_.adapter.new_order_listings:
            pages = pass_.adapter.orders(listing, None if listing == "waiting" else start)
            first = next(pages, list[RawRecord]())  # the first answer shows the marketplace's clock
            end = end or window_end(pass_)
            listed = until_end(pass_, listing, expected.noting(chain([first], pages)))
            if listing == "waiting":
                waiting += _merge_waiting(pass_, merger, listed)
            else:
                merge_all(pass_, merger, listed)
        expected.fetch(merger)
        retry_rejected(pass_, merger, Selection(pass_.lane.account, "order"), limit=RETRIES_PER_PASS)
        finish(pass_, end or window_end(pass_))
    return waiting


def _merge_waiting(pass_: RunningPass, merger: OrderMerger, pages: Iterable[list[RawRecord]]) -> list[str]:
    """Merges the list of the orders that wait; returns their ids."""
    record_ids: list[str] = []

    def noted() -> Iterator[list[RawRecord]]:
        for page in pages:
            record_ids.extend(record.record_id for record in page)
            yield page

    merge_all(pass_, merger, noted())
    return record_ids


def retry_rejected(
    pass_: RunningPass, merger: OrderMerger, selection: Selection, *, limit: int | None, by: By | None = None
) -> MarketplaceError | None:
    """Tries the selected orders again: at most `limit` of them, those that were tried longest ago first.

    Each order is fetched anew. Where that brings no other record, the kept record is checked again. One that can't be
    fetched is put off (see `put_off`), and stops no other. Ends early if the marketplace is down, and returns why.
    `by`: the person who tries them; None: a pass does.
    """
    fetches = SingleFetches()
    for kept in to_retry(pass_.connection, selection, limit=limit, before=pass_.began):
        order_id = "" if kept.key.startswith(HASH_PREFIX) else kept.key
        try:
            record = fetch_order(pass_.adapter, order_id) if order_id else None
        except MarketplaceError as problem:
            note_tried(pass_.connection, kept.account, kept.kind, kept.key, with_reason(kept.reasons, problem), by)
            pass_.add(summary_of("order", kept.key, problem))
            if fetches.is_down(problem):
                return problem
            continue
        if order_id:
            fetches.note_success()
        if record is None and is_cut_off(kept.raw, kept.reasons):
            note_tried(pass_.connection, kept.account, kept.kind, kept.key, kept.reasons, by)
            continue  # only its beginning is kept
        if record is None or record.raw == kept.raw:
            record = RawRecord(order_id, kept.raw, kept.fingerprint)
            reasons = _reasons_against(merger, record)
            if reasons:
                note_tried(pass_.connection, kept.account, kept.kind, kept.key, reasons, by)
                continue
        pass_.add(PassSummary(fetched=1))
        note_retry(pass_.connection, kept.account, kept.kind, kept.key, by)
        result = merge_batch(pass_, merger, [record])
        if not result.rejected:  # this version may be stored already: the merger then changes nothing
            resolve(pass_.connection, kept.account, kept.kind, {kept.key: None})  # whatever time it has now
    return None


def _reasons_against(merger: OrderMerger, record: RawRecord) -> list[Reason]:
    """Every reason why a record still can't be stored; none if it can."""
    try:
        merger.check(record)
    except RecordRejectedError as problem:
        return problem.reasons
    return []
