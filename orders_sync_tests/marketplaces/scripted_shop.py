"""A shop at any marketplace, over real HTTP: it lists the orders that a test gives it, and answers the rest as the test says."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.testing.http_server import served

MARKETPLACES = ("back_market", "refurbed", "mirakl", "medusa")
SERVICE = "/refb.merchant.v1.OrderService"
LISTS = {
    "back_market": "/ws/orders", "refurbed": f"{SERVICE}/ListOrders", "mirakl": "/api/orders", "medusa": "/admin/orders",
}  # fmt: skip
"""The path of each marketplace's list of orders."""
Query = Mapping[str, Any]
"""The query of a GET, or the body of a POST."""


def minutes_ago(minutes: int) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def an_order_at(marketplace: str, number: int, created: str = "", modified: str = "") -> dict[str, Any]:
    """An accepted order of one piece, in the marketplace's form; created and modified ten minutes ago by default."""
    created, modified = created or minutes_ago(10), modified or minutes_ago(10)
    match marketplace:
        case "back_market":
            line = {"id": number * 100, "state": 2, "listing": "PHONE", "quantity": 1, "price": "100.00"}
            return {
                "order_id": number, "state": 3, "date_creation": created, "date_modification": modified,
                "is_backship": True, "currency": "EUR", "orderlines": [{**line, "currency": "EUR"}],
            }  # fmt: skip
        case "refurbed":
            item = {"id": str(number * 100), "state": "ACCEPTED", "sku": "PHONE", "offer_data": {"offer_id": "7"}}
            return {"id": str(number), "state": "ACCEPTED", "released_at": created, "items": [item]}
        case "mirakl":
            line = {"order_line_id": f"{number}-1", "order_line_state": "SHIPPING", "offer_sku": "PHONE", "quantity": 1}
            return {
                "order_id": str(number), "order_state": "SHIPPING", "created_date": created,
                "last_updated_date": modified, "currency_iso_code": "EUR", "order_lines": [line],
            }  # fmt: skip
        case _:
            item = {"id": f"item_{number}", "quantity": 1, "variant_sku": "PHONE", "variant_id": "v1", "title": "x"}
            return {
                "id": str(number), "status": "pending", "payment_status": "captured", "created_at": created,
                "updated_at": modified, "fulfillment_status": "not_fulfilled", "currency_code": "eur", "items": [item],
            }  # fmt: skip


def _no_answer(path: str, query: Query) -> object:
    return None


@dataclass
class ScriptedShop:
    """One page of orders, and the answers to all other calls."""

    marketplace: str
    orders: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answer: Callable[[str, Query], object] = _no_answer
    """The answer to a call by its path and query: text is sent as it is, None is a 404."""
    calls: list[tuple[str, Query]] = field(default_factory=list[tuple[str, Query]])

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._respond, methods=["GET", "POST"])])

    def calls_of(self, path: str) -> int:
        return sum(called == path for called, _ in self.calls)

    async def _respond(self, request: Request) -> Response:
        content = await request.body()
        query = json.loads(content) if content else dict(request.query_params)
        path = request.url.path
        self.calls.append((path, query))
        answered = self.answer(path, query)
        if answered is None and path == LISTS[self.marketplace]:
            answered = self._listed(query)
        if answered is None:
            return Response("{}", 404, media_type="application/json")
        body = answered if isinstance(answered, str) else json.dumps(answered)
        return Response(body, media_type="application/json")

    def _listed(self, query: Query) -> dict[str, Any]:
        only_some = any(
            name in query for name in ("state", "order_state_codes", "created_at[$lt]")
        ) or "state" in query.get("filter", {})
        is_first = query.get("page", "1") == "1" and query.get("offset", "0") == "0"
        found = [] if only_some or not is_first else self.orders
        match self.marketplace:
            case "back_market":
                return {"count": len(found), "next": None, "results": found}
            case "refurbed":
                return {"orders": found if "starting_after" not in query["pagination"] else [], "has_more": False}
            case "mirakl":
                return {"orders": found, "total_count": len(found)}
            case _:
                return {"orders": found, "count": len(found)}


@contextmanager
def account_at(shop: ScriptedShop) -> Iterator[SellerAccount]:
    """An account at the shop. The environment variable SCRIPTED_SHOP_TOKEN must be set."""
    with served(shop.app()) as url:
        yield account_from(
            "shop",
            {
                "marketplace": shop.marketplace,
                "base_url": url,
                "token": "SCRIPTED_SHOP_TOKEN",
                "limits": {"enforced": False, "connections": 2, "outage_minutes": 0},
            },
            "defs/accounts/shop/defs.yaml",
        )
