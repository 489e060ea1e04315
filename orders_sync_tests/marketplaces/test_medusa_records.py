"""Medusa's odd records over real HTTP: lines that are no goods, edited orders, cancelled fulfilments and returns."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import sync
from orders_sync_tests.marketplaces.medusa_shop import MedusaShop, medusa_account

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
OLD, NEW = "https://labels.example.com/old.pdf", "https://labels.example.com/new.pdf"
PHONE = {
    "id": "item_phone", "quantity": 1, "variant_sku": "PHONE", "variant_id": "variant_1", "title": "A phone",
    "is_giftcard": False, "requires_shipping": True, "raw_total": {"value": "199.90"}, "created_at": NOW.isoformat(),
    "detail": {"quantity": 1, "shipped_quantity": 0, "delivered_quantity": 0, "return_received_quantity": 0},
}  # fmt: skip


def order(order_id: str, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": order_id, "status": "pending", "payment_status": "captured", "fulfillment_status": "not_fulfilled",
        "created_at": NOW.isoformat(), "updated_at": NOW.isoformat(), "currency_code": "eur", "tax_total": 1.25,
        "shipping_total": 0, "fulfillments": [], "payment_collections": [], "items": list(items), **fields,
    }  # fmt: skip


def product(*, is_shipped: bool, is_giftcard: bool = False) -> dict[str, Any]:
    """The variant of an item, as a server lists it: a product that is not shipped has no shipping profile."""
    profile = {"shipping_profile": {"id": "sp_1"}} if is_shipped else {}
    return {"id": "variant_1", "product_id": "p_1", "product": {"id": "p_1", "is_giftcard": is_giftcard, **profile}}


def item(item_id: str, **fields: Any) -> dict[str, Any]:
    return {**PHONE, "id": item_id, **fields}


@pytest.fixture
def shop() -> MedusaShop:
    return MedusaShop()


@pytest.fixture
def account(shop: MedusaShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[SellerAccount]:
    monkeypatch.setenv("MEDUSA_KEY", "sk_test")
    with served(shop.app()) as url:
        yield medusa_account(url)


def locks(connection: Connection) -> dict[str, str]:
    apply_pending(StockConnection(connection))
    return dict(connection.execute("SELECT item_id, state FROM stock_locks").fetchall())


def test_lines_that_are_no_goods_are_kept_and_reserve_no_stock(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    no_variant: dict[str, Any] = {"variant_id": None, "variant_sku": None, "requires_shipping": False}
    others = {
        "gift card of 50": (item("a", **{**no_variant, "is_giftcard": True, "variant_id": "v2"}), "gift_card"),
        "without variant": (item("b", **no_variant), "service"),
        "store credit": (item("c", **{**no_variant, "raw_total": {"value": "-10"}}), "discount"),
        "download": (
            item("d", variant_sku="PDF", requires_shipping=False, variant=product(is_shipped=False)),
            "service",
        ),
    }
    shop.records["orders"] = [order(f"order_{n}", item(f"p{n}"), o) for n, (o, _) in enumerate(others.values())]
    import_levels(StockConnection(connection), {"PHONE": 10})
    assert sync(account).rejected == 0
    assert locks(connection) == {f"p{n}": "locked" for n in range(len(others))}
    kinds = dict(connection.execute("SELECT item_id, kind FROM order_items").fetchall())
    assert kinds == {
        **{f"p{n}": "goods" for n in range(len(others))}, **{line["id"]: kind for line, kind in others.values()},
    }  # fmt: skip
    check_invariants(connection)


def test_orders_of_the_merchant_say_of_no_item_that_it_is_shipped(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    """Server 2.21, an order that began as a draft order: the products distinguish goods, gift cards and downloads."""
    no_shipping: dict[str, Any] = {"requires_shipping": False, "is_giftcard": False}
    shop.records["orders"] = [
        order(
            "order_1",
            item("goods", **no_shipping, variant=product(is_shipped=True)),
            item("gift", **no_shipping, variant_sku="GIFT-50", variant=product(is_shipped=False, is_giftcard=True)),
            item("download", **no_shipping, variant_sku="PDF", variant=product(is_shipped=False)),
            item("deleted", **no_shipping, variant=None),
            item("engraving", **no_shipping, variant_id=None, variant_sku=None, variant=None),
        )
    ]
    import_levels(StockConnection(connection), {"PHONE": 10})
    assert sync(account).rejected == 0
    assert locks(connection) == {"goods": "locked", "deleted": "locked"}
    kinds = dict(connection.execute("SELECT item_id, kind FROM order_items").fetchall())
    assert kinds == {
        "goods": "goods", "gift": "gift_card", "download": "service", "deleted": "goods", "engraving": "service",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("taxes", "stored"),
    [
        (8.923613445378152, "8.92361344537815"),
        (1.0042857142857142, "1.00428571428571"),
        (98.3018487394958, "98.3018487394958"),
        (1e-16, "0"),
    ],
)
def test_decimals_that_the_server_computed_beyond_the_fourteenth_are_no_flaw(
    shop: MedusaShop, account: SellerAccount, connection: Connection, taxes: float, stored: str
) -> None:
    """Three chargers of 24.95 for the price of two, prices with taxes: 49.90, as server 2.21 writes it."""
    chargers = item("chargers", quantity=3, raw_total={"value": "49.8999999999999985", "precision": 20})
    shop.records["orders"] = [order("order_1", chargers, tax_total=taxes, shipping_total=5.99)]
    assert sync(account).flawed == 0
    assert connection.execute("SELECT items_total, sales_taxes FROM orders").fetchone() == (
        Decimal("49.9"),
        Decimal(stored),
    )
    assert connection.execute("SELECT price FROM order_items").fetchone() == (Decimal("49.9"),)
    assert connection.execute("SELECT count(*) FROM record_flaws").fetchone() == (0,)


def test_taxes_of_a_region_with_gross_prices_are_stored(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order("order_1", PHONE, tax_total=36.24499075630252)]
    import_levels(StockConnection(connection), {"PHONE": 10})
    assert sync(account).created == 1
    assert connection.execute("SELECT sales_taxes FROM orders").fetchone() == (Decimal("36.24499075630252"),)
    assert connection.execute("SELECT count(*) FROM record_flaws").fetchone() == (0,)
    assert locks(connection) == {"item_phone": "locked"}


def test_an_amount_that_is_not_finite_is_unknown(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order("order_1", item("a", raw_total={"value": "sNaN"}), item("b"))]
    assert sync(account).created == 1
    assert connection.execute("SELECT items_total FROM orders").fetchone() == (None,)
    assert connection.execute("SELECT item_id FROM order_items WHERE price IS NULL").fetchall() == [("a",)]


@pytest.mark.parametrize("left", [[], [item("item_phone", quantity=0)]], ids=["no longer listed", "quantity 0"])
def test_the_last_item_edited_out_is_removed_and_its_lock_released(
    shop: MedusaShop, account: SellerAccount, connection: Connection, left: list[dict[str, Any]]
) -> None:
    shop.records["orders"] = [order("order_1", PHONE), order("order_2", item("other"))]
    import_levels(StockConnection(connection), {"PHONE": 10})
    sync(account)
    assert locks(connection) == {"item_phone": "locked", "other": "locked"}
    later = (NOW + timedelta(minutes=5)).isoformat()
    shop.records["orders"][0] = order("order_1", *left, updated_at=later)
    summary = sync(account, "modified")
    assert (summary.changed, summary.rejected) == (1, 0)
    assert locks(connection) == {"item_phone": "released", "other": "locked"}
    statuses = dict(connection.execute("SELECT item_id, status FROM order_items").fetchall())
    assert statuses == {"item_phone": "removed", "other": "accepted"}
    check_invariants(connection)


def detail(**quantities: Any) -> dict[str, Any]:
    return {"shipped_quantity": 0, "delivered_quantity": 0, "return_received_quantity": 0, **quantities}


@pytest.mark.parametrize("odd", [None, "three", -1, 1.5])
@pytest.mark.parametrize(
    ("fulfillment_status", "status", "lock"),
    [
        ("not_fulfilled", "accepted", "locked"),
        ("fulfilled", "accepted", "locked"),
        ("partially_shipped", "unknown", "locked"),
        ("shipped", "shipped", "consumed"),
    ],
)
def test_where_the_shipped_pieces_are_not_known_the_fulfilment_of_the_order_decides(
    shop: MedusaShop, account: SellerAccount, connection: Connection, odd: object, fulfillment_status: str, status: str,
    lock: str,
) -> None:  # fmt: skip
    unknown = item("item_phone", detail=detail(shipped_quantity=odd))
    shop.records["orders"] = [order("order_1", unknown, fulfillment_status=fulfillment_status)]
    import_levels(StockConnection(connection), {"PHONE": 10})
    assert sync(account).flawed == 1
    assert connection.execute("SELECT status FROM order_items").fetchone() == (status,)
    assert locks(connection) == {"item_phone": lock}
    fields = {field for (field,) in connection.execute("SELECT field FROM record_flaws")}
    assert fields >= {"items[0].detail.shipped_quantity"}


def test_what_is_known_of_an_item_is_kept_where_its_shipped_pieces_are_not_known(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    """Two of three pieces of the order are shipped, and its record says no more which ones."""
    import_levels(StockConnection(connection), {"PHONE": 10})
    shipped = item("shipped", detail=detail(shipped_quantity=1))
    partly: dict[str, Any] = {"fulfillment_status": "partially_shipped"}
    shop.records["orders"] = [order("order_1", shipped, item("waits"), **partly)]
    sync(account)
    later = (NOW + timedelta(minutes=5)).isoformat()
    odd = [item(item_id, detail=detail(shipped_quantity=-1)) for item_id in ("shipped", "waits")]
    shop.records["orders"] = [order("order_1", *odd, **partly, updated_at=later)]
    summary = sync(account, "modified")
    assert (summary.changed, summary.rejected, summary.events) == (1, 0, 0)
    rows = connection.execute("SELECT item_id, status, marketplace_state FROM order_items ORDER BY 1").fetchall()
    assert rows == [("shipped", "shipped", "1 shipped, 0 returned"), ("waits", "accepted", "0 shipped, 0 returned")]


def test_pieces_that_were_delivered_were_shipped(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    delivered = item("item_phone", detail=detail(shipped_quantity=None, delivered_quantity=1))
    shop.records["orders"] = [order("order_1", delivered, fulfillment_status="partially_delivered")]
    sync(account)
    assert connection.execute("SELECT status, marketplace_state FROM order_items").fetchone() == (
        "shipped",
        "1 shipped, 0 returned",
    )


@pytest.mark.parametrize("state", ["status", "payment_status", "fulfillment_status"])
@pytest.mark.parametrize("odd", [None, ""])
def test_a_state_that_is_missing_is_a_flaw_and_changes_no_status(
    shop: MedusaShop, account: SellerAccount, connection: Connection, state: str, odd: str | None
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 10})
    shop.records["orders"] = [order("cancelled", item("a"), status="canceled"), order("paid", item("b"))]
    sync(account)
    later = (NOW + timedelta(minutes=5)).isoformat()
    odd_state: dict[str, Any] = {"updated_at": later, state: odd}
    shop.records["orders"] = [order("cancelled", item("a"), **{"status": "canceled", **odd_state})]
    shop.records["orders"] += [order("paid", item("b"), **odd_state)]
    assert sync(account, "modified").changed == 2
    statuses = dict(connection.execute("SELECT order_id, status FROM orders").fetchall())
    assert statuses == {"cancelled": "cancelled", "paid": "accepted"}
    assert dict(connection.execute("SELECT item_id, status FROM order_items").fetchall()) == {
        "a": "cancelled", "b": "accepted",
    }  # fmt: skip
    flawed = {record_id for (record_id,) in connection.execute("SELECT record_id FROM record_flaws")}
    assert "paid" in flawed or (state, odd) == ("status", "")
    check_invariants(connection)


def test_a_line_of_less_than_no_pieces_rejects_its_order(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order("order_1", item("a"), item("b", quantity=-1)), order("order_2", item("c"))]
    summary = sync(account)
    assert (summary.created, summary.rejected) == (1, 1)
    rows = connection.execute("SELECT reasons->0->>'where', reasons->0->>'what' FROM rejected_records").fetchall()
    assert rows == [("items[1].quantity", "is -1")]


def test_a_cancellation_in_year_1_is_none(shop: MedusaShop, account: SellerAccount, connection: Connection) -> None:
    zero = "0001-01-01T00:00:00Z"
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[fulfillment(1, NEW, canceled_at=zero)])]
    shop.records["returns"] = [care("return_1", canceled_at=zero), care("return_2", canceled_at=zero, items=[])]
    sync(account)
    assert offered(connection) == (NEW, "T1")
    summary = sync(account, "care")
    assert (summary.created, summary.rejected) == (1, 0), "return_2 was begun and not requested yet"
    assert connection.execute("SELECT care_id, state FROM care_records").fetchall() == [("return_1", "open")]
    connection.execute("UPDATE orders SET label_url = NULL")
    connection.execute("DELETE FROM order_documents")
    assert sync(account, "incomplete").documents_found == 1


def fulfillment(number: int, url: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"ful_{number}", "shipped_at": None, "canceled_at": None, "items": [{"line_item_id": "item_phone"}],
        "labels": [{"id": f"label_{number}", "tracking_number": f"T{number}", "tracking_url": "#", "label_url": url}],
        **fields,
    }  # fmt: skip


def offered(connection: Connection) -> tuple[Any, ...] | None:
    return connection.execute("SELECT label_url, tracking_number FROM orders").fetchone()


def test_the_label_of_a_cancelled_fulfilment_is_never_the_one_offered(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    cancelled = fulfillment(1, OLD, canceled_at=NOW.isoformat())
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[cancelled, fulfillment(2, NEW)])]
    sync(account)
    assert offered(connection) == (NEW, "T2")
    rows = connection.execute("SELECT url, cancelled_at IS NOT NULL, item_ids FROM order_documents ORDER BY url")
    assert rows.fetchall() == [(NEW, False, ["item_phone"]), (OLD, True, ["item_phone"])]
    assert connection.execute("SELECT count(*) FROM record_flaws").fetchone() == (0,), "# is no URL, and no flaw"


def test_a_label_that_is_cancelled_later_is_withdrawn_until_there_is_another(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[fulfillment(1, OLD)])]
    sync(account)
    assert offered(connection) == (OLD, "T1")
    cancelled = fulfillment(1, OLD, canceled_at=NOW.isoformat())
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[cancelled])]
    sync(account, "modified")
    assert offered(connection) == (None, "T1")
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[cancelled, fulfillment(2, NEW)])]
    assert sync(account, "incomplete").documents_found == 1
    assert offered(connection) == (NEW, "T1")
    sync(account, "modified")
    assert offered(connection) == (NEW, "T2")


def test_a_shipment_that_removes_the_labels_of_its_fulfilment_keeps_them_stored(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    """Server 2.21: a shipment sets the labels of its fulfilment; one that names none removes them."""
    cancelled, live = fulfillment(1, OLD, canceled_at=NOW.isoformat()), fulfillment(2, NEW)
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[cancelled, live])]
    sync(account)
    later = NOW + timedelta(minutes=5)
    shipped = {**live, "labels": [], "shipped_at": later.isoformat()}
    shop.records["orders"] = [order("order_1", PHONE, fulfillments=[cancelled, shipped], updated_at=later.isoformat())]
    assert sync(account, "modified").changed == 1
    assert offered(connection) == (NEW, "T2")
    assert connection.execute("SELECT shipped_at FROM orders").fetchone() == (later,)


def test_the_label_of_a_parcel_that_has_shipped_holds_no_pieces_of_another(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    """One of three pieces has shipped. The parcel of the others is cancelled, and then they are taken off the order."""
    stock = StockConnection(connection)
    import_levels(stock, {"PHONE": 10}, counted_at=NOW - timedelta(days=1))
    parts = [{"line_item_id": "item_phone", "quantity": quantity} for quantity in (1, 2)]
    parcels = [fulfillment(1, OLD, items=parts[:1]), fulfillment(2, NEW, items=parts[1:])]

    def changed(minutes: int, quantity: int, shipped: int, status: str) -> None:
        detail = {**PHONE["detail"], "quantity": quantity, "shipped_quantity": shipped}
        line = item("item_phone", quantity=quantity, detail=detail)
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        shop.records["orders"] = [
            order("order_1", line, fulfillments=list(parcels), fulfillment_status=status, updated_at=at)
        ]
        sync(account, "modified" if minutes else "new")
        apply_pending(stock)

    changed(0, 3, 0, "fulfilled")
    parcels[0] |= {"shipped_at": (NOW + timedelta(minutes=1)).isoformat()}
    changed(2, 3, 1, "partially_shipped")
    assert connection.execute("SELECT locked, held, consumed FROM stock_locks").fetchall() == [(2, 0, 1)]
    parcels[1] |= {"canceled_at": (NOW + timedelta(minutes=3)).isoformat()}
    changed(4, 1, 1, "shipped")
    assert connection.execute("SELECT locked, held, consumed FROM stock_locks").fetchall() == [(0, 0, 1)]
    check_invariants(connection)


def test_an_order_that_is_refused_takes_no_label_of_the_others(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order(f"order_{n}", item(f"item_{n}")) for n in range(1, 8)]
    sync(account)
    for record in shop.records["orders"]:
        label = fulfillment(int(record["id"][-1]), f"https://l.example.com/{record['id']}")
        record["fulfillments"] = [{**label, "items": [{"line_item_id": record["items"][0]["id"]}]}]
    shop.records["orders"][2]["fulfillments"] = 5
    shop.refused = {"order_5"}
    summary = sync(account, "incomplete")
    assert (summary.fetched, summary.documents_found, len(summary.problems)) == (7, 5, 2)
    assert {problem.split(":")[0] for problem in summary.problems} == {"order order_3", "order order_5"}
    shop.refused = set()
    assert sync(account, "incomplete").documents_found == 1


def care(care_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": care_id, "status": "requested", "created_at": NOW.isoformat(), "updated_at": NOW.isoformat(),
        "items": [{"item_id": "item_phone", "quantity": 1}], "canceled_at": None, **fields,
    }  # fmt: skip


def test_the_cancellation_of_a_return_that_names_no_item_any_more_is_stored(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    shop.records["orders"] = [order("order_1", PHONE)]
    shop.records["returns"] = [care("return_1")]
    sync(account)
    sync(account, "care")
    later = (NOW + timedelta(minutes=5)).isoformat()
    shop.records["returns"] = [
        care("return_1", status="canceled", canceled_at=later, updated_at=later, items=[]),
        care("return_2", created_at=(NOW - timedelta(days=1)).isoformat()),
        care("return_3", status="open", items=[]),  # begun and not requested yet
    ]
    summary = sync(account, "care")
    assert (summary.changed, summary.created, summary.rejected, summary.linked) == (1, 1, 0, 1)
    rows = connection.execute("SELECT care_id, state, marketplace_state FROM care_records ORDER BY 1").fetchall()
    assert rows == [("return_1", "cancelled", "canceled"), ("return_2", "open", "requested")]
    assert connection.execute("SELECT care_id FROM order_items").fetchone() == ("return_2",)
    quantities = connection.execute("SELECT care_id, item_id, quantity FROM care_record_items ORDER BY 1").fetchall()
    assert quantities == [("return_1", "item_phone", 1), ("return_2", "item_phone", 1)]


def test_of_two_pieces_one_ships_and_the_order_is_cancelled(
    shop: MedusaShop, account: SellerAccount, connection: Connection
) -> None:
    def phones(shipped: int, **fields: Any) -> dict[str, Any]:
        detail = {"shipped_quantity": shipped, "delivered_quantity": 0, "return_received_quantity": 0}
        now = (NOW + timedelta(minutes=len(shop.records.get("orders", [])) + shipped)).isoformat()
        return order("order_1", item("phones", quantity=2, detail=detail), **{"updated_at": now, **fields})

    pieces = "SELECT on_hand, reserved, locked, consumed, state FROM stock_levels JOIN stock_locks USING (sku)"
    import_levels(StockConnection(connection), {"PHONE": 10}, counted_at=NOW - timedelta(days=1))
    shop.records["orders"] = [phones(0)]
    sync(account)
    locks(connection)
    assert connection.execute(pieces).fetchone() == (10, 2, 2, 0, "locked")
    shop.records["orders"] = [phones(1, fulfillment_status="partially_shipped")]
    sync(account, "modified")
    locks(connection)
    assert connection.execute(pieces).fetchone() == (9, 1, 1, 1, "locked")
    later = (NOW + timedelta(minutes=9)).isoformat()
    shop.records["orders"] = [phones(1, status="canceled", updated_at=later)]
    sync(account, "modified")
    locks(connection)
    assert connection.execute(pieces).fetchone() == (9, 0, 0, 1, "consumed")
    assert connection.execute("SELECT shipped, returned FROM order_items").fetchone() == (1, 0)
    check_invariants(connection)
