"""A pass that has lost its lane while it waited writes nothing to the marketplace: another pass may have done so."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta

import httpx
import pytest
from psycopg import OperationalError
from starlette.types import Receive, Scope, Send

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.lanes.lock import held_lanes, hold, holder
from orders_sync.lanes.progress import end_stalled_passes
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.auth import ClientCredentials, HeaderToken
from orders_sync.marketplaces.kit.http import MarketplaceClient
from orders_sync.marketplaces.kit.other_hosts import OtherHosts
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter, RateLimit, SharedRateLimiter
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.redecode import redecode_account
from orders_sync.sync import redecode
from orders_sync.testing.http_server import served
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit, wait_for

LANE = Lane("shop", SyncType.NEW)
LIMIT = RateLimit("orders", 60, 60)
PASS = """
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.passes.run_pass import run_pass
from orders_sync.sync.pass_request import PassRequest
run_pass(PassRequest(account_from("shop", {settings!r}, "f"), SyncType.NEW, "first"))
"""
LOST = "the connection to the orders database was lost, and with it the lane; the next run goes on"
CUT = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    # The tests that run beside this one have databases on the same server, and a lane of the same name.
    b"WHERE datname = current_database() AND application_name LIKE 'orders_sync shop/new first%'"
)


@pytest.mark.parametrize("fault", ["connection cut", "worker frozen"])
@pytest.mark.parametrize("enforced", [False, True])
def test_a_line_is_accepted_once(marketplace: Marketplace, connection: Connection, fault: str, enforced: bool) -> None:
    limits = {"enforced": enforced, "connections": 4, "outage_minutes": 2}
    account = sandbox_account(marketplace, accept_orderlines=True, limits=limits)
    an_order(marketplace, 1, state=1, line_state=1)
    pause = marketplace.fault("status", status=429, method="POST", path="/ws/orders/1", headers={"Retry-After": "8"})
    first = subprocess.Popen([sys.executable, "-c", PASS.format(settings=account.settings.model_dump())])
    wait_for(lambda: pause.used, seconds=60, what="the pause before the second try")
    if fault == "connection cut":
        connection.execute(CUT)
    else:
        first.send_signal(signal.SIGSTOP)
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert end_stalled_passes(connection, timedelta(minutes=10))
    wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the end of the first pass's session")
    assert sync(account).accepted == 1
    first.send_signal(signal.SIGCONT)
    assert first.wait(limit(60)) == 1
    assert len(marketplace.sandbox.writes) == 1
    assert connection.execute("SELECT count(*) FROM acceptances WHERE state = 'accepted'").fetchone() == (1,)


def test_a_pass_reads_no_further_documents(marketplace: Marketplace, connection: Connection) -> None:
    """What goes wrong with the documents of one order stops no other; the loss of the lane stops all of them."""
    limits = {"enforced": False, "connections": 1, "outage_minutes": 2}
    account = sandbox_account(marketplace, limits=limits)
    for number in range(1, 6):
        an_order(marketplace, number)
    sync(account)
    marketplace.sandbox.seen.clear()
    pause = marketplace.fault("status", status=429, method="GET", path="/", headers={"Retry-After": "3"})
    settings = account.settings.model_dump()
    program = PASS.replace("SyncType.NEW", "SyncType.INCOMPLETE").format(settings=settings)
    reader = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: pause.used, seconds=60, what="the pause before the second try")
    connection.execute(CUT.replace(b"shop/new", b"shop/incomplete"))
    _, said = reader.communicate(timeout=limit(60))
    assert reader.returncode == 1
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/incomplete: {LOST}")
    assert marketplace.calls() == 1


def test_pages_that_are_fetched_ahead_are_not_tried_again(marketplace: Marketplace, connection: Connection) -> None:
    """The threads that fetch them work for the same lane."""
    limits = {"enforced": False, "connections": 4, "outage_minutes": 15}
    account = sandbox_account(marketplace, limits=limits, page_size=10)
    for number in range(1, 201):
        an_order(marketplace, number)
    marketplace.fault("delay", seconds=1, times=3)  # pages that take long make several connections worth it
    outage = marketplace.fault("status", status=503, times=0, headers={"Retry-After": "9"})
    settings = account.settings.model_dump()
    program = PASS.format(settings=settings)
    reader = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: outage.used >= 4, seconds=60, what="the pause before the second tries")
    connection.execute(CUT)
    _, said = reader.communicate(timeout=limit(60))
    assert reader.returncode == 1
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/new: {LOST}")


def test_a_pass_ends_soon_whatever_it_waits_for(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace, limits={"enforced": False, "connections": 1, "outage_minutes": 20})
    an_order(marketplace, 1)
    pause = marketplace.fault("status", status=429, method="GET", path="/", headers={"Retry-After": "60"})
    began = time.monotonic()
    with a_pass(account) as reader:
        wait_for(lambda: pause.used, seconds=60, what="the pause before the second try")
        connection.execute(CUT)
        _, said = reader.communicate(timeout=limit(40))
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/new: {LOST}")
    assert time.monotonic() - began < 60


def test_a_pass_asks_for_no_further_pages(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(
        marketplace, limits={"enforced": False, "connections": 1, "outage_minutes": 0}, page_size=10
    )
    for number in range(1, 201):
        an_order(marketplace, number)
    marketplace.fault("delay", seconds=2, times=0)
    with a_pass(account) as reader:
        wait_for(lambda: marketplace.calls() >= 2, seconds=60, what="the first pages")
        connection.execute(CUT)
        _, said = reader.communicate(timeout=limit(60))
    assert said.splitlines()[-1].endswith(f"PassFailedError: shop/new: {LOST}")
    assert marketplace.calls() < 10


@contextmanager
def a_pass(account: SellerAccount) -> Generator["subprocess.Popen[str]"]:
    """A pass of `new` in a process of its own."""
    program = PASS.format(settings=account.settings.model_dump())
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


class Recorder:
    """A server that records the paths of its requests, and takes two seconds to issue a token."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        if scope["path"] == "/token":
            await asyncio.sleep(2)
        answer = b'{"access_token": "abcdefghijkl", "expires_in": 300}'
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def recorder() -> Iterator[tuple[str, Recorder]]:
    app = Recorder()
    with served(app) as url:
        yield url, app


@contextmanager
def a_lane_that_is_lost() -> Generator[Connection]:
    """Holds a lane; what leaves the block is the error of a lost connection, which all callers of a pass know."""
    with pytest.raises(OperationalError, match="and with it the lane"), hold(LANE, "first") as held:
        yield held


def cut_after(seconds: float, connection: Connection) -> threading.Timer:
    timer = threading.Timer(seconds, lambda: connection.execute(CUT))
    timer.start()
    return timer


def test_nothing_is_written_after_a_token_that_took_long(
    recorder: tuple[str, Recorder], connection: Connection
) -> None:
    url, server = recorder
    auth = ClientCredentials(f"{url}/token", "id", "secret" * 4)
    with (
        a_lane_that_is_lost(),
        closing(MarketplaceClient(url, {}, LocalRateLimiter(), auth=auth, connections=1, penalty_seconds=1)) as client,
    ):
        cut_after(1, connection)
        client.post("/accept", {}, [], bytes)
    assert server.asked == ["/token"]


@pytest.mark.parametrize("limiter", [LocalRateLimiter("shop"), SharedRateLimiter("shop", [LIMIT], 1.0)])
def test_the_wait_of_a_rate_limiter_ends(limiter: LocalRateLimiter | SharedRateLimiter, connection: Connection) -> None:
    limiter.block(60)
    began = time.monotonic()
    with a_lane_that_is_lost(), closing(limiter):
        cut_after(1, connection)
        limiter.wait([LIMIT])
    assert time.monotonic() - began < 30


def test_no_document_is_requested_from_another_host(recorder: tuple[str, Recorder], connection: Connection) -> None:
    url, server = recorder
    with a_lane_that_is_lost(), closing(OtherHosts("http://127.0.0.1:1")) as hosts:
        connection.execute(CUT)
        wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the end of the session")
        held_lanes().notice()
        hosts.get(httpx.URL(f"{url}/label.pdf"), [httpx.URL(url).netloc.decode()])
    assert server.asked == []


def test_nothing_is_written_after_the_first_wait_nor_by_threads_of_an_adapter(
    recorder: tuple[str, Recorder], connection: Connection
) -> None:
    url, server = recorder
    limiter, auth = LocalRateLimiter(), HeaderToken("x" * 20)
    limiter.block(2)
    with (
        a_lane_that_is_lost(),
        closing(MarketplaceClient(url, {}, limiter, auth=auth, connections=1, penalty_seconds=1)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        cut_after(1, connection)
        pool.submit(client.post, "/accept", {}, [], bytes).result()
    assert server.asked == []


def test_nothing_is_written_after_a_connection_that_came_late(connection: Connection) -> None:
    """The server's queue of connections is full: it answers none of the first packets."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        waiting = [opened.enter_context(socket.socket()) for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        written: list[bytes] = []

        def accept() -> None:
            for one in waiting:
                one.close()
            server.settimeout(20)
            with suppress(OSError):
                while not written:
                    found, _ = server.accept()
                    with found:
                        found.settimeout(5)
                        if received := found.recv(100):
                            written.append(received)

        accepting = threading.Timer(1.5, accept)
        with (
            a_lane_that_is_lost(),
            closing(
                MarketplaceClient(
                    url, {}, LocalRateLimiter(), auth=HeaderToken("x" * 20), connections=1, penalty_seconds=1
                )
            ) as client,
        ):
            cut_after(0.5, connection)
            accepting.start()
            client.post("/accept", {}, [], bytes)
        accepting.join()
    assert written == []


def test_redecoding_ends_when_either_lane_is_lost(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 31):
        an_order(marketplace, number)
    sync(account)
    connection.execute("UPDATE orders SET currency = 'USD'")
    monkeypatch.setattr(redecode, "RECORDS_PER_TRANSACTION", 5)
    original = redecode.order_decoder

    def cut_at_first(adapter: Adapter) -> redecode.Decode:
        connection.execute(CUT.replace(b"shop/new first", b"shop/modified again"))
        return original(adapter)

    monkeypatch.setattr(redecode, "order_decoder", cut_at_first)
    with pytest.raises(OperationalError, match="and with it the lane"):
        redecode_account(account, "again", since=None, write=True)
    assert connection.execute("SELECT DISTINCT currency FROM orders").fetchall() == [("USD",)]


def test_a_loss_is_seen_within_a_transaction_as_well(connection: Connection) -> None:
    with a_lane_that_is_lost() as held, held.transaction():
        held.execute("SELECT 1")
        connection.execute(CUT)
        wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the end of the session")
        held_lanes().check()


def test_no_exception_of_one_record_hides_the_loss(connection: Connection) -> None:
    with a_lane_that_is_lost(), suppress(Exception):
        connection.execute(CUT)
        wait_for(lambda: holder(connection, LANE) is None, seconds=10, what="the end of the session")
        held_lanes().check()
