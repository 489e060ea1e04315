"""All four syncs and the acceptances through Prism, which compares each request and answer with the published contract.

The contracts are not part of this project. Run it by `make test-contracts`; CONTRIBUTING.md says where they are from.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, AcceptanceUnit, Adapter
from orders_sync.marketplaces.kit.errors import RecordNotFoundError, RequestRefusedError
from orders_sync.marketplaces.kit.registry import find_marketplace, open_adapter
from orders_sync.model.statuses import Status
from orders_sync.sandbox.back_market import FakeBackMarket
from orders_sync.sandbox.fake_marketplace import FakeMarketplace
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.sandbox.server import stock_levels
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import TOKEN_NAMES, Marketplace, sandbox_account, sync
from orders_sync_tests.contracts.documents import Document, documents
from orders_sync_tests.contracts.prism import Record, Violation, install, validating_proxy

PAGE_SIZE = 20
"""Small pages: Prism cuts off the list of an answer's violations after 8 kB."""
LATER = ("modified", "new", "care", "incomplete")
PREFIX = "POST /refb.merchant.v1."


@dataclass(frozen=True)
class Contract:
    """What the test needs to know of a marketplace's contract."""

    fake: type[FakeMarketplace]
    uses: frozenset[str]
    """The operations that the four syncs and the probes use, each of which must have answered with success."""
    wrong: tuple[str, object]
    """A field of an order, and a value that the contract does not allow."""
    request: tuple[str, str, object]
    """A request whose body, or query, the contract does not allow."""


CONTRACTS = {
    "back_market": Contract(
        FakeBackMarket,
        frozenset(
            {
                "GET /ws/orders", "GET /ws/orders/{order_id}", "POST /ws/orders/{order_id}", "GET /ws/sav",
                "GET /ws/sav/{careFolderId}", "GET /ws/shipping/v1/deliveries",
            }
        ),
        ("price", 12),
        ("POST", "/ws/orders/1", {"order_id": 1, "new_state": 2}),
    ),
    "refurbed": Contract(
        FakeRefurbed,
        frozenset(
            {
                f"{PREFIX}OrderService/ListOrders", f"{PREFIX}OrderService/GetOrder",
                f"{PREFIX}OrderService/ListShippingLabels", f"{PREFIX}OrderItemService/UpdateOrderItemState",
                f"{PREFIX}OrderItemReturnService/ListOrderItemReturns", f"{PREFIX}TicketService/ListTickets",
            }
        ),
        ("state", "TELEPORTED"),
        ("POST", "/refb.merchant.v1.OrderItemService/UpdateOrderItemState", {"state": "ACCEPTED"}),
    ),
    "mirakl": Contract(
        FakeMirakl,
        frozenset(
            {
                "GET /api/orders", "PUT /api/orders/{order_id}/accept", "GET /api/orders/documents",
                "GET /api/returns",
            }
        ),
        ("price", "12.00"),
        ("GET", "/api/orders/documents", None),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Contradiction:
    """An entry of contradictions.yaml."""

    marketplace: str
    where: str
    message: str
    reason: str

    def explains(self, violation: Violation) -> bool:
        return bool(re.fullmatch(self.where, violation.where) and re.search(self.message, violation.message))


def contradictions(marketplace: str) -> list[Contradiction]:
    entries = yaml.safe_load((Path(__file__).parent / "contradictions.yaml").read_text())
    return [entry for entry in (Contradiction(**entry) for entry in entries) if entry.marketplace == marketplace]


@pytest.fixture(scope="module")
def published() -> dict[str, list[Document]]:
    found = documents()
    install()
    return found


@pytest.fixture(params=CONTRACTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass(frozen=True)
class Proxied:
    """A sandbox marketplace with Prism in front."""

    marketplace: Marketplace
    account: SellerAccount
    url: str
    """Prism's address, which is also the account's."""
    record: Record
    authorization: str


@contextmanager
def proxied(name: str, published: dict[str, list[Document]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxied]:
    contract = CONTRACTS[name]
    # HTTP's scheme Basic prescribes the form of the credential; Back Market's contract names that scheme.
    token = base64.b64encode(b"merchant:secret").decode()
    monkeypatch.setenv(TOKEN_NAMES[name], token)
    marketplace = Marketplace(contract.fake, orders=150, days=20, arrivals_per_day=80, token=token)
    with marketplace, validating_proxy(marketplace.url, published[name]) as (url, record):
        # Prism takes no URL of this machine for one. No pass of this test downloads a document.
        marketplace.sandbox.controls.address = "https://documents.example.com"
        account = sandbox_account(marketplace, base_url=url, accept_orderlines=True)
        scheme = {"back_market": "Basic ", "refurbed": "Plain "}.get(name, "")
        yield Proxied(marketplace, account, url, record, scheme + token)


def unexplained(name: str, violations: list[Violation]) -> dict[str, int]:
    """How often each violation occurs that no contradiction explains."""
    known = contradictions(name)
    return Counter(str(v) for v in violations if not any(each.explains(v) for each in known))


def test_all_four_syncs_keep_to_the_contract(
    name: str, published: dict[str, list[Document]], monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    contract, stock = CONTRACTS[name], StockConnection(connection)
    with proxied(name, published, monkeypatch) as shop:
        import_levels(stock, dict.fromkeys(stock_levels(shop.marketplace.world), 10_000))
        shop.marketplace.pass_time(hours=6)
        first = sync(shop.account, "new", page_size=PAGE_SIZE)
        shop.marketplace.pass_time(hours=20)
        found = {sync_type: sync(shop.account, sync_type, page_size=PAGE_SIZE) for sync_type in LATER}
        apply_pending(stock)
        check_invariants(connection)
        assert first.created > 50
        assert first.accepted > 0
        assert found["modified"].changed > 0
        assert found["new"].accepted > 0
        assert found["care"].fetched > 0
        assert found["incomplete"].documents_found > 0

        adapter = open_adapter(shop.account, page_size=PAGE_SIZE)
        adapter.order(*connection.execute("SELECT order_id FROM orders LIMIT 1").fetchone() or ())
        for probe in adapter.probes().values():
            with suppress(RecordNotFoundError):  # the order that it requests does not exist
                probe()
        # What does not exist, or no longer waits, is refused.
        assert adapter.order("999999999") is None
        registered = find_marketplace(name)
        unit = registered.refusal_unit
        shipped = lines(adapter, since(shop), Status.SHIPPED, registered.acceptance_unit(shop.account.settings))
        with pytest.raises(RequestRefusedError):
            adapter.accept(*shipped)
        with pytest.raises(RequestRefusedError):
            adapter.refuse(*lines(adapter, since(shop), Status.SHIPPED, unit))
        shop.marketplace.pass_time(hours=6)
        assert adapter.refuse(*lines(adapter, since(shop), Status.PENDING, unit)).status < 300
        adapter.close()

        assert {operation for operation, status in shop.record.exchanges if status < 300} == contract.uses
        violations = shop.record.violations
    print(f"\n{name}: {len(shop.record.exchanges)} exchanges, {len(violations)} violations")
    for each in contradictions(name):
        count = sum(map(each.explains, violations))
        print(f"  {count} by a contradiction in the contract: {each.where}")
        assert count, "this contradiction is no longer met: remove it from contradictions.yaml"
    assert unexplained(name, violations) == {}


def test_what_the_adapters_do_not_use_keeps_to_the_contracts_as_well(
    published: dict[str, list[Document]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied("back_market", published, monkeypatch) as shop:
        line = shop.marketplace.listed()[0]["orderlines"][0]["id"]
        send(shop, "PATCH", f"/ws/orderlines/{line}", {"imei": "011415009346880"})
        send(shop, "PATCH", "/ws/orderlines/1", {"imei": "011415009346880"})
        send(shop, "GET", "/ws/shipping/v1/deliveries")
        send(shop, "GET", "/ws/sav/999999999")
        assert [status for _, status in shop.record.exchanges] == [200, 404, 200, 404]
        assert unexplained("back_market", shop.record.violations) == {}


def send(shop: Proxied, method: str, path: str, body: object = None) -> None:
    """A request that no adapter makes."""
    headers = {
        "Authorization": shop.authorization, "User-Agent": "BM-Tests-Contract;tests@example.com",
        "Accept-Language": "fr-fr",
    }  # fmt: skip
    httpx.request(method, shop.url + path, json=body, headers=headers, trust_env=False)


def lines(
    adapter: Adapter, start: datetime, status: Status, unit: AcceptanceUnit | None
) -> tuple[AcceptanceTarget, list[str]]:
    """The first lines with this status that one request can be about, with their ids."""
    for page in adapter.orders("created", start):
        for order in (adapter.decode_order(record.raw) for record in page):
            found = [item for item in order.items or [] if item.status == status]
            if found:
                first = found[0]
                sku = first.sku if unit != "order" else ""
                item_id = first.item_id if unit == "item" else ""
                meant = [item.item_id for item in found if sku in ("", item.sku) and item_id in ("", item.item_id)]
                return AcceptanceTarget(order.order_id, sku, item_id), meant
    raise AssertionError(f"the sandbox has no line that is {status}")


def since(shop: Proxied) -> datetime:
    return shop.marketplace.now() - timedelta(days=10)


def test_prism_sees_what_a_contract_forbids(
    name: str, published: dict[str, list[Document]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value, a field that is not published, a wrong request: otherwise the other tests would prove nothing."""
    contract = CONTRACTS[name]
    with proxied(name, published, monkeypatch) as shop:
        field, value = contract.wrong
        shop.marketplace.fault("patch", path="/", times=0, fields={field: value, "brand_new": 1})
        adapter = open_adapter(shop.account, page_size=5)
        next(iter(adapter.orders("created", since(shop))), None)
        adapter.close()
        found = unexplained(name, shop.record.violations)
        assert any(f"*.{field}: Response body property" in violation for violation in found), found
        assert any("found 'brand_new'" in violation for violation in found), found

        shop.marketplace.calm()
        shop.record.violations.clear()
        send(shop, *contract.request)
        assert any(": request." in violation for violation in unexplained(name, shop.record.violations))
