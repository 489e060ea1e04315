"""`incomplete` with `store_documents`: each document's content is fetched once, and one that can't be stops nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import stamina
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.documents.formats import format_of
from orders_sync.marketplaces.back_market import BackMarket
from orders_sync.marketplaces.kit import other_hosts
from orders_sync.marketplaces.kit.retries import MAX_TRIES
from orders_sync.passes.refresh_documents import refresh_documents
from orders_sync.passes.store_documents import GIVE_UP_AFTER
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.document_files import pdf
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.marketplaces.medusa_shop import MedusaShop, medusa_account
from orders_sync_tests.marketplaces.scripted_shop import an_order_at

FETCHES = (
    "SELECT document_key, convert_from(substr(content, 1, 5), 'LATIN1'), attempts, problem FROM document_fetches "
    "LEFT JOIN document_contents USING (sha256) ORDER BY order_id, document_key"
)


@pytest.fixture
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=MAX_TRIES):
        yield


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    return sandbox_account(marketplace, store_documents=True)


def order_with_labels(marketplace: Marketplace, order_id: int, *numbers: int, **fields: Any) -> None:
    """Puts an order with labels into the marketplace, at whose own host their files are."""
    deliveries = [{"order": order_id, "shipmentId": n, "labelUrl": f"/static/{n}"} for n in numbers]
    for number in numbers:
        marketplace.world.scripted_files.setdefault(f"/static/{number}", pdf([f"label {number}"]))
    an_order(marketplace, order_id, _deliveries=deliveries, **fields)


@pytest.mark.parametrize("fake", [FakeBackMarket, FakeRefurbed, FakeMirakl])
def test_every_document_that_is_listed_is_fetched_once(fake: type[FakeMarketplace], connection: Connection) -> None:
    with Marketplace(fake, orders=60, days=4) as marketplace:
        account = sandbox_account(marketplace, store_documents=True)
        sync(account)
        summary = sync(account, "incomplete")
        assert summary.problems == []
        listed = connection.execute("SELECT count(*) FROM order_documents").fetchone()
        rows = connection.execute(
            "SELECT sha256, format, size, content FROM document_fetches JOIN document_contents USING (sha256)"
        ).fetchall()
        assert summary.documents_stored == len(rows) > 5
        assert listed == (len(rows),)
        for digest, name, size, content in rows:
            assert (digest, size) == (sha256(content).digest(), len(content))
            assert format_of(content) == name
        again = sync(account, "incomplete")
        assert (again.documents_stored, again.documents_put_off) == (0, 0)
        check_invariants(connection)


def test_labels_of_a_medusa_shop_are_fetched(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDUSA_KEY", "sk_test")
    shop = MedusaShop()
    with served(shop.app()) as url:
        label = {"id": "label_1", "tracking_number": "T1", "tracking_url": "#", "label_url": f"{url}/static/1.pdf"}
        fulfilment = {"id": "ful_1", "items": [{"line_item_id": "item_1"}], "labels": [label]}
        shop.records["orders"] = [{**an_order_at("medusa", 1), "fulfillments": [fulfilment]}]
        shop.files["/static/1.pdf"] = pdf(["label 1"])
        account = medusa_account(url, store_documents=True)
        sync(account)
        assert sync(account, "incomplete").documents_stored == 1
    assert connection.execute("SELECT content FROM document_contents").fetchone() == (pdf(["label 1"]),)


def test_without_the_setting_none_is_fetched(marketplace: Marketplace, connection: Connection) -> None:
    account = sandbox_account(marketplace)
    order_with_labels(marketplace, 1, 7)
    sync(account)
    assert sync(account, "incomplete").documents_found == 1
    refresh_documents(account, ["1"], "test")
    assert marketplace.calls("GET /static") == 0
    assert connection.execute("SELECT count(*) FROM document_fetches").fetchone() == (0,)


def test_a_note_that_only_the_orders_record_has_is_fetched_and_listed(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.world.scripted_files["/static/note"] = pdf(["note"])
    an_order(marketplace, 1, delivery_note=f"{marketplace.url}/static/note", is_backship=False)
    sync(account)
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_stored, summary.api_calls) == (0, 1, 1)
    assert connection.execute("SELECT kind, document_key FROM order_documents").fetchall() == [
        ("delivery_note", "delivery_note")
    ]


def test_equal_contents_are_stored_once(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    marketplace.world.scripted_files |= {"/static/7": pdf(["the same"]), "/static/8": pdf(["the same"])}
    order_with_labels(marketplace, 1, 7, 8)
    sync(account)
    assert sync(account, "incomplete").documents_stored == 2
    assert connection.execute("SELECT count(*) FROM document_contents").fetchone() == (1,)


def test_a_document_whose_url_changes_is_fetched_again(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """A label that was made anew may have the same id; the old one must not go onto the parcel."""
    order_with_labels(marketplace, 1, 7)
    sync(account)
    sync(account, "incomplete")
    marketplace.change(1, _deliveries=[{"order": 1, "shipmentId": 7, "labelUrl": "/static/7b"}])
    assert refresh_documents(account, ["1"], "test").documents_put_off == 1
    assert connection.execute(FETCHES).fetchall() == [
        ("7", "%PDF-", 1, "127.0.0.1 answers GET the URL of a document with 404: no readable JSON"),
    ]  # fmt: skip
    marketplace.world.scripted_files["/static/7b"] = pdf(["label 7, again"])
    assert refresh_documents(account, ["1"], "test").documents_stored == 1
    row = connection.execute(
        "SELECT content, attempts, problem FROM document_fetches JOIN document_contents USING (sha256)"
    ).fetchone()
    assert row == (pdf(["label 7, again"]), 0, None)


def test_a_document_whose_url_expires_is_fetched_once_and_not_with_each_new_url(connection: Connection) -> None:
    with Marketplace(FakeRefurbed, orders=60, days=4) as marketplace:
        account = sandbox_account(marketplace, store_documents=True)
        sync(account)
        assert sync(account, "incomplete").documents_stored > 0
        urls = "SELECT array_agg(url ORDER BY url) FROM order_documents"
        before = connection.execute(urls).fetchone()
        marketplace.pass_time(minutes=1)
        connection.execute("UPDATE order_documents SET expires_at = expires_at - interval '20 hours'")
        summary = sync(account, "incomplete")
        assert connection.execute(urls).fetchone() != before
        assert connection.execute("SELECT count(*) FROM order_documents").fetchone() == (
            marketplace.calls("GET /labels"),
        )
        assert summary.problems == []


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "status", "status": 500}, "with 500"),
    ({"kind": "status", "status": 404}, "with 404"),
    ({"kind": "status", "status": 401}, "with 401"),
    ({"kind": "html"}, "its content is an HTML or XML page"),
    ({"kind": "huge", "bytes": 11_000_000}, "more than 10 MB"),
    ({"kind": "redirect", "location": "https://cdn.example.com/7?signature=abc"}, "it is at cdn.example.com, which"),
]


@pytest.mark.parametrize(("fault", "why"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
def test_a_document_that_can_not_be_fetched_stops_no_other_and_is_tried_again(
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    no_backoff: None,
    fault: dict[str, Any],
    why: str,
) -> None:
    order_with_labels(marketplace, 1, 71, 72)
    order_with_labels(marketplace, 2, 73, age=timedelta(minutes=5))
    sync(account)
    marketplace.fault(**fault, path="/static/71", times=0)
    summary = sync(account, "incomplete")
    assert (summary.documents_stored, summary.documents_put_off, summary.is_partial) == (2, 1, True)
    (problem,) = summary.problems
    assert problem.startswith("order 1: label 71: ")
    assert why in problem
    assert "signature" not in problem
    assert connection.execute("SELECT last_outcome FROM lanes WHERE sync_type = 'incomplete'").fetchone() == (
        "partial",
    )
    assert [(key, begin, attempts) for key, begin, attempts, _ in connection.execute(FETCHES)] == [
        ("71", None, 1), ("72", "%PDF-", 0), ("73", "%PDF-", 0),
    ]  # fmt: skip
    marketplace.calm()
    again = sync(account, "incomplete")
    assert (again.documents_stored, again.documents_put_off, again.is_partial) == (1, 0, False)
    assert connection.execute(FETCHES).fetchone() == ("71", "%PDF-", 0, None)


def test_a_url_whose_host_can_not_be_read_stops_no_other(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    order_with_labels(marketplace, 1, 71)
    url = "https://xn--zz--.example/72"
    an_order(marketplace, 2, _deliveries=[{"order": 2, "shipmentId": 72, "labelUrl": url}])
    order_with_labels(marketplace, 3, 73)
    sync(account)
    summary = sync(account, "incomplete")
    assert summary.problems == ["order 2: label 72: the URL of a document can't be read: not fetched"]
    assert [key for key, begin, *_ in connection.execute(FETCHES) if begin] == ["71", "73"]


def test_an_exception_of_an_adapter_is_a_problem_of_its_document(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an adapter that a user writes may raise."""
    order_with_labels(marketplace, 1, 7, 8)
    sync(account)
    download = BackMarket.download

    def odd(self: BackMarket, url: str, hosts: list[str]) -> bytes:
        if url.endswith("/7"):
            raise KeyError("the buyer's name")
        return download(self, url, hosts)

    monkeypatch.setattr(BackMarket, "download", odd)
    summary = sync(account, "incomplete")
    assert summary.documents_stored == 1
    [problem] = summary.problems
    assert problem.startswith(
        "order 1: label 7: the adapter's download() raised KeyError in test_store_documents.py, line "
    )


def test_a_host_that_answers_for_none_is_left_alone_until_the_next_pass(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, no_backoff: None
) -> None:
    for number in range(1, 9):
        order_with_labels(marketplace, number, 70 + number, age=timedelta(minutes=20 - number))
    sync(account)
    marketplace.fault("status", status=500, path="/static", times=0)
    summary = sync(account, "incomplete")
    assert marketplace.calls("GET /static") == GIVE_UP_AFTER * MAX_TRIES
    assert summary.documents_put_off == 8
    assert summary.problems[-1].startswith(f"{8 - GIVE_UP_AFTER} further documents at 127.0.0.1:")
    marketplace.calm()
    # Those that were not tried come first: some that stay broken must not keep the others waiting.
    for number in range(1, GIVE_UP_AFTER + 1):
        marketplace.fault("status", status=500, path=f"/static/7{number}", times=0)
    assert sync(account, "incomplete").documents_stored == 8 - GIVE_UP_AFTER


@pytest.mark.parametrize(
    ("status", "headers", "calls"),
    [(429, {"Retry-After": "3600"}, 1), (429, {}, 1), (503, {"Retry-After": "1"}, 1), (503, {}, 3 * MAX_TRIES)],
)
def test_another_host_that_requests_a_pause_is_left_alone_until_the_next_pass(
    marketplace: Marketplace,
    connection: Connection,
    no_backoff: None,
    status: int,
    headers: dict[str, str],
    calls: int,
) -> None:
    requested: list[str] = []

    def answer(request: Request) -> Response:
        requested.append(request.url.path)
        return Response(status_code=status, headers=headers)

    with served(Starlette(routes=[Route("/{path:path}", answer)])) as elsewhere:
        for number in range(1, 6):
            deliveries = [{"order": number, "shipmentId": number, "labelUrl": f"{elsewhere}/{number}"}]
            an_order(marketplace, number, _deliveries=deliveries)
        host = elsewhere.removeprefix("http://")
        account = sandbox_account(marketplace, store_documents=True, document_hosts=[host])
        sync(account)
        summary = sync(account, "incomplete")
    assert len(requested) == calls
    assert summary.documents_put_off == 5
    assert (
        f"further documents at {host} wait for the next pass: 127.0.0.1 answers with {status}" in summary.problems[-1]
    )


def test_a_host_that_drips_keeps_a_pass_for_one_document_s_time_three_times(
    marketplace: Marketplace, connection: Connection, no_backoff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_hosts, "MAX_DOCUMENT_SECONDS", 0.5)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.1)

    with served(Starlette(routes=[Route("/{path:path}", lambda _: StreamingResponse(drip()))])) as elsewhere:
        for number in range(1, 6):
            deliveries = [{"order": number, "shipmentId": number, "labelUrl": f"{elsewhere}/{number}"}]
            an_order(marketplace, number, _deliveries=deliveries)
        host = elsewhere.removeprefix("http://")
        account = sandbox_account(marketplace, store_documents=True, document_hosts=[host])
        sync(account)
        summary = sync(account, "incomplete")
    assert summary.documents_put_off == 5
    assert summary.seconds < GIVE_UP_AFTER * MAX_TRIES * 0.5 / 2
    assert "has not sent the document within" in summary.problems[0]


def test_documents_at_another_host_wait_until_the_account_names_it(
    marketplace: Marketplace, connection: Connection
) -> None:
    credentials: list[str | None] = []

    def answer(request: Request) -> Response:
        credentials.append(request.headers.get("authorization"))
        return Response(pdf(["a label"]))

    with served(Starlette(routes=[Route("/{path:path}", answer)])) as elsewhere:
        deliveries = [{"order": 1, "shipmentId": n, "labelUrl": f"{elsewhere}/{n}?signature=abc"} for n in (7, 8)]
        an_order(marketplace, 1, _deliveries=deliveries)
        account = sandbox_account(marketplace, store_documents=True)
        sync(account)
        summary = sync(account, "incomplete")
        host = elsewhere.removeprefix("http://")
        assert (summary.documents_stored, summary.documents_put_off) == (0, 2)
        assert [problem.count(f"at {host}") for problem in summary.problems] == [1, 2]
        assert credentials == []
        account = sandbox_account(marketplace, store_documents=True, document_hosts=[host])
        assert sync(account, "incomplete").documents_stored == 2
    assert credentials == [None, None]


def test_documents_are_fetched_within_the_accounts_rate_limit(connection: Connection) -> None:
    with Marketplace(orders=60, days=4, limits=True) as marketplace:
        account = sandbox_account(marketplace, store_documents=True, limits={"connections": 2})
        calls = sync(account).api_calls
        summary = sync(account, "incomplete")
        assert summary.documents_stored > 5
        assert summary.too_many_requests == 0
        counted = connection.execute("SELECT day_calls FROM rate_limits WHERE bucket = 'edge'").fetchone()
        assert counted == (calls + summary.api_calls,)


def test_which_orders_documents_are_fetched(marketplace: Marketplace, connection: Connection) -> None:
    """Those of open orders of the last three months, and of orders that have just been shipped."""
    accepted, shipped = (3, 2), (9, 3)
    for number, (order_state, line_state), days in (
        (1, accepted, 0), (2, accepted, 60), (3, shipped, 1), (4, shipped, 5), (5, accepted, 100),
    ):  # fmt: skip
        marketplace.world.scripted_files[f"/static/note{number}"] = pdf([f"note {number}"])
        note = f"{marketplace.url}/static/note{number}"
        an_order(
            marketplace, number, state=order_state, line_state=line_state, delivery_note=note, is_backship=False,
            age=timedelta(days=days, minutes=10),
        )  # fmt: skip
    account = sandbox_account(marketplace, store_documents=True)
    sync(account, start=datetime.now(UTC) - timedelta(days=120))
    sync(account, "incomplete")
    fetched = [row[0] for row in connection.execute("SELECT order_id FROM document_fetches ORDER BY order_id")]
    assert fetched == ["1", "2", "3"]
    refresh_documents(account, ["4"], "test")
    assert connection.execute("SELECT count(*) FROM document_fetches WHERE order_id = '4'").fetchone() == (1,)
