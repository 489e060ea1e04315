"""docs/add-a-marketplace.md: the file and the account on that page are all that a new marketplace needs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync import marketplaces
from orders_sync.config.account import AccountConfigError, SellerAccount
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import registry
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.new_account import account_file
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.adapter_contract import contract_cases
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants, nothing_changed
from orders_sync.testing.marketplace import sync

TEXT = (PROJECT_ROOT / "docs" / "add-a-marketplace.md").read_text()
REQUESTS_PER_TOKEN = 3


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[number]


class BazaarServer:
    """Bazaar's contract, over real HTTP; an access token lives for three requests."""

    def __init__(self) -> None:
        now = datetime.now(UTC) - timedelta(minutes=5)
        self.orders: dict[str, dict[str, Any]] = {
            f"O{n:03}": {
                "id": f"O{n:03}", "placed": now.isoformat(), "changed": now.isoformat(), "state": "paid",
                "currency": "EUR", "amount": "10.00", "buyer": {"name": "Ada"},
                "lines": [{"id": f"L{n:03}", "article": "PHONE", "pieces": 1, "state": "paid", "amount": "10.00"}],
            }
            for n in range(1, 26)
        }  # fmt: skip
        self.cases: list[dict[str, Any]] = []
        self.tokens = 0
        self.left = 0
        self.next_host = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth/token", self.token, methods=["POST"]),
                Route("/v1/orders", self.guarded(self.list_orders)),
                Route("/v1/orders/{id}", self.guarded(self.one_order)),
                Route("/v1/orders/{id}/documents", self.guarded(self.documents)),
                Route("/v1/lines/{id}/confirm", self.guarded(self.confirm), methods=["POST"]),
                Route("/v1/cases", self.guarded(self.list_cases)),
            ]
        )

    async def token(self, request: Request) -> Response:
        form = (await request.body()).decode()
        if request.headers["authorization"] != "Basic bWU6c2VjcmV0" or "grant_type=client_credentials" not in form:
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens, self.left = self.tokens + 1, REQUESTS_PER_TOKEN
        return JSONResponse({"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"})

    def guarded(self, endpoint: Any) -> Any:
        async def answer(request: Request) -> Response:
            self.left -= 1
            if request.headers.get("authorization") != f"Bearer token-{self.tokens}" or self.left < 0:
                return JSONResponse({"error": {"code": "expired", "message": "token expired"}}, 401)
            return endpoint(request)

        return answer

    def list_orders(self, request: Request) -> Response:
        state = request.query_params.get("state")
        found = [order for order in self.orders.values() if state in (None, order["state"])]
        after, limit = request.query_params.get("after", ""), int(request.query_params["limit"])
        page = [order for order in found if order["id"] > after]
        following = None
        if len(page) > limit:
            following = f"{self.next_host}/v1/orders?limit={limit}&after={page[limit - 1]['id']}"
            following += f"&state={state}" if state else ""
        return JSONResponse({"data": page[:limit], "next": following})

    def one_order(self, request: Request) -> Response:
        return JSONResponse(self.orders[request.path_params["id"]])

    def documents(self, request: Request) -> Response:
        order_id = request.path_params["id"]
        return JSONResponse(
            {
                "note": f"https://b.example.com/{order_id}/n.pdf",
                "labels": [{"parcel": "1", "url": f"https://b.example.com/{order_id}/l.pdf"}],
            }
        )

    def confirm(self, request: Request) -> Response:
        order = next(o for o in self.orders.values() if o["lines"][0]["id"] == request.path_params["id"])
        order["state"] = order["lines"][0]["state"] = "confirmed"
        order["changed"] = datetime.now(UTC).isoformat()
        return JSONResponse(order)

    def list_cases(self, request: Request) -> Response:
        return JSONResponse({"data": self.cases})


@pytest.fixture
def bazaar() -> Iterator[tuple[BazaarServer, str]]:
    contract = BazaarServer()
    with served(contract.app()) as address:
        yield contract, address


@pytest.fixture
def account(
    bazaar: tuple[BazaarServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SellerAccount]:
    """One new file among the adapters, and one account file."""
    (tmp_path / "bazaar.py").write_text(block("python"))
    monkeypatch.setattr(marketplaces, "__path__", [*marketplaces.__path__, str(tmp_path)])
    registry.reload()
    monkeypatch.setenv("BAZAAR_CLIENT_ID", "me")
    monkeypatch.setenv("BAZAAR_CLIENT_SECRET", "secret")
    attributes = yaml.safe_load(block("yaml"))["attributes"]
    yield account_from("my_stall", {**attributes, "base_url": bazaar[1], "page_size": 10}, "defs.yaml")
    registry.reload()


def test_one_file_and_one_account_are_all_that_it_needs(
    bazaar: tuple[BazaarServer, str], account: SellerAccount, connection: Connection
) -> None:
    server, _ = bazaar
    summary = sync(account)
    assert (summary.created, summary.accepted, summary.rejected) == (25, 25, 0)
    assert server.tokens > 5, "tokens expired in mid-pass and were renewed"
    assert sync(account, "incomplete").documents_found == 50
    server.cases.append({"id": "C1", "line": "L003", "wish": "new one", "placed": server.orders["O003"]["placed"]})
    assert sync(account, "care").linked == 1
    server.orders["O001"] |= {"state": "sent", "lines": [{**server.orders["O001"]["lines"][0], "state": "sent"}]}
    sync(account, "modified")
    apply_pending(StockConnection(connection))
    assert connection.execute("SELECT status FROM orders WHERE order_id = 'O001'").fetchone() == ("shipped",)
    nothing_changed(sync(account, "modified"))
    check_invariants(connection)


def test_the_example_of_the_contract_suite_passes_and_finds_a_mistake(
    account: SellerAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    exec(compile(block("python", 1), "test_bazaar.py", "exec"), names)
    cases = contract_cases(names["CONTRACT"])
    assert len(cases) > 25
    for case in cases:
        case.check()
    swapped = {**names["ORDER"], "placed": names["ORDER"]["changed"], "changed": names["ORDER"]["placed"]}
    contract = replace(names["CONTRACT"], order=replace(names["CONTRACT"].order, record=swapped))
    with pytest.raises(AssertionError, match="created_at"):
        contract_cases(contract)[0].check()
    monkeypatch.delitem(names["bazaar"].STATUS, "void")
    with pytest.raises(AssertionError, match=r"without a meaning: \{'void'\}"):
        next(case for case in cases if case.name == "every state: order").check()


def test_a_wrong_secret_and_a_link_to_another_host_are_clear_errors(
    bazaar: tuple[BazaarServer, str], account: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = bazaar
    server.next_host = "https://elsewhere.example.com"
    with pytest.raises(PassFailedError, match=r"goes on at another host \(elsewhere.example.com\): not followed"):
        sync(account, "modified")
    monkeypatch.setenv("BAZAAR_CLIENT_SECRET", "hunter2")
    with pytest.raises(PassFailedError, match="gives no access token") as problem:
        sync(account, "modified")
    assert "hunter2" not in str(problem.value)
    monkeypatch.delenv("BAZAAR_CLIENT_SECRET")
    with pytest.raises(
        (PassFailedError, AccountConfigError), match="client_secret: the environment variable BAZAAR_CLIENT_SECRET"
    ):
        sync(account, "modified")


@pytest.mark.parametrize("marketplace", ["back_market", "refurbed", "mirakl", "medusa"])
def test_a_scaffolded_account_needs_only_to_be_filled_in(marketplace: str) -> None:
    text = account_file(marketplace, "my_shop")
    filled = text.replace("base_url: # fill in", "base_url: https://shop.example.com")
    account = account_from("my_shop", yaml.safe_load(filled)["attributes"], "defs.yaml")
    assert account.settings.CREDENTIALS == ("token",)
    assert "token: MY_SHOP_TOKEN" in text
    uncommented = re.sub(r"^  # (\w+): (?=\S)", r"  \1: ", filled, flags=re.MULTILINE)
    again = account_from("my_shop", yaml.safe_load(uncommented)["attributes"], "defs.yaml")
    assert again.settings.model_dump(exclude={"base_url"}) == account.settings.model_dump(exclude={"base_url"})
