"""The body of Back Market's `POST /ws/orders/{order_id}`, about which the published contract contradicts itself."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.testing.http_server import served


@pytest.mark.parametrize(("sku", "expected"), [("PHONE", {"sku": "PHONE"}), ("", {})])
def test_an_acceptance_satisfies_both_readings(
    sku: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema UpdateOrder requires `id` and `new_state`, and describes `order_id` instead of `id`."""
    monkeypatch.setenv("T", "secret")
    bodies: list[Any] = []

    async def update(request: Request) -> JSONResponse:
        bodies.append(await request.json())
        return JSONResponse({"order_id": 5978, "state": 3, "orderlines": []})

    with served(Starlette(routes=[Route("/ws/orders/5978", update, methods=["POST"])])) as url:
        settings = {"marketplace": "back_market", "token": "T", "base_url": url, "limits": {"enforced": False}}
        adapter = open_adapter(account_from("shop", settings, "defs.yaml"))
        answer = adapter.accept(AcceptanceTarget("5978", sku), ["1"])
        adapter.close()
    assert bodies == [{"id": 5978, "order_id": 5978, "new_state": 2, **expected}]
    assert answer.order is not None
