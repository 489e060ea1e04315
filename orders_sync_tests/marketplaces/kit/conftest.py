"""A client of the sandbox marketplace, and retries that do not wait."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import msgspec
import pytest
import stamina

from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter
from orders_sync.marketplaces.kit.retries import MAX_TRIES
from orders_sync.testing.marketplace import TOKEN, Marketplace

OpenClient = Callable[..., MarketplaceClient]

decode_json = msgspec.json.Decoder().decode


@pytest.fixture
def no_backoff() -> Iterator[None]:
    """Retries follow at once, as often as they do in production. A 429 still blocks the account's rate limiter."""
    with stamina.set_testing(True, attempts=MAX_TRIES):
        yield


@pytest.fixture
def open_client(marketplace: Marketplace) -> Iterator[OpenClient]:
    """Opens a client of the sandbox, by default with a penalty of 1.5 seconds and no wait for an outage."""
    with ExitStack() as opened:

        def open_(*, penalty_seconds: float = 1.5, outage_minutes: float = 0.0) -> MarketplaceClient:
            client = MarketplaceClient(
                marketplace.url,
                {
                    "User-Agent": "BM-Tests-Orders;tests@example.com",
                    "Accept-Language": "fr-fr",
                    "Accept": "application/json",
                },
                LocalRateLimiter(),
                auth=HeaderToken(f"Basic {TOKEN}"),
                connections=2,
                penalty_seconds=penalty_seconds,
                outage_minutes=outage_minutes,
            )
            return opened.enter_context(closing(client))

        yield open_


@pytest.fixture
def client(open_client: OpenClient) -> MarketplaceClient:
    return open_client()
