"""The sandbox's HTTP side: Back Market's published endpoints over a World, and a few of its own under /sandbox."""

import asyncio
import csv
import io
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.sandbox import records
from orders_sync.sandbox.faults import Fault, change_document, deliver, instead
from orders_sync.sandbox.rates import Limits
from orders_sync.sandbox.world import World, stock_levels

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER_AGENT = re.compile(r"^BM-[^-;]+-[^;]+;[^@\s]+@[^@\s]+$")
LARGEST_PAGE, CARE_PAGE, DELIVERIES_PAGE = 50, 10, 10


@dataclass
class Clock:
    """The world's time: real time from `started` on, `speed` times as fast, plus what was skipped."""

    started: datetime
    speed: float = 1.0
    real_start: float = field(default_factory=time.time)
    skipped: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.started + timedelta(seconds=(time.time() - self.real_start) * self.speed) + self.skipped

    def set_speed(self, speed: float) -> None:
        self.started, self.real_start, self.skipped = self.now(), time.time(), timedelta(0)
        self.speed = speed


class Sandbox:
    """One sandbox marketplace: a world, its clock, its limits, its faults, its access log."""

    def __init__(
        self, world: World, clock: Clock, *, token: str, limits: bool = True, memory: Path | None = None
    ) -> None:
        self.world = world
        self.clock = clock
        self.token = token
        self.limits = Limits(time.monotonic) if limits else None
        self.memory = memory
        self.faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        self.writes: list[dict[str, Any]] = []
        self._listed: tuple[int, list[dict[str, Any]]] = (-1, [])

    def app(self) -> Starlette:
        control = "/sandbox"
        return Starlette(
            routes=[
                Route("/ws/orders", self._guarded(self.list_orders)),
                Route("/ws/orders/{order_id}", self._guarded(self.order), methods=["GET", "POST"]),
                Route("/ws/orderlines/{line_id}", self._guarded(self.patch_line), methods=["PATCH"]),
                Route("/ws/sav", self._guarded(self.list_folders)),
                Route("/ws/sav/{folder_id}", self._guarded(self.folder)),
                Route("/ws/shipping/v1/deliveries", self._guarded(self.deliveries)),
                Route(f"{control}/faults", self.control_faults, methods=["GET", "POST", "DELETE"]),
                Route(f"{control}/clock", self.control_clock, methods=["GET", "POST"]),
                Route(f"{control}/orders", self.control_orders, methods=["GET", "PUT"]),
                Route(f"{control}/folders", self.control_folders, methods=["PUT"]),
                Route(f"{control}/log", self.control_log, methods=["GET", "DELETE"]),
                Route(f"{control}/stock.csv", self.control_stock),
            ]
        )

    # -- the contract's endpoints

    async def list_orders(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        try:
            page, size = int(query.get("page", "1")), int(query.get("page-size", "10"))
            created = _moment(query.get("date_creation"))
            modified = _moment(query.get("date_modification"))
            state = int(query["state"]) if "state" in query else None
        except ValueError as error:
            return _v2_error(400, "bad_request", str(error))
        if not 1 <= size <= LARGEST_PAGE or page < 1:
            return _v2_error(400, "bad_request", f"page-size must be from 1 to {LARGEST_PAGE}")
        if self._struck(request, "no_filter"):
            created = modified = None
        found = [
            record
            for record in self._orders()
            if record.get("state") not in (0, 8)
            and (state is None or record.get("state") == state)
            and (created is None or _at_or_after(record.get("date_creation"), created))
            and (modified is None or _at_or_after(record.get("date_modification"), modified))
            and ("country_code" not in query or record.get("country_code") == query["country_code"])
        ]
        return _paged(found, page, size, request, count=len(found))

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
        sku = body.get("sku")
        problem = self.world.merchant_sets(int(text), new_state, sku, self.clock.now())
        self.writes.append({"order_id": int(text), "new_state": new_state, "sku": sku, "problem": problem})
        if problem:
            return _v1_error(400, "invalid_transition", problem)
        if self.memory is not None:
            self.world.remember(self.memory / "deeds.jsonl")
        return self._order(int(text)) or {}

    async def patch_line(self, request: Request) -> dict[str, Any] | Response:
        line_id = request.path_params["line_id"]
        if not line_id.isdecimal() or int(line_id) not in self.world.by_line:
            return _problem(404, "/errors/not-found", "The orderline doesn't exist")
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _v2_error(400, "bad_request", "no JSON")
        told = {key: body[key] for key in ("imei", "serial_number") if key in body}
        return told or _v2_error(422, "unprocessable", "imei or serial_number must be provided")

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
        answer = _paged(found, page, CARE_PAGE, request)
        answer["count"] = len(answer["results"])  # as published: the count of this page
        answer["previous"] = answer["previous"] or "null"
        return answer

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
        asked = query.get("order_id")
        if asked is not None and not asked.isdecimal():
            return JSONResponse(
                {
                    "error": {"code": "E009", "message": "Validation error"},
                    "data": {"fields": {"orderId": ["An integer is needed."]}},
                },
                422,
            )
        orders = [self.world.orders.get(int(asked))] if asked else list(self.world.orders.values())
        found = [records.delivery_record(order) for order in orders if order is not None and order.label]
        found += [
            delivery
            for record in self.world.scripted.values()
            for delivery in record.get("_deliveries", [])
            if asked is None or str(delivery["order"]) == asked
        ]
        return _paged(found, int(query.get("page", "1")), DELIVERIES_PAGE, request, count=len(found))

    # -- what stands before each of them

    def _guarded(self, endpoint: Any) -> Any:
        async def answer(request: Request) -> Response:
            self.world.advance(self.clock.now())
            self.seen[f"{request.method} {_shape(request.url.path)}"] += 1
            response = await self._answer(endpoint, request)
            self.seen[str(response.status_code)] += 1
            response.headers["Date"] = format_datetime(self.clock.now().replace(microsecond=0), usegmt=True)
            return response

        return answer

    async def _answer(self, endpoint: Any, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        fault = next((f for f in self.faults if f.kind != "no_filter" and f.strikes(request)), None)
        if fault is not None:
            if fault.kind == "delay":
                await asyncio.sleep(float(fault.details.get("seconds", 1)))
            response = instead(fault)
            if response is not None:
                return response
        answer = await endpoint(request)
        if isinstance(answer, Response):
            return answer
        if fault is not None:
            change_document(fault, answer, request)
        content = json.dumps(
            answer if "_deliveries" not in answer else {k: v for k, v in answer.items() if k != "_deliveries"}
        ).encode()
        if fault is not None:
            if fault.kind == "arrive":
                self.world._arrive(self.clock.now())
                newest = self.world.orders[max(self.world.orders)]
                self.world._pay(newest, self.clock.now())
            return await deliver(fault, content)
        return Response(content, media_type="application/json")

    def _refused(self, request: Request) -> Response | None:
        if self.limits is not None and not self.limits.admits(request.url.path):
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

    def _struck(self, request: Request, kind: str) -> bool:
        return any(fault.kind == kind and fault.strikes(request) for fault in self.faults)

    def _orders(self) -> list[dict[str, Any]]:
        if self._listed[0] != self.world.version:
            listed = [
                {key: value for key, value in record.items() if key != "_deliveries"}
                for record in self.world.order_records()
            ]
            self._listed = (self.world.version, listed)
        return self._listed[1]

    def _order(self, number: int) -> dict[str, Any] | None:
        if number in self.world.scripted:
            record = self.world.scripted[number]
            return {key: value for key, value in record.items() if key != "_deliveries"}
        order = self.world.orders.get(number)
        return records.order_record(order) if order is not None else None

    # -- the sandbox's own endpoints, for tests and demonstrations

    async def control_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            try:
                self.faults.append(Fault.of(await request.json()))
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse([vars(fault) for fault in self.faults])

    async def control_clock(self, request: Request) -> Response:
        if request.method == "POST":
            body = await request.json()
            if "speed" in body:
                self.clock.set_speed(float(body["speed"]))
            self.clock.skipped += timedelta(seconds=float(body.get("advance", 0)))
        self.world.advance(self.clock.now())
        return JSONResponse({"now": self.clock.now().isoformat(), "speed": self.clock.speed})

    async def control_orders(self, request: Request) -> Response:
        """PUT: a scripted order, in the contract's form (`_deliveries`: its deliveries). GET: all orders."""
        if request.method == "PUT":
            for record in await request.json():
                self.world.scripted[record["order_id"]] = record
            self.world.version += 1
        self.world.advance(self.clock.now())
        return JSONResponse(self._orders())

    async def control_folders(self, request: Request) -> Response:
        """PUT: scripted Care folders, each {list: …, detail: …}."""
        for folder in await request.json():
            self.world.scripted_folders[folder["list"]["id"]] = folder
        return JSONResponse({})

    async def control_log(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.seen.clear()
            self.writes.clear()
        return JSONResponse({"seen": dict(self.seen), "writes": self.writes})

    async def control_stock(self, request: Request) -> Response:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["sku", "on_hand"])
        writer.writerows(stock_levels(self.world).items())
        return Response(text.getvalue(), media_type="text/csv")


def open_sandbox(
    memory: Path | None,
    *,
    token: str,
    seed: int = 1,
    orders: int = 2_500,
    days: int = 90,
    arrivals_a_day: float = 480.0,
    speed: float = 1.0,
    limits: bool = True,
) -> Sandbox:
    """A sandbox that goes on where the last one with this `memory` folder stopped."""
    start = datetime.now(UTC).replace(microsecond=0)
    settings: dict[str, Any] = {
        "seed": seed, "orders": orders, "days": days, "arrivals_a_day": arrivals_a_day, "start": start.isoformat(),
    }  # fmt: skip
    if memory is not None:
        memory.mkdir(parents=True, exist_ok=True)
        settings_file = memory / "world.json"
        if settings_file.exists():
            settings = json.loads(settings_file.read_text())
        else:
            settings_file.write_text(json.dumps(settings))
    start = datetime.fromisoformat(settings["start"])
    world = World(
        settings["seed"], settings["orders"], start, days=settings["days"],
        arrivals_a_day=settings["arrivals_a_day"],
    )  # fmt: skip
    if memory is not None:
        world.recall(memory / "deeds.jsonl")
    clock = Clock(max(start, datetime.now(UTC)), speed)
    world.advance(clock.now())
    return Sandbox(world, clock, token=token, limits=limits, memory=memory)


def serve(sandbox: Sandbox, host: str, port: int) -> None:
    """Serves until it is told to stop. Raises ValueError for an address beyond loopback."""
    if host not in LOOPBACK:
        raise ValueError(f"The sandbox listens on loopback only ({', '.join(LOOPBACK)}), not on {host}.")
    uvicorn.run(
        sandbox.app(), host=host, port=port, log_level="warning", access_log=False, date_header=False,
        timeout_keep_alive=60,
    )  # fmt: skip


def _paged(
    found: list[dict[str, Any]], page: int, size: int, request: Request, count: int | None = None
) -> dict[str, Any]:
    # As in the contract's examples, links name Back Market's host, not the one that was asked.
    link = f"https://www.backmarket.fr{request.url.path}?page="
    pages = ceil(len(found) / size)
    return {
        "count": count,
        "next": f"{link}{page + 1}" if page < pages else None,
        "previous": f"{link}{page - 1}" if page > 1 else None,
        "results": found[(page - 1) * size : page * size],
    }


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at_or_after(text: Any, moment: datetime) -> bool:
    try:
        told = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return True
    return (told if told.tzinfo else told.replace(tzinfo=UTC)) >= moment


def _shape(path: str) -> str:
    return re.sub(r"/\d+", "/…", path)


def _v1_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}, "requestId": "sandbox"}, status)


def _v2_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}], "requestId": "sandbox"}, status)


def _problem(status: int, kind: str, title: str) -> Response:
    return JSONResponse({"type": kind, "title": title, "status": status}, status, media_type="application/problem+json")
