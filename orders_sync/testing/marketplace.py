"""A fake marketplace served over real HTTP from a thread of the test, an account at it, and orders to put into it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.config.account import SellerAccount
from orders_sync.config.sandbox_credentials import SANDBOX_CREDENTIALS, provide_sandbox_credentials
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.passes.run_pass import run_pass
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.clock import Clock
from orders_sync.sandbox.fake_marketplace import FakeMarketplace, SandboxControls
from orders_sync.sandbox.faults import Fault
from orders_sync.sandbox.formats import iso, stamp
from orders_sync.sandbox.server import MARKETPLACES, Sandbox, WorldProfile
from orders_sync.sync.pass_request import PassRequest
from orders_sync.testing.http_server import LOOPBACK, served

TOKEN_NAMES = {
    "back_market": "BACK_MARKET_SANDBOX_TOKEN",
    "refurbed": "REFURBED_SANDBOX_TOKEN",
    "mirakl": "MIRAKL_SANDBOX_KEY",
}
"""The environment variable that an account's `token` names, by the fake marketplace's name."""
TOKEN = SANDBOX_CREDENTIALS[TOKEN_NAMES["back_market"]]
"""The credential of the fake Back Market."""


@dataclass
class Gate:
    """Holds back requests whose path starts with `path` while it is closed."""

    path: str
    is_open: bool = False
    reached: bool = False
    """Whether a request waits at it, or has."""


class Marketplace:
    """A fake marketplace on a free port, as a context manager.

    `put` and `change` set its orders (for Back Market; for other contracts, write to `world.scripted`), `pass_time`
    moves its clock, `fault` switches faults on. Its clock starts at the present unless `ago` says otherwise.

    An adapter for another contract brings a FakeMarketplace of its own::

        with Marketplace(FakeShop, orders=100, token="secret") as marketplace:
            ...
    """

    def __init__(
        self,
        fake: type[FakeMarketplace] = FakeBackMarket,
        *,
        orders: int = 0,
        days: int = 90,
        limits: bool = False,
        seed: int = 1,
        arrivals_per_day: float = 0,
        ago: timedelta = timedelta(0),
        token: str | None = None,
        address: str = LOOPBACK,
    ) -> None:
        """`orders`: the orders of its history, over the last `days`. `limits`: enforce the published rate limits.
        `seed`: equal seeds give equal orders. `arrivals_per_day`: new orders from its start on. `ago`: how far in the
        past its clock starts. `token`: the credential it requires; by default the sandbox's. `address`: LOOPBACK
        or ANY of http_server, where it listens."""
        start = datetime.now(UTC).replace(microsecond=0) - ago
        profile = MARKETPLACES.get(fake, WorldProfile())
        self.world = profile.world(seed, orders, start, days=days, arrivals_per_day=arrivals_per_day)
        self.clock = Clock(start)
        self.world.advance(start)
        controls = SandboxControls(self.clock)
        if token is None:
            token = SANDBOX_CREDENTIALS[TOKEN_NAMES[fake.name]]
        self.fake = fake(self.world, controls, token=token, limits=limits, actions_file=None)
        self.sandbox = Sandbox([self.fake], controls)
        self._gates: list[Gate] = []
        self._address = address

    def __enter__(self) -> "Marketplace":
        self._serving = served(self._gated(self.sandbox.app()), address=self._address)
        self.url = self.sandbox.controls.address = self._serving.__enter__()
        """Its address, for an account's `base_url`."""
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
        """Holds back all requests whose path starts with `path`, until the block ends or `is_open` is set."""
        gate = Gate(path)
        self._gates.append(gate)
        try:
            yield gate
        finally:
            gate.is_open = True
            self._gates.remove(gate)

    def listed(self) -> list[dict[str, Any]]:
        """All its orders in the contract's form, whatever their state."""
        return self.fake.listed()

    def now(self) -> datetime:
        """Its clock's time (aware, UTC)."""
        return self.clock.now()

    def pass_time(self, **amounts: float) -> None:
        """Moves its clock forward, e.g. `pass_time(hours=2)`; orders arrive and change meanwhile."""
        self.clock.skipped += timedelta(**amounts)
        self.world.advance(self.clock.now())

    def put(self, order: dict[str, Any]) -> dict[str, Any]:
        """Lists an order in Back Market's form, in place of the one with the same `order_id`; returns it."""
        self.world.scripted[order["order_id"]] = order
        self.world.version += 1
        return order

    def change(self, order_id: int, **fields: Any) -> dict[str, Any]:
        """Changes fields of an order that was put in; `date_modification` becomes the clock's time unless given."""
        order = {**self.world.scripted[order_id], "date_modification": stamp(self.now()), **fields}
        return self.put(order)

    def set_states(self, order_id: int, order_state: int, line_state: int) -> dict[str, Any]:
        """Sets the state of an order that was put in, and that of all its lines."""
        lines = [{**line, "state": line_state} for line in self.world.scripted[order_id]["orderlines"]]
        return self.change(order_id, state=order_state, orderlines=lines)

    def put_folder(self, folder_id: int, line_id: int, choice: str | None = "REPLACE", **fields: Any) -> None:
        """Lists a Care folder about a line, in place of the one with the same id.

        `choice`: the buyer's resolution (REPLACE, REFUND, REPAIR), None before one is made.
        """
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
        """Switches a fault on, e.g. `fault("status", status=503, times=2)`; sandbox/faults.py lists the kinds."""
        fault = Fault.from_document({"kind": kind, **details})
        self.sandbox.faults.append(fault)
        return fault

    def calm(self) -> None:
        """Switches all faults off."""
        self.sandbox.faults.clear()

    def calls(self, prefix: str = "") -> int:
        """The number of requests whose method and path (without numbers) start with `prefix`, e.g. `GET /ws/orders`."""
        return sum(n for shape, n in self.sandbox.seen.items() if shape.startswith(prefix) and " " in shape)


def sandbox_account(marketplace: Marketplace, name: str = "shop", **settings: Any) -> SellerAccount:
    """An account at a fake marketplace, as an account file with these `settings` would give it.

    Unless the settings say otherwise, it ignores rate limits, does not wait for the end of an outage, and accepts no
    orderlines. An account at a marketplace
    that the sandbox does not have needs its credential among the settings.

    Raises AccountConfigError for wrong settings.
    """
    provide_sandbox_credentials()
    contract = marketplace.fake.name
    attributes: dict[str, Any] = {
        "marketplace": contract,
        "base_url": marketplace.url,
        "limits": {"enforced": False, "connections": 4, "outage_minutes": 0},
        **({"token": TOKEN_NAMES[contract]} if contract in TOKEN_NAMES else {}),
        **settings,
    }
    return account_from(name, attributes, f"defs/accounts/{name}/defs.yaml")


def sync(account: SellerAccount, sync_type: str = "new", **request: Any) -> PassSummary:
    """Runs one pass of a lane (`new`, `modified`, `care`, `incomplete`) and returns its summary.

    `request`: further attributes of PassRequest, e.g. `start`. Raises PassFailedError.
    """
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
    """Puts an order in Back Market's form into the marketplace, with one line for each SKU; returns it.

    By default it is accepted and to be shipped. `age`: how long ago it was created. `fields` replace any others.
    """
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
