"""The client: a fault that passes costs only time; one that lasts is an error in one line, and never an end."""

from contextlib import closing
from datetime import timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.decoding import json_object
from orders_sync.marketplaces.kit.errors import BadAnswerError
from orders_sync.marketplaces.kit.http import HttpAdapter
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

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


RAY = "931354450813d142-CDG"
LASTING = [
    ({"kind": "status", "status": 500}, "answers GET /ws/orders with 500: sandbox (6 tries)"),
    ({"kind": "status", "status": 401}, "the credential is wrong or lacks a right: sandbox"),
    ({"kind": "status", "status": 403, "body": "<html>blocked</html>", "headers": {"cf-ray": RAY}},
     f"its firewall blocks us; ray {RAY}"),
    ({"kind": "status", "status": 403, "body": "<html>blocked</html>", "headers": {"cf-ray": f"{RAY}, jane@example.com"}},
     "its firewall blocks us; ray unknown"),
    ({"kind": "status", "status": 400, "body": {"errors": [{"code": "E1", "message": "no"}]}}, "with 400: E1"),
    ({"kind": "status", "status": 400, "body": {"type": "/errors/x", "title": "Not so", "status": 400}},
     "with 400: /errors/x"),
    ({"kind": "status", "status": 429, "headers": {"Retry-After": "4000"}}, "requests a pause of 3600 s or more, longer"),
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
    for number in range(500, 600):
        an_order(marketplace, number, age=timedelta(days=5, minutes=number))
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


def test_the_mandatory_headers_are_sent(marketplace: Marketplace, connection: Connection) -> None:
    """The sandbox answers a request without them with an error."""
    an_order(marketplace, 1)
    assert sync(sandbox_account(marketplace, user_agent="BM-Tests-Orders;tests@example.com")).created == 1


def test_the_error_for_a_missing_credential_names_its_variable(
    marketplace: Marketplace, connection: Connection
) -> None:
    with pytest.raises(PassFailedError, match="token: the environment variable NOT_SET_TOKEN is not set"):
        sync(sandbox_account(marketplace, token="NOT_SET_TOKEN"))


@pytest.mark.parametrize(
    "path", ["@{other}/ws/orders", "@{other}", ".{other}/ws/orders", "0/ws/orders", "ws/orders", "", "/ws\n/orders"]
)
@pytest.mark.parametrize("params", [{}, {"page": "2"}], ids=["", "with parameters"])
def test_no_path_leads_a_request_to_another_host(
    marketplace: Marketplace, connection: Connection, path: str, params: dict[str, str]
) -> None:
    """A path may come from an answer. Glued to `base_url`, it could be another host, which would get the credential."""
    with Marketplace() as other:
        account = sandbox_account(marketplace)
        with closing(open_adapter(account)) as adapter:
            assert isinstance(adapter, HttpAdapter)
            with pytest.raises(BadAnswerError, match="not sent") as error:
                adapter.client.get(path.format(other=other.url.removeprefix("http://")), params, [], json_object)
        assert "\n" not in str(error.value)
        assert (other.calls(), marketplace.calls()) == (0, 0)
