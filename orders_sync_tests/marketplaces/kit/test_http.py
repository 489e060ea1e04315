"""The client: retries where they are safe, bounded answers, errors in one line."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import stamina

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import http
from orders_sync.marketplaces.kit.auth import HeaderToken
from orders_sync.marketplaces.kit.errors import (
    AnswerLostError,
    BadAnswerError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.marketplaces.kit.http import (
    BACKOFF_JITTER_SECONDS,
    FIRST_BACKOFF_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    MAX_TRIES,
    MarketplaceClient,
    error_code,
    retry_after,
)
from orders_sync.marketplaces.kit.rate_limits import LocalRateLimiter
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import TOKEN, Marketplace, an_order, sandbox_account, sync
from orders_sync.testing.waiting import limit

decode_json = msgspec.json.Decoder().decode


@pytest.fixture
def no_backoff() -> Iterator[None]:
    """Retries follow at once, as often as they do in production. A 429 still blocks the account's rate limiter."""
    with stamina.set_testing(True, attempts=MAX_TRIES):
        yield


@pytest.fixture
def client(marketplace: Marketplace) -> Iterator[MarketplaceClient]:
    """A client of the sandbox, with a penalty of 1.5 seconds."""
    opened = MarketplaceClient(
        marketplace.url,
        {"User-Agent": "BM-Tests-Orders;tests@example.com", "Accept-Language": "fr-fr", "Accept": "application/json"},
        LocalRateLimiter(),
        auth=HeaderToken(f"Basic {TOKEN}"),
        connections=2,
        penalty_seconds=1.5,
        outage_minutes=0,
    )
    yield opened
    opened.close()


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
    marketplace: Marketplace,
    account: SellerAccount,
    connection: Connection,
    no_backoff: None,
    fault: dict[str, object],
) -> None:
    for number in range(1, 121):
        an_order(marketplace, number)
    marketplace.fault(**{**fault, "page": 2})
    assert sync(account).created == 120
    check_invariants(connection)


LASTING = [
    ({"kind": "status", "status": 500}, "answers GET /ws/orders with 500: sandbox (6 tries)"),
    ({"kind": "status", "status": 401}, "the credential is wrong or lacks a right: sandbox"),
    ({"kind": "status", "status": 403, "body": "<html>blocked</html>", "headers": {"cf-ray": "93-CDG"}},
     "its firewall blocks us; ray 93-CDG"),
    ({"kind": "status", "status": 400, "body": {"errors": [{"code": "E1", "message": "no"}]}}, "with 400: E1"),
    ({"kind": "status", "status": 400, "body": {"type": "/errors/x", "title": "Not so", "status": 400}},
     "with 400: /errors/x"),
    ({"kind": "status", "status": 429, "headers": {"Retry-After": "4000"}}, "requests a pause of 4000 s"),
    ({"kind": "html"}, "with an HTML page"),
    ({"kind": "huge"}, "with more than 20 MB"),
    ({"kind": "redirect", "location": "https://evil.example.com/ws/orders"}, "to another host (evil.example.com)"),
    ({"kind": "no_filter"}, "it ignores the filter"),
    ({"kind": "patch", "fields": {"order_id": 1}}, "readings found"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "reason"), LASTING, ids=lambda value: str(value)[:40])
def test_a_lasting_fault_is_an_error_in_one_line_and_never_an_end(
    marketplace: Marketplace, connection: Connection, no_backoff: None, fault: dict[str, object], reason: str
) -> None:
    account = sandbox_account(marketplace, overlap_minutes=1)
    sync(account)
    watermark = connection.execute("SELECT watermark FROM lanes").fetchone()
    marketplace.pass_time(hours=2)
    for number in range(1, 111):
        an_order(marketplace, number)
    an_order(marketplace, 500, age=timedelta(days=5))
    marketplace.fault(**{"times": 0, **fault})
    with pytest.raises(PassFailedError) as problem:
        sync(account)
    assert reason in str(problem.value)
    assert "\n" not in str(problem.value)
    assert connection.execute("SELECT watermark FROM lanes").fetchone() == watermark


def test_a_looping_link_changes_nothing_where_the_count_shows_the_end(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in range(1, 111):
        an_order(marketplace, number)
    marketplace.fault("looping_next", times=0, page=3)
    assert sync(account).created == 110


def test_nobody_answers(connection: Connection, no_backoff: None) -> None:
    with Marketplace() as gone:
        account = sandbox_account(gone)
    port = gone.url.rpartition(":")[2]
    reason = rf"127\.0\.0\.1:{port} does not answer GET /ws/orders: .*refused \(3 tries\)"
    with pytest.raises(PassFailedError, match=reason):
        sync(account)


# -- what is repeated, and after how long


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


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_outage_is_waited_for_beyond_the_usual_tries(
    marketplace: Marketplace, client: MarketplaceClient, status: int
) -> None:
    client.penalty_seconds = 0.0
    client.outage_seconds = 600.0
    marketplace.fault("status", status=status, times=20, headers={"Retry-After": "²"} if status == 503 else {})
    with stamina.set_testing(True, attempts=100), pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "MIN_WAIT_SECONDS", 0.01)
        patch.setattr(http, "MAX_BACKOFF_SECONDS", 0.02)
        client.get("/ws/orders", {}, [], decode_json)
    assert client.metrics()["calls"] == 21


def test_a_pass_waits_through_an_outage(marketplace: Marketplace, connection: Connection) -> None:
    """`modified` comes only once a day."""
    account = sandbox_account(marketplace, limits={"enforced": False, "outage_minutes": 20})
    for number in range(1, 61):
        an_order(marketplace, number)
    marketplace.fault("status", status=503, page=2, times=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "FIRST_BACKOFF_SECONDS", 0.01)
        patch.setattr(http, "MAX_BACKOFF_SECONDS", 0.02)
        patch.setattr(http, "BACKOFF_JITTER_SECONDS", 0.0)
        summary = sync(account, "modified")
    assert (summary.created, summary.retries) == (60, 15)


def test_an_outage_is_waited_for_as_long_as_the_account_says_and_once_for_each_pass(
    marketplace: Marketplace, client: MarketplaceClient
) -> None:
    client.outage_seconds = 4.0
    marketplace.fault("status", status=503, times=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "FIRST_BACKOFF_SECONDS", 0.05)
        patch.setattr(http, "MAX_BACKOFF_SECONDS", 0.1)
        patch.setattr(http, "BACKOFF_JITTER_SECONDS", 0.0)
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


@pytest.mark.parametrize("enforced", [True, False])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_is_too_long_for_a_pass_holds_for_the_next_one_too(
    marketplace: Marketplace, connection: Connection, enforced: bool, status: int
) -> None:
    account = sandbox_account(marketplace, limits={"enforced": enforced, "outage_minutes": 1})
    marketplace.fault("status", status=status, headers={"Retry-After": "3600"}, times=0)
    with pytest.raises(PassFailedError, match="and requests a pause of 3600 s, longer than this account's"):
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


# -- what is read of headers and errors


def test_retry_after_is_read_in_both_its_forms() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after("Thu, 01 Jan 2026 12:00:30 GMT", now) == 30
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", now) == 0
    assert retry_after("soon", now) is None
    assert retry_after("²", now) is None
    assert retry_after("-1", now) is None
    assert retry_after("9" * 400, now) == MAX_RETRY_AFTER_SECONDS
    assert retry_after(None, now) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"errors": [{"code": "E1", "message": "for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"}]}, "E1"),
        ({"errors": [{"message": "for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"}]}, "no code given"),
        ({"errors": ["Jane"]}, "no code given"),
        ({"error": {"code": "E", "message": "no order for john.doe@mail.com", "data": {"name": "Doe"}}}, "E"),
        ({"error": {"code": "Jane Doe"}}, "no code given"),
        ({"error": {"code": "jane@doe.example"}}, "no code given"),
        ({"error": {"code": "+33639981234"}}, "no code given"),
        ({"error": {"code": 33639981234}}, "no code given"),
        ({"error": "Jane Doe"}, "no code given"),
        ({"code": 16, "message": "Jane Doe", "details": []}, "16"),
        ({"type": "/errors/x", "title": "Jane Doe", "detail": "1 Main Street", "status": 400}, "/errors/x"),
        ({"code": "invalid_request", "type": "invalid_data", "message": "Jane"}, "invalid_request invalid_data"),
        ({"code": {"name": "Jane"}, "errors": {"a": 1}}, "no code given"),
        ([{"code": "E1"}], "no readable JSON"),
    ],
)
def test_only_the_code_comes_out_of_an_error(body: object, code: str) -> None:
    assert error_code(msgspec.json.encode(body)) == code


def test_nothing_of_an_error_text_is_stored_or_logged(
    marketplace: Marketplace, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    text = "refused for buyer Jane Doe, 1 Main Street; Basic c2VjcmV0"
    body = {"errors": [{"code": "E1", "message": text}], "title": text, "detail": text}
    marketplace.fault("status", status=400, times=0, body=body)
    with caplog.at_level("DEBUG"), pytest.raises(PassFailedError, match="with 400: E1") as problem:
        sync(sandbox_account(marketplace))
    stored = repr(connection.execute("SELECT string_agg(r::text, '') FROM lane_runs r").fetchone())
    for part in ("Jane", "Main Street", "c2VjcmV0"):
        assert part not in caplog.text
        assert part not in stored
        assert part not in str(problem.value)


def test_the_mandatory_headers_are_sent(marketplace: Marketplace, connection: Connection) -> None:
    """The sandbox answers a request without them with an error."""
    an_order(marketplace, 1)
    assert sync(sandbox_account(marketplace, user_agent="BM-Tests-Orders;tests@example.com")).created == 1


def test_the_error_for_a_missing_credential_names_its_variable(
    marketplace: Marketplace, connection: Connection
) -> None:
    with pytest.raises(PassFailedError, match="token: the environment variable NOT_SET_TOKEN is not set"):
        sync(sandbox_account(marketplace, token="NOT_SET_TOKEN"))
