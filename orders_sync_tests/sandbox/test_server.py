"""The sandbox's server: all marketplaces behind one address, and the endpoints that steer them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orders_sync.sandbox.server import open_sandbox, serve
from orders_sync.stock.levels import read_stock_file
from orders_sync.testing.http_server import served

TOKENS = {"back_market": "t", "refurbed": "r", "mirakl": "m"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    sandbox = open_sandbox(None, tokens=TOKENS, orders=40, days=5)
    with served(sandbox.app()) as url, httpx.Client(base_url=url, trust_env=False) as opened:
        yield opened


def test_it_serves_all_contracts_at_one_address(client: httpx.Client) -> None:
    headers = {"User-Agent": "BM-T-1;a@b.example", "Accept-Language": "fr-fr", "Authorization": "Basic t"}
    assert client.get("/ws/orders", headers=headers).status_code == 200
    assert client.get("/api/orders", headers={"Authorization": "m"}).status_code == 200
    orders = "/refb.merchant.v1.OrderService/ListOrders"
    assert client.post(orders, json={}, headers={"Authorization": "Plain r"}).status_code == 200
    assert client.post(orders, json={}).status_code == 401


def test_faults_are_switched_on_and_off(client: httpx.Client) -> None:
    document = {"kind": "status", "path": "/api", "times": 0, "status": 503}
    assert client.post("/sandbox/faults", json=document).json()[0]["details"] == {"status": 503}
    assert client.get("/api/orders", headers={"Authorization": "m"}).status_code == 503
    assert client.get("/sandbox/faults").json()[0]["used"] == 1
    assert client.delete("/sandbox/faults").json() == []
    error = client.post("/sandbox/faults", json={"kind": "rain"})
    assert (error.status_code, "allowed are" in error.json()["error"]) == (400, True)
    assert client.post("/sandbox/faults", json=["status"]).status_code == 400


def test_the_clock_is_moved_and_sped_up(client: httpx.Client) -> None:
    before = client.get("/sandbox/clock").json()
    after = client.post("/sandbox/clock", json={"advance": 86_400, "speed": 2}).json()
    assert after["now"][:10] > before["now"][:10]
    assert (before["speed"], after["speed"]) == (1.0, 2.0)
    assert client.post("/sandbox/clock", json={"advance": "soon"}).status_code == 400


def test_the_log_counts_requests_and_statuses(client: httpx.Client) -> None:
    client.get("/api/orders")
    log = client.get("/sandbox/log").json()
    assert log == {"seen": {"GET /api/orders": 1, "401": 1}, "writes": []}
    assert client.delete("/sandbox/log").json() == {"seen": {}, "writes": []}


@pytest.mark.parametrize(
    "headers",
    [{"Host": "rebound.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_a_page_of_another_site_steers_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    """A form of such a page can send this body: its type text/plain needs no permission of ours."""
    answer = client.post("/sandbox/clock", content=b'{"advance": 86400}', headers=headers)
    assert (answer.status_code, "Refused" in answer.json()["error"]) == (403, True)
    for path in ("faults", "clock", "log", "stock.csv"):
        assert client.get(f"/sandbox/{path}", headers=headers).status_code == 403


def test_the_stock_list_is_one_that_can_be_imported(client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text(client.get("/sandbox/stock.csv").text)
    assert len(read_stock_file(file)) == 32


def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        serve(open_sandbox(None, tokens=TOKENS, orders=1), "0.0.0.0", 1)
