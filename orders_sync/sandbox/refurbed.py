"""The fake refurbed: the published methods for orders, labels, returns, tickets and item states, over a world."""

import hmac
import json
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.sandbox.document_files import pdf_response, zpl_of
from orders_sync.sandbox.entities import (
    ACCEPTED,
    CANCELLED,
    DAY,
    NEW,
    NOT_PAID,
    PAID,
    REFUNDED_EARLY,
    REFUNDED_LATE,
    SHIPPED,
    Folder,
    Line,
    SandboxOrder,
)
from orders_sync.sandbox.fake_marketplace import FakeMarketplace, SandboxControls, at_or_after, parse_time
from orders_sync.sandbox.formats import cents, stamp
from orders_sync.sandbox.world import World

MAX_PAGE_SIZE = 100
CALLS, SECONDS = 600, 60
"""The rate limit that its headers announce: CALLS calls in each window of SECONDS seconds."""

LABEL_LIFETIME = DAY
"""How long the URL of a label opens."""
ITEM_STATE = {
    PAID: "NEW",
    ACCEPTED: "ACCEPTED",
    REFUNDED_EARLY: "ACCEPTED",
    SHIPPED: "SHIPPED",
    CANCELLED: "CANCELLED",
    REFUNDED_LATE: "RETURNED",
}
SETTABLE_STATE = {"ACCEPTED": ACCEPTED, "CANCELLED": CANCELLED, "REJECTED": CANCELLED}
"""The states that the merchant may set, as states of the world's lines."""


class FakeRefurbed(FakeMarketplace):
    """refurbed's contract over a world in which each line is one piece."""

    name = "refurbed"

    def __init__(
        self, world: World, controls: SandboxControls, *, token: str, limits: bool, actions_file: Path | None
    ) -> None:
        super().__init__(world, controls, token=token, limits=limits, actions_file=actions_file)
        #: The current window's number, and the calls in it.
        self._window = (0, 0)

    def routes(self) -> list[Route]:
        methods = {
            "OrderService/ListOrders": self.list_orders,
            "OrderService/GetOrder": self.get_order,
            "OrderService/ListShippingLabels": self.list_labels,
            "OrderItemService/UpdateOrderItemState": self.update_item,
            "OrderItemReturnService/ListOrderItemReturns": self.list_returns,
            "TicketService/ListTickets": self.list_tickets,
        }
        calls = [
            Route(f"/refb.merchant.v1.{name}", self.guarded(_with_body(method)), methods=["POST"])
            for name, method in methods.items()
        ]
        return [*calls, Route("/labels/{name}", self.guarded(self.label_file, is_open=True))]

    def precheck(self, request: Request) -> Response | None:
        number = int(self.clock.now().timestamp()) // SECONDS
        self._window = (number, self._window[1] + 1 if self._window[0] == number else 1)
        if self.enforces_limits and self._window[1] > CALLS:
            return _status(429, 8, "rate limit is exceeded")
        if request.headers.get("authorization") != f"Plain {self.token}":
            return _status(401, 16, "authorization header is malformed or invalid")
        return None

    def headers(self) -> dict[str, str]:
        number, calls = self._window
        return {
            "X-RateLimit-Limit": str(CALLS),
            "X-RateLimit-Remaining": str(max(0, CALLS - calls)),
            "X-RateLimit-Reset": str((number + 1) * SECONDS),
        }

    async def list_orders(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        filters = {} if self.has_fault("no_filter", request) else body.get("filter", {})
        since = parse_time(filters.get("released_at", {}).get("ge"))
        states = filters.get("state", {}).get("any_of")
        found = [
            record
            for record in self.listed()
            if (since is None or at_or_after(record.get("released_at"), since))
            and (states is None or record["state"] in states)
        ]
        return _page("orders", found, body)

    async def get_order(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        record = next((record for record in self.listed() if record["id"] == str(body.get("id"))), None)
        return {"order": record} if record is not None else _status(404, 5, "order is not found")

    async def list_labels(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        text = str(body.get("order_id"))
        order = self.world.orders.get(int(text)) if text.isdecimal() else None
        if order is None:
            return _status(404, 5, "order is not found")
        if order.label is None:
            return {"shipping_labels": []}
        label = {
            "id": str(order.id),
            "label_printer_url": self._signed(f"{order.id}.zpl"),
            "normal_printer_urls": {"top_left": self._signed(f"{order.id}.pdf")},
            "tracking_data": {"carrier": "ups", "tracking_number": order.tracking or f"TRACK{order.id}"},
        }
        return {"shipping_labels": [label]}

    def _signed(self, name: str) -> str:
        """The URL of a label's file, which opens without a credential until it expires."""
        expires = int((self.clock.now() + LABEL_LIFETIME).timestamp())
        query = f"expires={expires}&signature={self._signature(name, expires)}"
        return f"{self.controls.address}/labels/{name}?{query}"

    def _signature(self, name: str, expires: int) -> str:
        return hmac.new(self.token.encode(), f"{name} {expires}".encode(), "sha256").hexdigest()

    async def label_file(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        text = query.get("expires", "")
        expires = int(text) if text.isdecimal() else 0
        if query.get("signature") != self._signature(name, expires) or expires < self.clock.now().timestamp():
            return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
        order = self.world.orders[int(name.split(".")[0])]
        if name.endswith(".zpl"):
            return Response(zpl_of("Shipping label", order), media_type="application/octet-stream")
        return pdf_response("Shipping label", order)

    async def update_item(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        text = str(body.get("id"))
        order_id = self.world.by_line.get(int(text)) if text.isdecimal() else None
        if order_id is None:
            return _status(404, 5, "the updated order item is not found")
        new_state = {"ACCEPTED": ACCEPTED, "CANCELLED": CANCELLED, "REJECTED": CANCELLED}.get(
            str(body.get("state")), NEW
        )
        problem = self.world.merchant_sets(order_id, new_state, None, self.clock.now(), int(text))
        self.controls.writes.append({"item_id": text, "state": body.get("state"), "problem": problem})
        if problem:
            return _status(400, 3, "illegal state transition is attempted")
        self.save_actions()
        order = self.world.orders[order_id]
        return {"order_item": next(item_record(line, order) for line in order.lines if line.id == int(text))}

    async def list_returns(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        since = parse_time(body.get("filter", {}).get("return_initiated_at", {}).get("ge"))
        found = [return_record(folder) for folder in self.world.folders.values() if folder.returned]
        return _page(
            "returns", [r for r in found if since is None or at_or_after(r["return_initiated_at"], since)], body
        )

    async def list_tickets(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        found = [self._ticket(folder) for folder in self.world.folders.values() if not folder.returned]
        return _page("tickets", found, body)

    def listed(self) -> list[dict[str, Any]]:
        """All orders that are released to the merchant."""
        made = [order_record(order) for order in self.world.orders.values() if _is_released(order)]
        made += self.world.scripted.values()
        return made

    def _ticket(self, folder: Folder) -> dict[str, Any]:
        order = self.world.orders[folder.order_id]
        topic = {"REPLACE": "request_replacement", "REFUND": "request_refund"}.get(folder.choice or "", "other")
        return {
            "id": str(folder.id),
            "status": "CLOSED" if folder.closed else "OPEN",
            "created_at": stamp(folder.created),
            "updated_at": stamp(folder.modified),
            "marketplace_order_item": {"order_item_id": str(folder.line_id), "order_id": str(folder.order_id)},
            "topic_slug": topic,
            "country": order.buyer["country"],
            "customer": {"email": f"buyer{order.id}@mail.example.com", "name": order.buyer["firstName"]},
        }


def _is_released(order: SandboxOrder) -> bool:
    return order.paid is not None and any(line.state not in (NEW, NOT_PAID) for line in order.lines)


def order_record(order: SandboxOrder) -> dict[str, Any]:
    """An order as a document of the contract's definition Order."""
    assert order.paid is not None
    items = [item_record(line, order) for line in order.lines]
    total = sum(line.price for line in order.lines)
    refunded = sum(line.price for line in order.lines if line.state in (REFUNDED_EARLY, REFUNDED_LATE))
    return {
        "id": str(order.id),
        "released_at": stamp(order.paid),
        "state": _order_state({item["state"] for item in items}),
        "labels": [],
        "customer_email": f"buyer{order.id}@mail.example.com",
        "shipping_address": _address(order),
        "invoice_address": _address(order),
        "currency_code": "EUR",
        "settlement_currency_code": "EUR",
        "settlement_exchange_rate": "1",
        "total_charged": cents(total),
        "total_discount": "0.00",
        "total_paid": cents(total - refunded),
        "total_refunded": cents(refunded),
        "total_vat_charged": "0.00",
        "has_invoice": False,
        "items": items,
        "payment_method": "PAYPAL" if order.id % 3 == 0 else "STRIPE_CARDS",
    }


def item_record(line: Line, order: SandboxOrder) -> dict[str, Any]:
    """An item as a document of the contract's definition OrderItem."""
    is_refunded = line.state in (REFUNDED_EARLY, REFUNDED_LATE)
    return {
        "id": str(line.id),
        "order_id": str(order.id),
        "name": line.product,
        "state": ITEM_STATE.get(line.state, "UNSPECIFIED"),
        "sku": line.sku,
        "currency_code": "EUR",
        "total_charged": cents(line.price),
        "total_paid": cents(0 if is_refunded else line.price),
        "total_refunded": cents(line.price if is_refunded else 0),
        "settlement_total_commission": cents(line.price // 10),
        "taxation": "MARGINAL",
        "offer_data": {"offer_id": str(100_000 + sum(map(ord, line.sku))), "offer_grading": "A", "shipping_costs": "0"},
        "parcel_tracking_url": f"https://carrier.example.com/{order.tracking}" if order.tracking else "",
        "item_identifiers": _identifiers(line),
    }


def _identifiers(line: Line) -> list[dict[str, str]]:
    named = (("IMEI", line.imei()), ("SERIAL_NUMBER", line.serial_number()))
    return [{"identifier_type": kind, "value": value} for kind, value in named if value is not None]


def return_record(folder: Folder) -> dict[str, Any]:
    """A return as a document of the contract's definition OrderItemReturn."""
    record = {
        "id": str(folder.id),
        "order_id": str(folder.order_id),
        "order_item_id": str(folder.line_id),
        "return_initiated_at": stamp(folder.created),
        "state": "CONCLUDED" if folder.closed else "INITIATED",
        "tracking_number": f"RETURN{folder.id}",
    }
    return record | ({"delivered_at": stamp(folder.closed)} if folder.closed else {})


def _order_state(states: set[str]) -> str:
    """The order's state, derived from its items' states (definition OrderState)."""
    if len(states) == 1:
        return next(iter(states))
    if "NEW" in states:
        return "NEW"
    if "ACCEPTED" in states:
        return "ACCEPTED"
    if states <= {"SHIPPED", "RETURNED"}:
        return "FULFILLED"
    return "UNFULFILLED" if states <= {"REJECTED", "CANCELLED"} else "PARTIALLY_FULFILLED"


def _address(order: SandboxOrder) -> dict[str, Any]:
    number, street = str(order.buyer["street"]).split(", ")
    return {
        "first_name": order.buyer["firstName"], "family_name": order.buyer["lastName"], "entity": "UNSPECIFIED",
        "country_code": order.buyer["country"], "post_code": order.buyer["postalCode"], "town": order.buyer["city"],
        "street_name": street, "house_no": number, "phone_number": order.buyer["phoneNumber"],
    }  # fmt: skip


def _with_body(method: Any) -> Any:
    async def endpoint(request: Request) -> dict[str, Any] | Response:
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            return _status(400, 3, "the body is no JSON")
        return await method(request, body)

    return endpoint


def _page(name: str, found: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any] | Response:
    pagination = body.get("pagination", {})
    limit, after = int(pagination.get("limit", MAX_PAGE_SIZE)), pagination.get("starting_after")
    if not 1 <= limit <= MAX_PAGE_SIZE:
        return _status(400, 3, f"pagination limit must be between 1 and {MAX_PAGE_SIZE}")
    if after is not None and "ending_before" in pagination:
        return _status(400, 3, "ending_before and starting_after exclude each other")
    found = sorted(found, key=lambda record: int(record["id"]))
    if after is not None:
        found = [record for record in found if int(record["id"]) > int(after)]
    return {name: found[:limit], "has_more": len(found) > limit}


def _status(http: int, code: int, message: str) -> Response:
    """An error in the form of google.rpc.Status."""
    return JSONResponse({"code": code, "message": message, "details": []}, http)
