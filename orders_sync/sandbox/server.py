"""The sandbox server: the marketplaces' published contracts over worlds of their own, and endpoints to steer them."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.sandbox.back_market import BackMarketFront
from orders_sync.sandbox.clock import Clock
from orders_sync.sandbox.fake_marketplace import Front, Shared
from orders_sync.sandbox.faults import Fault
from orders_sync.sandbox.mirakl import MiraklFront
from orders_sync.sandbox.refurbed import RefurbedFront
from orders_sync.sandbox.world import World, stock_levels

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Sandbox:
    """Marketplaces behind one address: their paths differ. Steered under /sandbox, for tests and demonstrations."""

    def __init__(self, fronts: Sequence[Front], shared: Shared) -> None:
        self.fronts = {front.name: front for front in fronts}
        self.shared = shared
        self.clock = shared.clock

    @property
    def faults(self) -> list[Fault]:
        return self.shared.faults

    @property
    def seen(self) -> Counter[str]:
        return self.shared.seen

    @property
    def writes(self) -> list[dict[str, Any]]:
        return self.shared.writes

    def app(self) -> Starlette:
        control = [
            Route("/sandbox/faults", self.control_faults, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/clock", self.control_clock, methods=["GET", "POST"]),
            Route("/sandbox/log", self.control_log, methods=["GET", "DELETE"]),
            Route("/sandbox/stock.csv", self.control_stock),
        ]
        return Starlette(routes=[*(route for front in self.fronts.values() for route in front.routes()), *control])

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
        for front in self.fronts.values():
            front.world.advance(self.clock.now())
        return JSONResponse({"now": self.clock.now().isoformat(), "speed": self.clock.speed})

    async def control_log(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.seen.clear()
            self.writes.clear()
        return JSONResponse({"seen": dict(self.seen), "writes": self.writes})

    async def control_stock(self, request: Request) -> Response:
        """The stock that the merchant has for all marketplaces together."""
        levels: Counter[str] = Counter()
        for front in self.fronts.values():
            levels.update(stock_levels(front.world))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["sku", "on_hand"])
        writer.writerows(sorted(levels.items()))
        return Response(text.getvalue(), media_type="text/csv")


#: Each marketplace of the sandbox: its front, its share of the orders, what is special about its world.
FRONTS: dict[type[Front], tuple[float, dict[str, Any]]] = {
    BackMarketFront: (1.0, {}),
    RefurbedFront: (0.3, {"largest_quantity": 1}),
    MiraklFront: (0.2, {"self_accepting": True}),
}


def open_sandbox(
    memory: Path | None,
    *,
    tokens: dict[str, str],
    seed: int = 1,
    orders: int = 2_500,
    days: int = 90,
    arrivals_a_day: float = 480.0,
    speed: float = 1.0,
    limits: bool = True,
) -> Sandbox:
    """A sandbox that goes on where the last one with this `memory` folder stopped.

    `tokens`: the credential of each marketplace, by the name of its front. `orders` and `arrivals_a_day` are those of
    Back Market; the others have fewer.
    """
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
    shared = Shared(Clock(max(start, datetime.now(UTC)), speed))
    fronts: list[Front] = []
    for front, (share, special) in FRONTS.items():
        world = World(
            settings["seed"] if share == 1.0 else f"{settings['seed']}/{front.name}",
            round(settings["orders"] * share), start, days=settings["days"],
            arrivals_a_day=settings["arrivals_a_day"] * share, **special,
        )  # fmt: skip
        own_memory = memory / front.name if memory is not None else None
        if own_memory is not None:
            own_memory.mkdir(exist_ok=True)
            world.recall(own_memory / "deeds.jsonl")
        world.advance(shared.clock.now())
        fronts.append(front(world, shared, token=tokens[front.name], limits=limits, memory=own_memory))
    return Sandbox(fronts, shared)


def serve(sandbox: Sandbox, host: str, port: int) -> None:
    """Serves until it is told to stop. Raises ValueError for an address beyond loopback."""
    if host not in LOOPBACK:
        raise ValueError(f"The sandbox listens on loopback only ({', '.join(LOOPBACK)}), not on {host}.")
    uvicorn.run(
        sandbox.app(), host=host, port=port, log_level="warning", access_log=False, date_header=False,
        timeout_keep_alive=60,
    )  # fmt: skip
