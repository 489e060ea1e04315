"""All four syncs against a real Medusa 2 server, which is not part of this project. Run it by `make test-medusa`."""

import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.errors import CredentialRefusedError
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.model.statuses import Status
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants, nothing_changed, snapshot
from orders_sync.testing.marketplace import sync
from orders_sync_tests.medusa.server import medusa_server
from orders_sync_tests.medusa.shop import Shop

ALL = ("new", "modified", "care", "incomplete")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str]]:
    with medusa_server() as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(server: tuple[str, str]) -> Shop:
    return Shop(*server)


@pytest.fixture
def account(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> SellerAccount:
    url, key = server
    monkeypatch.setenv("MEDUSA_KEY", key)
    settings = {"marketplace": "medusa", "base_url": url, "token": "MEDUSA_KEY", "lag_seconds": 0}
    return account_from("shop", {**settings, "limits": {"enforced": False, "connections": 4}}, "defs.yaml")


def statuses(connection: Connection, order_id: str) -> tuple[str, list[str]]:
    row = connection.execute("SELECT status FROM orders WHERE order_id = %s", [order_id]).fetchone()
    items = connection.execute(
        "SELECT status FROM order_items WHERE order_id = %s ORDER BY sku DESC", [order_id]
    ).fetchall()
    assert row is not None
    return row[0], [status for (status,) in items]


def pass_all(account: SellerAccount, connection: Connection) -> None:
    for sync_type in ALL:
        sync(account, sync_type)
    apply_pending(StockConnection(connection))
    check_invariants(connection)


def test_orders_in_every_state_are_synced_and_their_changes_followed(
    shop: Shop, account: SellerAccount, connection: Connection
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 50, "CASE": 50})
    unpaid, paid, shipped, cancelled = (shop.order(PHONE=1, CASE=2) for _ in range(4))
    cents = shop.order(CABLE=3)
    for order_id in (paid, shipped, cents):
        shop.pay(order_id)
    shop.ship(shipped, label="https://labels.example.com/1.pdf")
    shop.cancel(cancelled)

    pass_all(account, connection)
    assert statuses(connection, unpaid) == (Status.AWAITING_PAYMENT, [Status.AWAITING_PAYMENT] * 2)
    assert statuses(connection, paid) == (Status.ACCEPTED, [Status.ACCEPTED] * 2)
    assert statuses(connection, shipped) == (Status.SHIPPED, [Status.SHIPPED] * 2)
    assert statuses(connection, cancelled) == (Status.CANCELLED, [Status.CANCELLED] * 2)
    row = connection.execute(
        "SELECT label_url, tracking_number, shipping_first_name, currency FROM orders WHERE order_id = %s", [shipped]
    ).fetchone()
    assert row == ("https://labels.example.com/1.pdf", "T1", "Ada", "EUR")
    amounts = connection.execute("SELECT items_total FROM orders WHERE order_id = %s", [cents]).fetchone()
    assert amounts == (Decimal("0.3"),)  # three times 0.1, which is not 0.3 in binary
    locks = dict(connection.execute("SELECT order_id, min(state) FROM stock_locks GROUP BY 1").fetchall())
    assert (locks[paid], locks[shipped]) == ("locked", "consumed")
    assert unpaid not in locks
    assert cancelled not in locks
    before = snapshot(connection)
    for sync_type in ("new", "modified", "care"):
        nothing_changed(sync(account, sync_type))
    assert snapshot(connection) == before

    # Then things change: a payment (which does not move updated_at), a shipment, returns, claims, an exchange.
    shop.pay(unpaid)
    shop.ship(paid)
    given_back = shop.give_back(shipped, received=False)
    pass_all(account, connection)
    assert statuses(connection, unpaid) == (Status.ACCEPTED, [Status.ACCEPTED] * 2)
    assert statuses(connection, paid)[0] == Status.SHIPPED
    care = dict(connection.execute("SELECT care_id, (kind, state)::text FROM care_records").fetchall())
    assert care == {given_back: "(return,open)"}
    linked = connection.execute("SELECT count(*) FROM order_items WHERE care_id = %s", [given_back]).fetchone()
    assert linked == (1,)

    shop.receive(given_back, shipped)
    claimed = {kind: shop.claim(paid, kind) for kind in ("refund", "replace")}
    exchanged = shop.exchange(paid)
    pass_all(account, connection)
    assert Status.RETURNED in statuses(connection, shipped)[1]
    care = dict(connection.execute("SELECT care_id, (kind, state)::text FROM care_records").fetchall())
    assert care[given_back] == "(return,closed)"
    assert care[claimed["refund"]] == "(refund,open)"
    assert care[claimed["replace"]] == "(replacement,open)"
    assert care[exchanged] == "(replacement,open)"

    listed = {o["id"] for o in shop.get("/admin/orders", limit=100)["orders"]}
    assert {order_id for (order_id,) in connection.execute("SELECT order_id FROM orders")} == listed
    events = connection.execute("SELECT kind, count(*) FROM order_events GROUP BY 1").fetchall()
    print(f"\nMedusa: {len(listed)} orders, {len(care)} care records, events {dict(events)}")


def test_orders_that_arrive_while_pages_are_read_are_not_lost(
    shop: Shop, account: SellerAccount, connection: Connection
) -> None:
    """Offset paging drifts: a page later, records have moved."""
    for _ in range(12):
        shop.order()
    arriving = threading.Thread(target=lambda: [shop.order() for _ in range(8)])
    arriving.start()
    sync(account, "modified", page_size=3)
    arriving.join()
    sync(account, "new", page_size=3)
    listed = {o["id"] for o in shop.get("/admin/orders", limit=100)["orders"]}
    assert {order_id for (order_id,) in connection.execute("SELECT order_id FROM orders")} == listed
    check_invariants(connection)


def test_its_endpoints_can_be_probed_and_a_wrong_key_is_an_error(
    account: SellerAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = open_adapter(account)
    for probe in adapter.probes().values():
        probe()
    adapter.close()
    monkeypatch.setenv("MEDUSA_KEY", "sk_wrong")
    adapter = open_adapter(account)
    with pytest.raises(CredentialRefusedError, match="the credential is wrong"):
        next(iter(adapter.probes().values()))()
    adapter.close()
