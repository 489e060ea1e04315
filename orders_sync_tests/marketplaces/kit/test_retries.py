"""Which calls are repeated, how often, and after how long."""

import time

import pytest
import stamina

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import pauses, retries
from orders_sync.marketplaces.kit.errors import (
    AnswerLostError,
    BadAnswerError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.retries import BACKOFF_JITTER_SECONDS, FIRST_BACKOFF_SECONDS, MAX_TRIES
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit
from orders_sync_tests.marketplaces.kit.conftest import OpenClient, decode_json


def test_a_read_is_tried_again_after_a_growing_backoff(marketplace: Marketplace, client: MarketplaceClient) -> None:
    marketplace.fault("status", status=503, times=2)
    began = time.monotonic()
    client.get("/ws/orders", {}, [], decode_json)
    seconds = time.monotonic() - began
    assert 3 * FIRST_BACKOFF_SECONDS <= seconds < limit(3 * FIRST_BACKOFF_SECONDS + 2 * BACKOFF_JITTER_SECONDS + 5)
    assert (client.metrics()["calls"], client.metrics()["retries"]) == (3, 2)


def test_a_read_is_given_up_after_all_tries(
    marketplace: Marketplace, client: MarketplaceClient, no_backoff: None
) -> None:
    marketplace.fault("status", status=503, times=0)
    with pytest.raises(MarketplaceUnavailableError, match=r"with 503: .* \(6 tries\)"):
        client.get("/ws/orders", {}, [], decode_json)
    assert (client.metrics()["calls"], client.metrics()["retries"]) == (MAX_TRIES, MAX_TRIES - 1)
    marketplace.calm()
    marketplace.fault("html", times=0)
    with pytest.raises(BadAnswerError, match=r"an HTML page \(6 tries\)"):
        client.query("/ws/orders/1", {}, [], decode_json)


def test_a_refused_read_is_not_repeated(marketplace: Marketplace, client: MarketplaceClient) -> None:
    marketplace.fault("status", status=400, times=0)
    with pytest.raises(RequestRefusedError):
        client.get("/ws/orders", {}, [], decode_json)
    assert (client.metrics()["calls"], client.metrics()["retries"]) == (1, 0)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_outage_is_waited_for_beyond_the_usual_tries(
    marketplace: Marketplace, open_client: OpenClient, status: int
) -> None:
    client = open_client(penalty_seconds=0.0, outage_minutes=10)
    marketplace.fault("status", status=status, times=20, headers={"Retry-After": "²"} if status == 503 else {})
    with stamina.set_testing(True, attempts=100), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pauses, "MIN_PAUSE_SECONDS", 0.01)
        patch.setattr(pauses, "MAX_BACKOFF_SECONDS", 0.02)
        client.get("/ws/orders", {}, [], decode_json)
    assert client.metrics()["calls"] == 21


def test_a_pass_waits_through_an_outage(marketplace: Marketplace, connection: Connection) -> None:
    """`modified` comes only once a day."""
    account = sandbox_account(marketplace, limits={"enforced": False, "outage_minutes": 20})
    for number in range(1, 61):
        an_order(marketplace, number)
    marketplace.fault("status", status=503, page=2, times=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "FIRST_BACKOFF_SECONDS", 0.01)
        patch.setattr(retries, "MAX_BACKOFF_SECONDS", 0.02)
        patch.setattr(retries, "BACKOFF_JITTER_SECONDS", 0.0)
        summary = sync(account, "modified")
    assert (summary.created, summary.retries) == (60, 15)


def test_an_outage_is_waited_for_as_long_as_the_account_says_and_once_for_each_pass(
    marketplace: Marketplace, open_client: OpenClient
) -> None:
    client = open_client(outage_minutes=4 / 60)
    marketplace.fault("status", status=503, times=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "FIRST_BACKOFF_SECONDS", 0.05)
        patch.setattr(retries, "MAX_BACKOFF_SECONDS", 0.1)
        patch.setattr(retries, "BACKOFF_JITTER_SECONDS", 0.0)
        began = time.monotonic()
        with pytest.raises(MarketplaceUnavailableError, match=r"with 503: sandbox \(\d\d tries\)"):
            client.get("/ws/orders", {}, [], decode_json)
        assert 4 <= time.monotonic() - began < limit(6)
        with pytest.raises(MarketplaceUnavailableError, match=r"\(6 tries\)"):
            client.get("/ws/orders", {}, [], decode_json)


def test_a_server_that_is_off_costs_one_backoff_and_not_one_for_each_endpoint(client: MarketplaceClient) -> None:
    with Marketplace() as gone:
        client.base_url = gone.url
    for tries in ("3 tries", "1 try", "1 try"):
        began = time.monotonic()
        with pytest.raises(MarketplaceUnavailableError, match=rf"127\.0\.0\.1:\d+ .*refused \({tries}\)"):
            client.get("/ws/orders", {}, [], decode_json)
        assert time.monotonic() - began < limit(6 if tries == "3 tries" else 1)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 503, "headers": {"Retry-After": "1"}},
        {"kind": "status", "status": 503, "headers": {"Retry-After": "3600"}},
        {"kind": "lose_answer"},
        {"kind": "reset"},
    ],
)
def test_a_write_that_may_have_been_done_is_sent_once(
    marketplace: Marketplace, client: MarketplaceClient, fault: dict[str, object]
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault(**{"times": 0, **fault})
    with pytest.raises(AnswerLostError):
        client.post("/ws/orders/1", {"order_id": 1, "new_state": 2, "sku": "PHONE"}, [], decode_json)
    assert (client.metrics()["calls"], client.metrics()["retries"]) == (1, 0)


def test_a_throttled_write_is_repeated_since_it_was_not_done(
    marketplace: Marketplace, client: MarketplaceClient
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    marketplace.fault("status", status=429, headers={"Retry-After": "0"})
    status, _ = client.post("/ws/orders/1", {"order_id": 1, "new_state": 2, "sku": "PHONE"}, [], decode_json)
    assert status == 200
    assert len(marketplace.sandbox.writes) == 1
    assert client.metrics()["retries"] == 1


def test_a_write_that_found_no_server_was_certainly_not_done(
    marketplace: Marketplace, client: MarketplaceClient, no_backoff: None
) -> None:
    with Marketplace() as gone:
        client.base_url = gone.url
    with pytest.raises(MarketplaceUnavailableError, match=r"does not answer POST .* \(3 tries\)"):
        client.post("/ws/orders/1", {}, [], decode_json)


def test_a_write_whose_answer_is_no_json_is_done(marketplace: Marketplace, client: MarketplaceClient) -> None:
    marketplace.fault("html")
    assert client.post("/ws/orders/1", {}, [], decode_json) == (200, None)
