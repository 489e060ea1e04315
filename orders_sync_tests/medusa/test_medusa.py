"""All four syncs against a real Medusa 2 server, which is not part of this project. Run it by `make test-medusa`."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

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
from orders_sync_tests.medusa.shop import DOWNLOAD, GIFT_CARD, THREE_FOR_TWO, Shop

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


def pass_all(shop: Shop, account: SellerAccount, connection: Connection) -> None:
    """All four syncs and the stock job: nothing is lost or flawed, and the invariants hold."""
    for sync_type in ALL:
        assert sync(account, sync_type).flawed == 0, sync_type
    apply_pending(StockConnection(connection))
    check_invariants(connection)
    nothing_is_lost(shop, connection)
    assert connection.execute("SELECT record_id, field, found FROM record_flaws").fetchall() == []


def nothing_is_lost(shop: Shop, connection: Connection) -> None:
    """Every order is stored, but for those that had no item left when they were first read: these are rejected."""
    listed = {order["id"]: order["items"] for order in shop.get("/admin/orders", limit=200, fields="*items")["orders"]}
    stored = {order_id for (order_id,) in connection.execute("SELECT order_id FROM orders")}
    rejected = connection.execute("SELECT kind, record_id FROM rejected_records WHERE resolved_at IS NULL").fetchall()
    empty = [order_id for order_id, items in listed.items() if not items and order_id not in stored]
    assert sorted(rejected) == sorted(("order", order_id) for order_id in empty)
    assert stored | set(empty) == set(listed)


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

    pass_all(shop, account, connection)
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
    pass_all(shop, account, connection)
    assert statuses(connection, unpaid) == (Status.ACCEPTED, [Status.ACCEPTED] * 2)
    assert statuses(connection, paid)[0] == Status.SHIPPED
    care = dict(connection.execute("SELECT care_id, (kind, state)::text FROM care_records").fetchall())
    assert care == {given_back: "(return,open)"}
    linked = connection.execute("SELECT count(*) FROM order_items WHERE care_id = %s", [given_back]).fetchone()
    assert linked == (1,)

    shop.receive(given_back, shipped)
    claimed = {kind: shop.claim(paid, kind) for kind in ("refund", "replace")}
    exchanged = shop.exchange(paid)
    pass_all(shop, account, connection)
    assert Status.RETURNED in statuses(connection, shipped)[1]
    care = dict(connection.execute("SELECT care_id, (kind, state)::text FROM care_records").fetchall())
    assert care[given_back] == "(return,closed)"
    assert care[claimed["refund"]] == "(refund,open)"
    assert care[claimed["replace"]] == "(replacement,open)"
    assert care[exchanged] == "(replacement,open)"

    events = connection.execute("SELECT kind, count(*) FROM order_events GROUP BY 1").fetchall()
    print(f"\nMedusa: {len(care)} care records, events {dict(events)}")


def items(connection: Connection, order_id: str) -> dict[str, tuple[Any, ...]]:
    """(kind, status, quantity, state of the lock, its quantity) of each item, by SKU; '' if it has none."""
    rows = connection.execute(
        "SELECT item.sku, item.kind, item.status, item.quantity, lock.state, lock.quantity "
        "FROM order_items item LEFT JOIN stock_locks lock USING (account, item_id) WHERE item.order_id = %s",
        [order_id],
    )
    return {sku: tuple(values) for sku, *values in rows}


def held_and_consumed(connection: Connection, order_id: str) -> dict[str, tuple[int, int]]:
    """(locked, consumed) pieces of each SKU."""
    rows = connection.execute("SELECT sku, locked, consumed FROM stock_locks WHERE order_id = %s", [order_id])
    return {sku: (locked, consumed) for sku, locked, consumed in rows}


def amounts(connection: Connection, order_id: str) -> tuple[Any, Any, Any]:
    row = connection.execute(
        "SELECT items_total, shipping_total, sales_taxes FROM orders WHERE order_id = %s", [order_id]
    ).fetchone()
    assert row is not None
    return row


def test_taxes_promotions_and_lines_that_are_no_goods(
    shop: Shop, account: SellerAccount, connection: Connection
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 100, "CASE": 100, "CHARGER": 100, "OLD": 100})
    bought = shop.buy({"PHONE": 1, "CASE": 2})
    cheap = shop.buy({"CABLE": 3})
    three_for_two = shop.buy({"CHARGER": 3}, promotions=(THREE_FOR_TWO,))
    gift = shop.buy({"PHONE": 1, GIFT_CARD: 1, DOWNLOAD: 1})
    by_merchant = shop.order_of(
        {"PHONE": 1, GIFT_CARD: 1, DOWNLOAD: 1}, {"title": "Engraving", "unit_price": 12.5, "quantity": 1}
    )
    shop.pay(by_merchant)
    shop.sell("OLD", 5)
    discontinued = shop.order_of({"OLD": 1})
    shop.pay(discontinued)
    shop.discontinue("OLD")
    pass_all(shop, account, connection)

    for order_id, total, taxed in (
        (bought, "219.88", "225.87"), (cheap, "0.30", "6.29"), (three_for_two, "49.90", "55.89"),
        (gift, "254.40", "210.39"),  # a gift card is not taxed
    ):  # fmt: skip
        items_total, shipping, taxes = amounts(connection, order_id)
        assert (items_total, shipping) == (Decimal(total), Decimal("5.99"))
        assert round(taxes, 10) == round(Decimal(taxed) * 19 / 119, 10)
        assert taxes == round(Decimal(repr(shop.seen(order_id)["tax_total"])), 14), "14 decimals are kept"
        assert len(str(taxes).partition(".")[2]) >= 13

    accepted = ("goods", Status.ACCEPTED, 1, "locked", 1)
    others = {
        GIFT_CARD: ("gift_card", Status.ACCEPTED, 1, None, None), DOWNLOAD: ("service", Status.ACCEPTED, 1, None, None),
    }  # fmt: skip
    assert items(connection, bought) == {"PHONE": accepted, "CASE": ("goods", Status.ACCEPTED, 2, "locked", 2)}
    assert items(connection, three_for_two) == {"CHARGER": ("goods", Status.ACCEPTED, 3, "locked", 3)}
    price = connection.execute("SELECT price FROM order_items WHERE order_id = %s", [three_for_two]).fetchone()
    assert price == (Decimal("49.90"),)
    assert items(connection, gift) == {"PHONE": accepted, **others}
    # Orders of the merchant say of no item that it is shipped, nor that it is a gift card.
    assert {item["requires_shipping"] for item in shop.seen(by_merchant)["items"]} == {False}
    assert items(connection, discontinued) == {"OLD": accepted}, "a deleted product may still have to be shipped"
    engraving = ("service", Status.ACCEPTED, 1, None, None)
    assert items(connection, by_merchant) == {"PHONE": accepted, **others, "": engraving}


def test_edited_orders(shop: Shop, account: SellerAccount, connection: Connection) -> None:
    import_levels(StockConnection(connection), {"PHONE": 100, "CASE": 100, "CHARGER": 100})
    paid = shop.order(PHONE=1, CASE=2)
    emptied = shop.order(PHONE=2)
    for order_id in (paid, emptied):
        shop.pay(order_id)
    authorised, authorised_emptied = shop.buy({"PHONE": 2, "CASE": 1}), shop.buy({"PHONE": 1})
    pass_all(shop, account, connection)
    assert items(connection, emptied) == {"PHONE": ("goods", Status.ACCEPTED, 2, "locked", 2)}
    assert items(connection, authorised_emptied) == {"PHONE": ("goods", Status.ACCEPTED, 1, "locked", 1)}

    shop.edit(paid, {"PHONE": 3, "CASE": 0}, added={"CHARGER": 1})
    shop.edit(authorised, {"PHONE": 1})
    shop.edit(emptied, {"PHONE": 0})
    shop.edit(authorised_emptied, {"PHONE": 0})
    pass_all(shop, account, connection)
    assert items(connection, paid) == {
        "PHONE": ("goods", Status.ACCEPTED, 3, "locked", 3),
        "CASE": ("goods", Status.REMOVED, 2, "released", 2),
        "CHARGER": ("goods", Status.ACCEPTED, 1, "locked", 1),
    }
    assert items(connection, emptied) == {"PHONE": ("goods", Status.REMOVED, 2, "released", 2)}
    assert items(connection, authorised_emptied) == {"PHONE": ("goods", Status.REMOVED, 1, "released", 1)}
    # The edit cancelled the authorised payment; what was promised stays locked.
    assert statuses(connection, authorised)[0] == Status.AWAITING_PAYMENT
    assert items(connection, authorised) == {
        "PHONE": ("goods", Status.AWAITING_PAYMENT, 1, "locked", 1),
        "CASE": ("goods", Status.AWAITING_PAYMENT, 1, "locked", 1),
    }

    shop.pay(authorised)
    shop.edit(paid, {"PHONE": 2})
    pass_all(shop, account, connection)
    assert statuses(connection, authorised) == (Status.ACCEPTED, [Status.ACCEPTED] * 2)
    assert items(connection, paid)["PHONE"] == ("goods", Status.ACCEPTED, 2, "locked", 2)


def label_of(fulfillment: str) -> str:
    return f"https://labels.example.com/{fulfillment}.pdf"


def offered(connection: Connection, order_id: str) -> tuple[Any, ...] | None:
    return connection.execute("SELECT label_url FROM orders WHERE order_id = %s", [order_id]).fetchone()


def labels(connection: Connection, order_id: str) -> dict[str | None, tuple[bool, list[str]]]:
    """Whether it was cancelled, and the SKUs that it is for, of each label by its URL."""
    rows = connection.execute(
        "SELECT url, cancelled_at IS NOT NULL, ARRAY(SELECT sku FROM order_items item "
        "WHERE item.account = known.account AND known.item_ids ? item.item_id ORDER BY sku) "
        "FROM order_documents known WHERE order_id = %s AND kind = 'label'",
        [order_id],
    )
    return {url: (cancelled, skus) for url, cancelled, skus in rows}


def on_hand(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT sku, on_hand FROM stock_levels WHERE on_hand IS NOT NULL").fetchall())


def test_parcels_that_are_cancelled_repeated_and_shipped_one_after_the_other(
    shop: Shop, account: SellerAccount, connection: Connection
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 100, "CASE": 100, "CHARGER": 100})
    order_id = shop.buy({"PHONE": 3, "CASE": 1})
    waiting = {
        "PHONE": ("goods", Status.ACCEPTED, 3, "locked", 3), "CASE": ("goods", Status.ACCEPTED, 1, "locked", 1),
    }  # fmt: skip
    pass_all(shop, account, connection)
    before = on_hand(connection)
    assert (offered(connection, order_id), items(connection, order_id)) == ((None,), waiting)

    first = shop.fulfil(order_id, {"PHONE": 2})
    pass_all(shop, account, connection)
    assert (offered(connection, order_id), items(connection, order_id)) == ((label_of(first),), waiting)

    shop.cancel_fulfilment(order_id, first)
    pass_all(shop, account, connection)
    assert (offered(connection, order_id), items(connection, order_id)) == ((None,), waiting)
    second = shop.fulfil(order_id, {"PHONE": 2})
    pass_all(shop, account, connection)
    assert (offered(connection, order_id), items(connection, order_id)) == ((label_of(second),), waiting)
    known: dict[str | None, tuple[bool, list[str]]] = {
        label_of(first): (True, ["PHONE"]),
        label_of(second): (False, ["PHONE"]),
    }
    assert labels(connection, order_id) == known

    # A partial shipment: what has left is consumed, the rest stays locked. The label is kept: Medusa lists it no more.
    shop.hand_over(order_id, second, {"PHONE": 2})
    pass_all(shop, account, connection)
    assert statuses(connection, order_id)[0] == Status.ACCEPTED
    assert (offered(connection, order_id), items(connection, order_id)) == ((label_of(second),), waiting)
    assert labels(connection, order_id) == known
    assert held_and_consumed(connection, order_id) == {"PHONE": (1, 2), "CASE": (1, 0)}
    assert on_hand(connection) == {**before, "PHONE": before["PHONE"] - 2}

    third = shop.fulfil(order_id, {"PHONE": 1, "CASE": 1})
    pass_all(shop, account, connection)
    # The label that Medusa has removed counts as replaced, since it lists another now. It is not needed any more.
    known |= {label_of(second): (True, ["PHONE"]), label_of(third): (False, ["CASE", "PHONE"])}
    assert labels(connection, order_id) == known
    assert offered(connection, order_id) == (label_of(third),)
    shop.hand_over(order_id, third, {"PHONE": 1, "CASE": 1}, tracking_number="T-9")
    pass_all(shop, account, connection)
    assert statuses(connection, order_id)[0] == Status.SHIPPED
    assert items(connection, order_id) == {
        "PHONE": ("goods", Status.SHIPPED, 3, "consumed", 3), "CASE": ("goods", Status.SHIPPED, 1, "consumed", 1),
    }  # fmt: skip
    assert on_hand(connection) == {**before, "PHONE": before["PHONE"] - 3, "CASE": before["CASE"] - 1}
    # The shipment's own label, a tracking number without URL, has replaced the one that was printed.
    known |= {label_of(third): (True, ["CASE", "PHONE"]), None: (False, ["CASE", "PHONE"])}
    assert labels(connection, order_id) == known
    number = connection.execute("SELECT tracking_number FROM orders WHERE order_id = %s", [order_id]).fetchone()
    assert (number, offered(connection, order_id)) == (("T-9",), (None,))


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
    nothing_is_lost(shop, connection)
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
