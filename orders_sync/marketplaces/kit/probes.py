"""Whether the credentials and endpoints of an account work: one cheap request to each endpoint that the syncs use."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.marketplaces.kit.errors import MarketplaceError, MarketplaceUnavailableError, RecordNotFoundError
from orders_sync.marketplaces.kit.registry import opened_adapter
from orders_sync.marketplaces.kit.retries import tried_once


class Probe(NamedTuple):
    """What a request to an endpoint has shown."""

    endpoint: str
    """Its name in the contract; `-`: the account can't be used, and no request was sent."""
    works: bool
    answer: str
    """What it answered, or why it does not work; '' where there is nothing to say."""


def probe_endpoints(account: SellerAccount, report: Callable[[str], None] = lambda what: None) -> Iterator[Probe]:
    """Sends the requests, one after the other and each once. A missing credential is one failed probe for them all.

    `report` gets what is tried next.
    """
    try:
        with opened_adapter(account) as adapter, tried_once():
            is_down = False
            for endpoint, probe in adapter.probes().items():
                if is_down:
                    yield Probe(endpoint, False, "not tried: the marketplace answers no call now")
                    continue
                report(f"{account.name}: {endpoint}")
                try:
                    probe()
                except RecordNotFoundError as problem:
                    # The endpoint works: some probes request a record that does not exist.
                    yield Probe(endpoint, True, f"HTTP {problem.status}, as expected")
                except MarketplaceError as problem:
                    yield Probe(endpoint, False, str(problem))
                    is_down = isinstance(problem, MarketplaceUnavailableError) and problem.concerns_all_calls
                else:
                    yield Probe(endpoint, True, "")
    except AccountConfigError as problem:
        yield Probe("-", False, str(problem))
