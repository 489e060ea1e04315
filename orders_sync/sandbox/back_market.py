"""The fake Back Market: the published endpoints for orders, Care folders and deliveries, over a world."""

import json
import re
import time
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.sandbox import back_market_records as records
from orders_sync.sandbox.document_files import pdf_response
from orders_sync.sandbox.entities import ACCEPTED, MERCHANT_MOVES, PAID
from orders_sync.sandbox.fake_marketplace import FakeMarketplace, SandboxControls, at_or_after, parse_time
from orders_sync.sandbox.formats import stamp
from orders_sync.sandbox.rates import PublishedLimits
from orders_sync.sandbox.world import World

USER_AGENT = re.compile(r"^BM-[^-;]+-[^;]+;[^@\s]+@[^@\s]+$")
MAX_PAGE_SIZE, CARE_PAGE_SIZE, DELIVERIES_PAGE_SIZE = 50, 10, 10


class FakeBackMarket(FakeMarketplace):
    """Back Market's contract over a world."""

    name = "back_market"

    def __init__(
        self, world: World, controls: SandboxControls, *, token: str, limits: bool, actions_file: Path | None
    ) -> None:
        super().__init__(world, controls, token=token, limits=limits, actions_file=actions_file)
        self._limits = PublishedLimits(time.monotonic)
        #: The world's version of which the list was made, and the list.
        self._listed: tuple[int, list[dict[str, Any]]] = (-1, [])

    def routes(self) -> list[Route]:
        return [
            Route("/ws/orders", self.guarded(self.list_orders)),
            Route("/ws/orders/{order_id}", self.guarded(self.order), methods=["GET", "POST"]),
            Route("/ws/orderlines/{line_id}", self.guarded(self.patch_line), methods=["PATCH"]),
            Route("/ws/sav", self.guarded(self.list_folders)),
            Route("/ws/sav/{folder_id}", self.guarded(self.folder)),
            Route("/ws/shipping/v1/deliveries", self.guarded(self.deliveries)),
            Route("/delivery_note/{name}", self.guarded(self.file, is_open=True)),
            Route("/static/{path:path}", self.guarded(self.file, is_open=True)),
        ]

    # -- the contract's endpoints

    async def list_orders(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        try:
            page, size = int(query.get("page", "1")), int(query.get("page-size", "10"))
            created = parse_time(query.get("date_creation"))
            modified = parse_time(query.get("date_modification"))
            state = int(query["state"]) if "state" in query else None
        except ValueError as error:
            return _v2_error(400, "bad_request", str(error))
        if not 1 <= size <= MAX_PAGE_SIZE or page < 1:
            return _v2_error(400, "bad_request", f"page-size must be from 1 to {MAX_PAGE_SIZE}")
        if self.has_fault("no_filter", request):
            created = modified = None
        found = [
            record
            for record in self.listed()
            if record.get("state") not in (0, 8)
            and (state is None or record.get("state") == state)
            and (created is None or at_or_after(record.get("date_creation"), created))
            and (modified is None or at_or_after(record.get("date_modification"), modified))
            and ("country_code" not in query or record.get("country_code") == query["country_code"])
        ]
        return _page(found, page, size, request, count=len(found))

    async def order(self, request: Request) -> dict[str, Any] | Response:
        text = request.path_params["order_id"]
        record = self._order(int(text)) if text.isdecimal() else None
        if record is None:
            return _problem(404, "/errors/not-found", "The order does not exist")
        if request.method == "GET":
            return record
        try:
            body = json.loads(await request.body())
            new_state = int(body["new_state"])
        except (ValueError, KeyError, TypeError):
            return _v2_error(400, "bad_request", "new_state is missing")
        # Schema UpdateOrder requires `id` and describes `order_id`: either is right, and both.
        if any(body.get(key, int(text)) != int(text) for key in ("id", "order_id")):
            return _v2_error(400, "bad_request", "Specify the same order_id in the URL and in the body")
        sku = body.get("sku")
        problem = self._merchant_sets(int(text), new_state, sku)
        self.controls.writes.append({"order_id": int(text), "new_state": new_state, "sku": sku, "problem": problem})
        if problem:
            return _v1_error(400, "invalid_transition", problem)
        self.save_actions()
        return self._order(int(text)) or {}

    async def patch_line(self, request: Request) -> dict[str, Any] | Response:
        line_id = request.path_params["line_id"]
        if not line_id.isdecimal() or int(line_id) not in self.world.by_line:
            return _problem(404, "/errors/not-found", "The orderline doesn't exist")
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _v2_error(400, "bad_request", "no JSON")
        numbers = {key: body[key] for key in ("imei", "serial_number") if key in body}
        return numbers or _v2_error(422, "unprocessable", "imei or serial_number must be provided")

    async def list_folders(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        try:
            since = (
                datetime.strptime(query["last_modification_date"], "%Y-%m-%d-%H-%M").replace(tzinfo=UTC)
                if "last_modification_date" in query
                else None
            )
            last_id, page = int(query.get("last_id", "0")), int(query.get("page", "1"))
        except ValueError as error:
            return _v1_error(400, "bad_request", str(error))
        folders = [records.folder_record(folder) for folder in self.world.folders.values()]
        folders += [dict(folder["list"]) for folder in self.world.scripted_folders.values()]
        found = sorted(
            (
                folder
                for folder in folders
                if folder["id"] > last_id
                and (since is None or datetime.fromisoformat(folder["date_modification"]) >= since)
                and ("state" not in query or str(folder["state"]) == query["state"])
                and ("orderline" not in query or str(folder["orderline"]) == query["orderline"])
            ),
            key=lambda folder: folder["id"],
        )
        document = _page(found, page, CARE_PAGE_SIZE, request)
        document["count"] = len(document["results"])  # as published: the count of this page
        # A text also where there is no such page; the contract's example is "null".
        document["next"] = document["next"] or "null"
        document["previous"] = document["previous"] or "null"
        return document

    async def folder(self, request: Request) -> dict[str, Any] | Response:
        text = request.path_params["folder_id"]
        number = int(text) if text.isdecimal() else -1
        if number in self.world.scripted_folders:
            return self.world.scripted_folders[number]["detail"]
        folder = self.world.folders.get(number)
        if folder is None:
            return _v1_error(404, "not_found", "Care Folder does not exist")
        return records.folder_detail(folder, self.world.orders[folder.order_id])

    async def deliveries(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        order_id = query.get("order_id")
        if order_id is not None and not order_id.isdecimal():
            return JSONResponse(
                {
                    "error": {"code": "E009", "message": "Validation error"},
                    "data": {"fields": {"orderId": ["An integer is needed."]}},
                },
                422,
            )
        orders = [self.world.orders.get(int(order_id))] if order_id else list(self.world.orders.values())
        found = [records.delivery_record(order) for order in orders if order is not None and order.label]
        found += [
            delivery
            for record in self.world.scripted.values()
            for delivery in record.get("_deliveries", [])
            if order_id is None or str(delivery["order"]) == order_id
        ]
        return _page(found, int(query.get("page", "1")), DELIVERIES_PAGE_SIZE, request, count=len(found))

    async def file(self, request: Request) -> Response:
        path = request.url.path
        if path in self.world.scripted_files:
            return Response(self.world.scripted_files[path], media_type="application/pdf")
        order = next((order for order in self.world.orders.values() if path in (order.note, order.label)), None)
        if order is None:
            return Response(status_code=404)
        return pdf_response("Delivery note" if path == order.note else "Shipping label", order)

    def precheck(self, request: Request) -> Response | None:
        if self.enforces_limits and not self._limits.admits(request.url.path):
            return _v1_error(429, "rate_limited", "Too many requests. Client has been rate limited.")
        if not USER_AGENT.match(request.headers.get("user-agent", "")):
            page = (
                "<html><head><title>Attention Required!</title></head><body>Sorry, you have been blocked</body></html>"
            )
            return Response(page, 403, headers={"cf-ray": "931354450813d142-CDG"}, media_type="text/html")
        if request.headers.get("authorization") != f"Basic {self.token}":
            return _v1_error(401, "unauthorized", "Guest user not allowed")
        if not re.fullmatch(r"[a-z]{2}-[a-z]{2}", request.headers.get("accept-language", "")):
            return _v2_error(400, "bad_request", "Accept-Language must be a country code, e.g. fr-fr")
        return None

    def listed(self) -> list[dict[str, Any]]:
        """All orders, newest first."""
        if self._listed[0] != self.world.version:
            made = [records.order_record(order, self.controls.address) for order in self.world.orders.values()]
            made += [_published(record) for record in self.world.scripted.values()]
            made.sort(key=lambda record: str(record.get("date_creation")), reverse=True)
            self._listed = (self.world.version, made)
        return self._listed[1]

    def _order(self, number: int) -> dict[str, Any] | None:
        if number in self.world.scripted:
            return _published(self.world.scripted[number])
        order = self.world.orders.get(number)
        return records.order_record(order, self.controls.address) if order is not None else None

    def _merchant_sets(self, number: int, new_state: int, sku: str | None) -> str | None:
        if number not in self.world.scripted:
            return self.world.merchant_sets(number, new_state, sku, self.clock.now())
        order = self.world.scripted[number]
        movable = [
            line
            for line in order["orderlines"]
            if (sku is None or line["listing"] == sku) and line["state"] == MERCHANT_MOVES.get(new_state)
        ]
        if not movable:
            return f"no orderline can go to state {new_state}"
        for line in movable:
            line["state"] = new_state
        states = {line["state"] for line in order["orderlines"]}
        order["state"] = 1 if PAID in states else 3 if ACCEPTED in states else 9
        order["date_modification"] = stamp(self.clock.now())
        self.world.version += 1
        return None


def _published(record: dict[str, Any]) -> dict[str, Any]:
    """A scripted record without the keys that only the sandbox uses (`_…`)."""
    return {key: value for key, value in record.items() if not key.startswith("_")}


def _page(
    found: list[dict[str, Any]], page: int, size: int, request: Request, count: int | None = None
) -> dict[str, Any]:
    # As in the contract's examples, links name Back Market's host, not the sandbox's.
    link = f"https://www.backmarket.fr{request.url.path}?page="
    pages = ceil(len(found) / size)
    return {
        "count": count,
        "next": f"{link}{page + 1}" if page < pages else None,
        "previous": f"{link}{page - 1}" if page > 1 else None,
        "results": found[(page - 1) * size : page * size],
    }


def _v1_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}, "requestId": "sandbox"}, status)


def _v2_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}], "requestId": "sandbox"}, status)


def _problem(status: int, kind: str, title: str) -> Response:
    return JSONResponse({"type": kind, "title": title, "status": status}, status, media_type="application/problem+json")
