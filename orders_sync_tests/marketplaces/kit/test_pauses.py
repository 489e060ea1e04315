"""A pause that the marketplace requests is kept, by this call and by all others of the account."""

import time
from datetime import UTC, datetime

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.pauses import MAX_RETRY_AFTER_SECONDS, retry_after
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync.testing.waiting import limit
from orders_sync_tests.marketplaces.kit.conftest import decode_json


def test_a_retry_after_is_waited_for_instead_of_the_backoff(
    marketplace: Marketplace, client: MarketplaceClient
) -> None:
    marketplace.fault("status", status=429, headers={"Retry-After": "2"})
    began = time.monotonic()
    client.get("/ws/orders", {}, [], decode_json)
    assert 2 <= time.monotonic() - began < limit(4)
    assert client.metrics()["too_many_requests"] == 1


def test_the_published_penalty_is_waited_for_without_a_retry_after(
    marketplace: Marketplace, client: MarketplaceClient
) -> None:
    marketplace.fault("status", status=429)
    began = time.monotonic()
    client.get("/ws/orders", {}, [], decode_json)
    assert 1.5 <= time.monotonic() - began < limit(3.5)


def test_a_retry_after_of_a_503_is_waited_for(marketplace: Marketplace, client: MarketplaceClient) -> None:
    marketplace.fault("status", status=503, headers={"Retry-After": "3"})
    began = time.monotonic()
    client.get("/ws/orders", {}, [], decode_json)
    assert 3 <= time.monotonic() - began < limit(5)
    assert client.metrics()["calls"] == 2


@pytest.mark.parametrize("named", ["0", "Thu, 01 Jan 2026 11:00:00 GMT"])
def test_a_retry_after_that_names_no_wait_waits_longer_each_time(
    marketplace: Marketplace, client: MarketplaceClient, named: str
) -> None:
    marketplace.fault("status", status=429, headers={"Retry-After": named}, times=3)
    began = time.monotonic()
    client.get("/ws/orders", {}, [], decode_json)
    assert 1 + 2 + 4 <= time.monotonic() - began < limit(10)
    assert client.metrics()["calls"] == 4


@pytest.mark.parametrize("enforced", [True, False])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_is_too_long_for_a_pass_holds_for_the_next_one_too(
    marketplace: Marketplace, connection: Connection, enforced: bool, status: int
) -> None:
    account = sandbox_account(marketplace, limits={"enforced": enforced, "outage_minutes": 1})
    marketplace.fault("status", status=status, headers={"Retry-After": "3000"}, times=0)
    with pytest.raises(PassFailedError, match="and requests a pause of 3000 s, longer than this account's"):
        sync(account)
    calls = marketplace.calls()
    for sync_type in ("new", "care"):
        with pytest.raises(PassFailedError, match=r"requested a pause of account shop until 20\d\d-.* UTC"):
            sync(account, sync_type)
    assert marketplace.calls() == calls
    marketplace.calm()
    connection.execute("UPDATE rate_limits SET blocked_until = now() - interval '1 s', next_slot = now()")
    sync(account)
    assert marketplace.calls() > calls


@pytest.mark.parametrize("named", ["9" * 24, "60000000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_stops_an_account_for_an_hour_at_most(
    marketplace: Marketplace, connection: Connection, named: str
) -> None:
    account = sandbox_account(marketplace, limits={"enforced": True, "outage_minutes": 1})
    marketplace.fault("status", status=429, headers={"Retry-After": named})
    with pytest.raises(PassFailedError, match="and requests a pause of 3600 s or more, longer than this account's"):
        sync(account)
    longest = "SELECT max(blocked_until) <= now() + interval '1 hour' FROM rate_limits"
    assert connection.execute(longest).fetchone() == (True,)


def test_retry_after_is_read_in_both_its_forms() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after("Thu, 01 Jan 2026 12:00:30 GMT", now) == 30
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", now) == 0
    assert retry_after("Thu Jan  1 12:00:30 2026", now) == 30  # as asctime writes it (RFC 9110, 5.6.7)
    assert retry_after("soon", now) is None
    assert retry_after("²", now) is None
    assert retry_after("-1", now) is None
    assert retry_after("9" * 400, now) == MAX_RETRY_AFTER_SECONDS
    assert retry_after(None, now) is None
    assert retry_after(f"Thu, 01 Jan {10**20} 12:00:00 GMT", now) is None
    assert retry_after(f"Thu, 01 Jan 2026 12:00:30 +{10**20}", now) is None
