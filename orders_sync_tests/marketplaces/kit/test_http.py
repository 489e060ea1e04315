"""The client: retries where they are safe, bounded answers, errors in one line."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces import back_market
from orders_sync.marketplaces.kit import http as marketplace_http
from orders_sync.marketplaces.kit.http import error_text, retry_after
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketplace_http, "MAX_BACKOFF_SECONDS", 0.01)


PASSING = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502, "body": "<html>Bad gateway</html>"},
    {"kind": "status", "status": 503, "times": 3},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "html"},
    {"kind": "drip", "seconds": 1},
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}")
def test_a_passing_fault_costs_only_time(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, fault: dict[str, object]
) -> None:
    for number in range(1, 121):
        an_order(marketplace, number)
    marketplace.fault(**{**fault, "page": 2})
    assert sync(account).created == 120
    check_invariants(connection)


LASTING = [
    ({"kind": "status", "status": 500}, "answers GET /ws/orders with 500: sandbox switched on (6 tries)"),
    ({"kind": "status", "status": 401}, "the credential is wrong or lacks a right: sandbox switched on"),
    ({"kind": "status", "status": 403, "body": "<html>blocked</html>", "headers": {"cf-ray": "93-CDG"}},
     "its firewall blocks us; ray 93-CDG"),
    ({"kind": "status", "status": 400, "body": {"errors": [{"code": "E1", "message": "no"}]}}, "with 400: E1 no"),
    ({"kind": "status", "status": 400, "body": {"type": "/errors/x", "title": "Not so", "status": 400}},
     "/errors/x Not so"),
    ({"kind": "status", "status": 429, "headers": {"Retry-After": "4000"}}, "asks to wait 4000 s"),
    ({"kind": "html"}, "with an HTML page"),
    ({"kind": "huge"}, "with more than 20 MB"),
    ({"kind": "redirect", "location": "https://evil.example.com/ws/orders"}, "to another host (evil.example.com)"),
    ({"kind": "no_filter"}, "it ignores the filter"),
    ({"kind": "patch", "fields": {"order_id": 1}}, "readings found"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "told"), LASTING, ids=lambda value: str(value)[:40])
def test_a_lasting_fault_is_an_error_in_one_line_and_never_an_end(
    marketplace: Marketplace, connection: Connection, fault: dict[str, object], told: str
) -> None:
    account = sandbox_account(marketplace, overlap_minutes=1)
    sync(account)
    mark = connection.execute("SELECT watermark FROM lanes").fetchone()
    marketplace.pass_time(hours=2)
    for number in range(1, 111):
        an_order(marketplace, number)
    an_order(marketplace, 500, age=timedelta(days=5))
    marketplace.fault(**{"times": 0, **fault})
    with pytest.raises(PassFailedError) as problem:
        sync(account)
    assert told in str(problem.value)
    assert "\n" not in str(problem.value)
    assert connection.execute("SELECT watermark FROM lanes").fetchone() == mark


def test_a_link_that_loops_misleads_nobody(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """The count of the list says where it ends."""
    for number in range(1, 111):
        an_order(marketplace, number)
    marketplace.fault("looping_next", page=3, times=0)
    sync(account)
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (110,)


def test_nobody_answers(connection: Connection) -> None:
    with Marketplace() as gone:
        account = sandbox_account(gone)
    with pytest.raises(PassFailedError, match=r"127\.0\.0\.1 does not answer GET /ws/orders: .*refused"):
        sync(account)


def test_a_penalty_without_a_time_is_waited_for_by_the_published_one(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_market, "PENALTY_SECONDS", 1.5)
    marketplace.fault("status", status=429)
    began = time.monotonic()
    assert sync(account).too_many_requests == 1
    assert time.monotonic() - began >= 1.5


def test_retry_after_is_read_in_both_its_forms() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after("Thu, 01 Jan 2026 12:00:30 GMT", now) == 30
    assert retry_after("soon", now) is None
    assert retry_after(None, now) is None


def test_no_personal_data_comes_out_of_an_error() -> None:
    body = b'{"error": {"code": "E", "message": "no order for john.doe@mail.com, +33 6 39 98 12 34", "data": {"name": "Doe"}}}'
    assert error_text(body).startswith("E no order for …")
    assert "john" not in error_text(body)
    assert "Doe" not in error_text(body)
    assert "39 98" not in error_text(body)


@pytest.mark.parametrize(
    "header", [{"user_agent": "BM-Tests-Orders;tests@example.com"}], ids=["the mandatory headers are sent"]
)
def test_headers(marketplace: Marketplace, connection: Connection, header: dict[str, str]) -> None:
    """The sandbox refuses requests that lack them."""
    sync(sandbox_account(marketplace, **header))


def test_a_missing_credential_is_told_by_its_variable(marketplace: Marketplace, connection: Connection) -> None:
    with pytest.raises(PassFailedError, match="token: the environment variable NOT_SET_TOKEN is not set"):
        sync(sandbox_account(marketplace, token="NOT_SET_TOKEN"))
