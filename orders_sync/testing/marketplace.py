"""A sandbox marketplace served over real HTTP from a thread, and orders to put into it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.config.account import SellerAccount
from orders_sync.config.sandbox_credentials import SANDBOX_CREDENTIALS
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import run_pass
from orders_sync.sandbox.back_market import BackMarketFront
from orders_sync.sandbox.clock import Clock
from orders_sync.sandbox.fake_marketplace import Front, Shared
from orders_sync.sandbox.faults import Fault
from orders_sync.sandbox.formats import iso, stamp
from orders_sync.sandbox.server import FRONTS, Sandbox
from orders_sync.sandbox.world import World
from orders_sync.sync.pass_request import PassRequest
from orders_sync.testing.http_server import served

#: The setting `token` of an account at each front of the sandbox: these need no environment variable.
TOKEN_NAMES = {
    "back_market": "BACK_MARKET_SANDBOX_TOKEN",
    "refurbed": "REFURBED_SANDBOX_TOKEN",
    "mirakl": "MIRAKL_SANDBOX_KEY",
}
TOKEN = SANDBOX_CREDENTIALS[TOKEN_NAMES["back_market"]]


@dataclass
class Gate:
    """Keeps requests to paths that start with `path` waiting while it is closed."""

    path: str
    is_open: bool = False
    reached: bool = False
    """Whether a request has come to it."""


class Marketplace:
    """A sandbox on a free port. `put` and `change` script its orders; `fault` switches faults on."""

    def __init__(
        self,
        front: type[Front] = BackMarketFront,
        *,
        orders: int = 0,
        days: int = 90,
        limits: bool = False,
        seed: int = 1,
        arrivals_a_day: float = 0,
        ago: timedelta = timedelta(0),
    ) -> None:
        """`ago`: how far back the clock begins, for tests that let it come up to the present."""
        start = datetime.now(UTC).replace(microsecond=0) - ago
        self.world = World(seed, orders, start, days=days, arrivals_a_day=arrivals_a_day, **FRONTS[front][1])
        self.clock = Clock(start)
        self.world.advance(start)
        shared = Shared(self.clock)
        self.front: Any = front(
            self.world, shared, token=SANDBOX_CREDENTIALS[TOKEN_NAMES[front.name]], limits=limits, memory=None
        )
        self.sandbox = Sandbox([self.front], shared)
        self._gates: list[Gate] = []

    def __enter__(self) -> "Marketplace":
        self._serving = served(self._gated(self.sandbox.app()))
        self.url = self._serving.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        for gate in self._gates:
            gate.is_open = True
        self._serving.__exit__(*exception)

    def _gated(self, app: ASGIApp) -> ASGIApp:
        async def behind_gates(scope: Scope, receive: Receive, send: Send) -> None:
            for gate in [gate for gate in self._gates if scope["path"].startswith(gate.path)]:
                gate.reached = True
                while not gate.is_open:
                    await asyncio.sleep(0.02)
            await app(scope, receive, send)

        return behind_gates

    @contextmanager
    def closed_gate(self, path: str) -> Iterator[Gate]:
        """Keeps all requests to these paths waiting until the end of the block, or until the gate is opened."""
        gate = Gate(path)
        self._gates.append(gate)
        try:
            yield gate
        finally:
            gate.is_open = True
            self._gates.remove(gate)

    def listed(self) -> list[dict[str, Any]]:
        """All orders in the contract's form."""
        return self.front.listed()

    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self, **amounts: float) -> None:
        """Moves the marketplace's clock forward."""
        self.clock.skipped += timedelta(**amounts)
        self.world.advance(self.clock.now())

    def put(self, order: dict[str, Any]) -> dict[str, Any]:
        """Lists an order (a new one, or another version of one)."""
        self.world.scripted[order["order_id"]] = order
        self.world.version += 1
        return order

    def change(self, order_id: int, **fields: Any) -> dict[str, Any]:
        """Changes fields of a scripted order; its modified time becomes now unless given."""
        order = {**self.world.scripted[order_id], "date_modification": stamp(self.now()), **fields}
        return self.put(order)

    def set_states(self, order_id: int, order_state: int, line_state: int) -> dict[str, Any]:
        """Moves an order and all its lines."""
        lines = [{**line, "state": line_state} for line in self.world.scripted[order_id]["orderlines"]]
        return self.change(order_id, state=order_state, orderlines=lines)

    def put_folder(self, folder_id: int, line_id: int, choice: str | None = "REPLACE", **fields: Any) -> None:
        """Opens a Care folder about a line, or puts another version of it."""
        record = {
            "id": folder_id, "client": 1, "merchant": 789, "orderline": line_id,
            "date_creation": iso(self.now()), "date_modification": iso(self.now()),
            "date_last_message": iso(self.now()), "state": 0, "lines": [folder_id], "country_code": "fr-fr",
            "backcare": False, **fields,
        }  # fmt: skip
        claim = {"id": folder_id, "state": 0, "issues": [], "return_labels": []}
        if choice:
            claim["resolution_choice"] = choice
        detail = {**record, "orderline": {"id": line_id}, "lines": [claim]}
        self.world.scripted_folders[folder_id] = {"list": record, "detail": detail}

    def fault(self, kind: str, **details: Any) -> Fault:
        """Switches a fault on."""
        fault = Fault.of({"kind": kind, **details})
        self.sandbox.faults.append(fault)
        return fault

    def calm(self) -> None:
        """Switches all faults off."""
        self.sandbox.faults.clear()

    def calls(self, prefix: str = "") -> int:
        """How many requests came to paths of this shape, e.g. `GET /ws/orders`."""
        return sum(n for shape, n in self.sandbox.seen.items() if shape.startswith(prefix) and " " in shape)


def sandbox_account(marketplace: Marketplace, name: str = "shop", **settings: Any) -> SellerAccount:
    """An account at a marketplace; without rate limits, accepting nothing, unless told otherwise."""
    contract = marketplace.front.name
    attributes: dict[str, Any] = {
        "marketplace": contract,
        "base_url": marketplace.url,
        "token": TOKEN_NAMES[contract],
        "limits": {"enforced": False, "connections": 4},
        **settings,
    }
    return account_from(name, attributes, f"defs/accounts/{name}/defs.yaml")


def sync(account: SellerAccount, sync_type: str = "new", **request: Any) -> PassSummary:
    """Runs one pass."""
    return run_pass(PassRequest(account, SyncType(sync_type), "test", **request))


def an_order(
    marketplace: Marketplace,
    order_id: int = 1,
    *,
    state: int = 3,
    line_state: int = 2,
    skus: tuple[str, ...] = ("PHONE",),
    quantity: int = 1,
    price: str = "100.00",
    age: timedelta = timedelta(minutes=10),
    **fields: Any,
) -> dict[str, Any]:
    """A scripted order as Back Market's contract has it, put into the marketplace."""
    created = stamp(marketplace.now() - age)
    lines = [
        {
            "id": order_id * 100 + position, "date_creation": created, "state": line_state, "price": price,
            "shipping_price": "5.00", "currency": "EUR", "listing": sku, "listing_id": 1, "orderline_fee": "10.00",
            "product": f"A {sku}", "quantity": quantity, "brand": "apple", "product_id": 2, "backcare": False,
            "backcare_price": 0, "condition": 11,
        }
        for position, sku in enumerate(skus)
    ]  # fmt: skip
    total = f"{float(price) * len(skus):.2f}"
    return marketplace.put(
        {
            "order_id": order_id, "date_creation": created, "date_modification": created, "state": state,
            "orderlines": lines, "price": total, "shipping_price": "5.00", "currency": "EUR",
            "country_code": "fr-fr", "payment_method": "CARD", "is_backship": True, "shipper_display": "Colissimo",
            "shipping_address": {"firstName": "Victor", "lastName": "Hugo", "city": "Paris", "country": "FR"},
            **fields,
        }
    )  # fmt: skip
