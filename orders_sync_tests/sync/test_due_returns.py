"""Returns that close as received while their account has `restock_returns`: once each, from real `care` passes on."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.lanes.restocking import note_restocking
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.marketplaces.medusa_shop import MedusaShop

ON_HAND = "SELECT on_hand FROM stock_levels WHERE sku = 'PHONE'"


class Shop:
    """A seller at Mirakl with ten phones, of which two have left for the item `a-1`."""

    def __init__(self, mirakl: Marketplace, connection: Connection) -> None:
        self.mirakl = mirakl
        self.connection = connection
        self.stock = StockConnection(connection)
        self.account = sandbox_account(mirakl, restock_returns=True)
        self.without_the_setting = sandbox_account(mirakl)
        now = mirakl.now()
        import_levels(self.stock, {"PHONE": 10}, counted_at=now - timedelta(days=2))
        times = {"created_date": (now - timedelta(days=1)).isoformat(), "shipped_date": now.isoformat()}
        line = {"order_line_id": "a-1", "order_line_state": "SHIPPED", "offer_sku": "PHONE", "quantity": 2, "price": 10}
        mirakl.world.scripted["a"] = {
            "order_id": "a", "order_state": "SHIPPED", "last_updated_date": now.isoformat(), **times,
            "order_lines": [{**line, **times}],
        }  # fmt: skip
        sync(self.account)
        apply_pending(self.stock)
        assert self.on_hand() == 8

    def on_hand(self) -> int:
        row = self.connection.execute(ON_HAND).fetchone()
        assert row is not None
        return row[0]

    def put_return(self, care_id: str, state: str, quantity: int = 1, **fields: Any) -> None:
        """The return comes into a state, one minute after what happened before."""
        self.mirakl.pass_time(minutes=1)
        now = self.mirakl.now().isoformat()
        self.mirakl.world.scripted_folders[int(care_id[1:])] = {
            "id": care_id, "state": state, "date_created": now, "last_updated": now,
            "return_lines": [{"order_line_id": "a-1", "quantity": quantity}], **fields,
        }  # fmt: skip

    def live(self, care_id: str, *states: str, account: SellerAccount | None = None, **fields: Any) -> None:
        """The return comes into each of these states, a `care` pass sees each, and the stock job runs."""
        for state in states:
            self.put_return(care_id, state, **fields)
            sync(account or self.account, "care")
            apply_pending(self.stock)


@pytest.fixture
def shop(connection: Connection) -> Iterator[Shop]:
    with Marketplace(FakeMirakl) as mirakl:
        yield Shop(mirakl, connection)


def test_a_return_is_booked_once_whatever_passes_and_workers_repeat(shop: Shop, database_url: str) -> None:
    shop.live("r1", "IN_PROGRESS", "RECEIVED")
    assert shop.on_hand() == 8
    shop.put_return("r1", "CLOSED")
    sync(shop.account, "care")
    sync(shop.account, "care", reread=True)
    assert pending_events(shop.stock) == 1  # the sensor of the stock job sees it

    def work() -> None:
        with connect(database_url) as own:
            apply_pending(StockConnection(own))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert shop.on_hand() == 9
    shop.live("r1", "CLOSED", quantity=2)  # changed since, and read again
    sync(shop.account, "care", reread=True)
    apply_pending(shop.stock)
    assert shop.on_hand() == 9
    explained = explain(shop.stock, "a-1")
    assert [(each.kind, each.pieces, each.reason) for each in explained.movements if each.kind == "returned"] == [
        ("returned", 1, "care record r1: return received")
    ]
    assert [(each.care_id, each.booked) for each in explained.returns] == [("r1", 1)]
    check_invariants(shop.connection)


@pytest.mark.parametrize(
    "states",
    [
        ("REFUSED",),
        ("RECEIVED", "CANCELED"),
        ("IN_PROGRESS", "CLOSED"),  # the contract does not say that a closed return was received
        ("RECEIVED", "NO_RECEPTION", "CLOSED"),
    ],
)
def test_a_return_that_ends_without_its_receipt_is_not_booked(shop: Shop, states: tuple[str, ...]) -> None:
    shop.live("r1", *states)
    assert shop.on_hand() == 8
    assert explain(shop.stock, "a-1").returns == []


def test_a_return_without_sending_anything_back_is_not_booked(shop: Shop) -> None:
    shop.live("r1", "RECEIVED", "CLOSED", method_code="RETURN_METHOD_RETURNLESS")
    assert shop.on_hand() == 8


def test_what_a_return_does_not_name_any_more_does_not_come_back(shop: Shop) -> None:
    shop.live("r1", "RECEIVED")
    shop.live("r1", "CLOSED", return_lines=[{"order_line_id": "another", "quantity": 1}])
    assert shop.on_hand() == 8


def test_without_the_setting_nothing_is_booked(shop: Shop) -> None:
    shop.live("r1", "RECEIVED", "CLOSED", account=shop.without_the_setting)
    assert (shop.on_hand(), explain(shop.stock, "a-1").returns) == (8, [])


def test_once_the_setting_is_on_only_what_closes_from_then_on_is_booked(shop: Shop) -> None:
    shop.live("r1", "RECEIVED", "CLOSED", account=shop.without_the_setting)
    shop.live("r2", "RECEIVED", account=shop.without_the_setting)
    sync(shop.account, "care", reread=True)
    shop.live("r1", "CLOSED", label_url="https://example.com/label")  # changed, but closed before
    assert shop.on_hand() == 8
    shop.live("r2", "CLOSED")
    assert shop.on_hand() == 9
    # Off and on again: what closed in between stays as it is.
    shop.live("r3", "RECEIVED", "CLOSED", account=shop.without_the_setting)
    sync(shop.account, "care", reread=True)
    apply_pending(shop.stock)
    assert shop.on_hand() == 9


class Medusa:
    """A Medusa shop with one return of two pieces."""

    def __init__(self, url: str, shop: MedusaShop, connection: Connection) -> None:
        self.url = url
        self.shop = shop
        self.connection = connection

    def due_after(self, status: str, *, restock: bool = True, **fields: Any) -> list[tuple[str, int]]:
        """The (item, pieces) that are due after a pass that sees the return like this. `restock`: the setting."""
        settings: dict[str, Any] = {
            "marketplace": "medusa", "base_url": self.url, "token": "MEDUSA_KEY", "limits": {"enforced": False},
            "restock_returns": restock,
        }  # fmt: skip
        minute = len(self.shop.records["returns"]) and 1
        now = (datetime.now(UTC) + timedelta(minutes=minute)).isoformat()
        self.shop.records["returns"] = [
            {
                "id": "return_1", "status": status, "created_at": (datetime.now(UTC) - timedelta(days=9)).isoformat(),
                "updated_at": now, "items": [{"item_id": "item_1", "quantity": 2}], **fields,
            }
        ]  # fmt: skip
        sync(account_from("shop", settings, "defs.yaml"), "care")
        return self.connection.execute("SELECT item_id, pieces FROM stock_returns").fetchall()


@pytest.fixture
def medusa(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Medusa]:
    monkeypatch.setenv("MEDUSA_KEY", "sk_test")
    shop = MedusaShop()
    with served(shop.app()) as url:
        yield Medusa(url, shop, connection)


def test_a_return_that_closed_before_the_setting_was_seen_is_not_due(medusa: Medusa) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert medusa.due_after("received", received_at=yesterday) == []


def test_a_return_that_closed_after_the_last_pass_without_the_setting_and_before_it_was_seen_is_not_due(
    medusa: Medusa,
) -> None:
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert medusa.due_after("requested", restock=False) == []
    assert medusa.due_after("received", received_at=an_hour_ago) == []


def test_a_return_that_opens_and_closes_between_two_passes_is_due(medusa: Medusa) -> None:
    note_restocking(medusa.connection, ["shop"])  # as the stock job does
    assert medusa.due_after("received", received_at=datetime.now(UTC).isoformat()) == [("item_1", 2)]


def test_a_return_that_a_pass_with_the_setting_found_open_is_due_when_it_closes(medusa: Medusa) -> None:
    """refurbed says when the parcel was delivered, and not when the return was closed."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert medusa.due_after("requested") == []
    assert medusa.due_after("received", received_at=yesterday) == [("item_1", 2)]
