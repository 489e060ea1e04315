"""The sandbox server: the fake marketplaces behind one address, and the endpoints under /sandbox that steer them."""

import csv
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.model.foreign_requests import foreign_host, foreign_page
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.clock import Clock
from orders_sync.sandbox.fake_marketplace import FakeMarketplace, SandboxControls
from orders_sync.sandbox.faults import Fault
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sandbox.saved_state import WorldSettings, actions_file, restored, unusable
from orders_sync.sandbox.world import World, stock_levels

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Sandbox:
    """Fake marketplaces behind one address (their paths differ), steered under /sandbox."""

    def __init__(self, marketplaces: Sequence[FakeMarketplace], controls: SandboxControls) -> None:
        self.marketplaces = {marketplace.name: marketplace for marketplace in marketplaces}
        self.controls = controls
        self.clock = controls.clock

    @property
    def faults(self) -> list[Fault]:
        """The faults that are switched on."""
        return self.controls.faults

    @property
    def seen(self) -> Counter[str]:
        """The counts of requests and responses; see SandboxControls."""
        return self.controls.seen

    @property
    def writes(self) -> list[dict[str, Any]]:
        """The requests that set a state; see SandboxControls."""
        return self.controls.writes

    def app(self) -> Starlette:
        """The ASGI application with all endpoints."""
        steering = [
            Route("/sandbox/faults", _not_from_a_page(self.control_faults), methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/clock", _not_from_a_page(self.control_clock), methods=["GET", "POST"]),
            Route("/sandbox/log", _not_from_a_page(self.control_log), methods=["GET", "DELETE"]),
            Route("/sandbox/stock.csv", _not_from_a_page(self.control_stock)),
        ]
        contracts = [route for marketplace in self.marketplaces.values() for route in marketplace.routes()]
        return Starlette(routes=[*contracts, *steering])

    async def control_faults(self, request: Request) -> Response:
        """Lists the faults (GET), switches one on (POST, the keys of Fault) or all off (DELETE)."""
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            try:
                self.faults.append(Fault.from_document(await request.json()))
            except (ValueError, TypeError, AttributeError) as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse([vars(fault) for fault in self.faults])

    async def control_clock(self, request: Request) -> Response:
        """Shows the clock (GET); sets its `speed` and moves it forward by `advance` seconds (POST)."""
        if request.method == "POST":
            try:
                body = await request.json()
                speed, seconds = float(body.get("speed", self.clock.speed)), float(body.get("advance", 0))
            except (ValueError, TypeError, AttributeError) as error:
                return JSONResponse({"error": str(error)}, 400)
            if speed != self.clock.speed:
                self.clock.set_speed(speed)
            self.clock.skipped += timedelta(seconds=seconds)
        for marketplace in self.marketplaces.values():
            marketplace.world.advance(self.clock.now())
        return JSONResponse({"now": self.clock.now().isoformat(), "speed": self.clock.speed})

    async def control_log(self, request: Request) -> Response:
        """Shows the counts and the writes (GET); clears them (DELETE)."""
        if request.method == "DELETE":
            self.seen.clear()
            self.writes.clear()
        return JSONResponse({"seen": dict(self.seen), "writes": self.writes})

    async def control_stock(self, request: Request) -> Response:
        """The merchant's stock for all marketplaces together, as a file for `orders-sync stock import`."""
        levels: Counter[str] = Counter()
        for marketplace in self.marketplaces.values():
            levels.update(stock_levels(marketplace.world))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["sku", "on_hand"])
        writer.writerows(sorted(levels.items()))
        return Response(text.getvalue(), media_type="text/csv")


Endpoint = Callable[[Request], Awaitable[Response]]


def _not_from_a_page(endpoint: Endpoint) -> Endpoint:
    """Refuses what a page of somebody else sends through a browser on this machine."""

    async def answer(request: Request) -> Response:
        headers = request.headers
        problem = foreign_host(headers, LOOPBACK) or foreign_page("http", request.method, headers)
        return await endpoint(request) if problem is None else JSONResponse({"error": f"Refused: {problem}"}, 403)

    return answer


@dataclass(frozen=True)
class WorldProfile:
    """How a marketplace's world differs from Back Market's."""

    share: float = 1.0
    """Its orders for each of Back Market's."""
    max_quantity: int = 2
    """The most pieces of one line."""

    def world(self, seed: int | str, orders: int, start: datetime, *, days: int, arrivals_per_day: float) -> World:
        """A world of this profile; the arguments are those of World."""
        return World(
            seed, orders, start, days=days, arrivals_per_day=arrivals_per_day, max_quantity=self.max_quantity,
        )  # fmt: skip


MARKETPLACES: dict[type[FakeMarketplace], WorldProfile] = {
    FakeBackMarket: WorldProfile(),
    FakeRefurbed: WorldProfile(share=0.3, max_quantity=1),
    FakeMirakl: WorldProfile(share=0.2),
}
"""All marketplaces of the sandbox."""


def open_sandbox(
    folder: Path | None,
    *,
    tokens: dict[str, str],
    seed: int = 1,
    orders: int = 2_500,
    days: int = 90,
    arrivals_per_day: float = 480.0,
    speed: float = 1.0,
    limits: bool = True,
) -> Sandbox:
    """A sandbox that continues where the last one with this `folder` stopped; None: a new one that saves nothing.

    `tokens`: each marketplace's credential, by the marketplace's name. `orders`, `days` and `arrivals_per_day` apply to
    Back Market; the other marketplaces have a share of them. A folder that has saved settings keeps those.

    Raises SavedStateError if the saved state can't be used.
    """
    start = datetime.now(UTC).replace(microsecond=0)
    settings = WorldSettings(seed, orders, days, arrivals_per_day, start.isoformat())
    if folder is not None:
        settings = restored(folder, settings)
    controls = SandboxControls(Clock(max(settings.started_at, datetime.now(UTC)), speed))
    marketplaces: list[FakeMarketplace] = []
    for fake, profile in MARKETPLACES.items():
        world = profile.world(
            settings.seed if fake is FakeBackMarket else f"{settings.seed}/{fake.name}",
            round(settings.orders * profile.share), settings.started_at, days=settings.days,
            arrivals_per_day=settings.arrivals_per_day * profile.share,
        )  # fmt: skip
        actions = actions_file(folder, fake.name) if folder is not None else None
        if actions is not None:
            try:
                world.replay_actions(actions)
            except ValueError as error:
                raise unusable(actions, error) from None
        world.advance(controls.clock.now())
        marketplaces.append(fake(world, controls, token=tokens[fake.name], limits=limits, actions_file=actions))
    return Sandbox(marketplaces, controls)


def serve(sandbox: Sandbox, host: str, port: int) -> None:
    """Serves a sandbox until it is interrupted. Raises ValueError for an address beyond loopback."""
    if host not in LOOPBACK:
        raise ValueError(f"The sandbox listens on loopback only ({', '.join(LOOPBACK)}), not on {host}.")
    sandbox.controls.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    uvicorn.run(
        sandbox.app(), host=host, port=port, log_level="warning", access_log=False, date_header=False,
        timeout_keep_alive=60,
    )  # fmt: skip
