"""`modified`: every order modified in the last months; most are unchanged and cost one look at a hash."""

from datetime import timedelta
from itertools import chain

from orders_sync.marketplaces.base import RawRecord
from orders_sync.sync.context import Pass
from orders_sync.sync.orders_pass import finish, merge_all, open_merger, pass_start, up_to_end, window_end


def sync(work: Pass) -> None:
    """One pass. Raises a MarketplaceError where the pass could not be whole."""
    start = work.request.start
    if start is None:
        start = work.adapter.now() - timedelta(days=31 * work.request.account.settings.months_back)
    start = pass_start(work, start)
    work.summary.range_start = start
    pages = work.adapter.orders("modified", start)
    first: list[RawRecord] = next(pages, list[RawRecord]())  # the first answer tells the marketplace's clock
    ends = window_end(work)
    with open_merger(work) as merger:
        merge_all(work, merger, up_to_end(work, "modified", chain([first], pages)))
    finish(work, ends)
