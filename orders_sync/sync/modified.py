"""`modified`: every order modified in the last months. Most are unchanged, which a comparison of hashes shows."""

from datetime import timedelta
from itertools import chain

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.merge_pages import merge_all, open_merger
from orders_sync.sync.rejected_records import resolve_unlisted
from orders_sync.sync.running_pass import RunningPass
from orders_sync.sync.unlisted import ExpectedOrders
from orders_sync.sync.window import finish, pass_start, until_end, window_end


def sync(pass_: RunningPass) -> None:
    """Runs one pass. Raises MarketplaceError if the pass could not be complete."""
    start = pass_.request.start
    if start is None:
        start = pass_.adapter.now() - timedelta(days=31 * pass_.request.account.settings.months_back)
    start = pass_start(pass_, start)
    pass_.add(PassSummary(range_start=start))
    expected = ExpectedOrders(pass_)
    expected.expect("modified", start)
    pages = pass_.adapter.orders("modified", start)
    first: list[RawRecord] = next(pages, list[RawRecord]())  # the first answer shows the marketplace's clock
    end = window_end(pass_)
    with open_merger(pass_) as merger:
        merge_all(pass_, merger, until_end(pass_, "modified", expected.noting(chain([first], pages))))
        expected.fetch(merger)
    if pass_.request.end is None:  # else it lists only some of the records that were modified since
        resolve_unlisted(pass_.connection, pass_.lane.account, since=start, began=pass_.began)
    finish(pass_, end)
