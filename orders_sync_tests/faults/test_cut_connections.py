"""A proxy or NAT gateway between the project and its database cuts connections that are idle for too long."""

import time
from collections.abc import Iterator

import pytest

from orders_sync.database import heartbeat
from orders_sync.database.engine import Connection
from orders_sync.lanes import lock
from orders_sync.lanes.liveness import alive, is_alive
from orders_sync.marketplaces.kit.rate_limits import RateLimit, SharedRateLimiter
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.faults.impatient_proxy import ImpatientProxy, impatient_proxy

IDLE_SECONDS = 1.5


@pytest.fixture
def proxy(database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImpatientProxy]:
    """The orders database is reached through it only; `connection` reaches the database directly."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(lock, "LOOK_SECONDS", 0.3)
    with impatient_proxy(database_url, IDLE_SECONDS) as (url, proxy):
        monkeypatch.setenv("ORDERS_DATABASE_URL", url)
        yield proxy


def test_a_pass_whose_marketplace_is_slow_keeps_its_connections(
    proxy: ImpatientProxy, marketplace: Marketplace, connection: Connection
) -> None:
    an_order(marketplace, 1)
    account = sandbox_account(marketplace)
    marketplace.fault("delay", seconds=3 * IDLE_SECONDS)
    with alive("run-1"):
        assert sync(account).created == 1
        assert is_alive(connection, "run-1")
    assert proxy.cuts == 0
    check_invariants(connection)


def test_without_a_beat_the_connections_are_cut(
    proxy: ImpatientProxy, marketplace: Marketplace, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was before: this shows that the tests around it can fail."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 60.0)
    monkeypatch.setattr(lock, "LOOK_SECONDS", 60.0)
    with alive("run-1"):
        time.sleep(2 * IDLE_SECONDS)
        assert not is_alive(connection, "run-1")
    assert proxy.cuts == 1


def test_a_run_whose_connection_is_cut_shows_again_that_it_is_alive(
    proxy: ImpatientProxy, connection: Connection
) -> None:
    with alive("run-1"):
        for _ in range(3):
            proxy.cut_all()
            wait_for(lambda: not is_alive(connection, "run-1"), seconds=5, every=0.01, what="the loss of the lock")
            wait_for(lambda: is_alive(connection, "run-1"), seconds=5, what="the lock of the run")


def test_a_pass_goes_on_after_a_wait_in_which_the_rate_limiter_was_cut(
    proxy: ImpatientProxy, connection: Connection
) -> None:
    limiter = SharedRateLimiter("shop", [RateLimit("all", 1_000, 1.0)], 1.0)
    limiter.wait(limiter.limits)
    time.sleep(2 * IDLE_SECONDS)
    assert proxy.cuts == 1
    assert limiter.wait(limiter.limits) == 0
    limiter.close()
