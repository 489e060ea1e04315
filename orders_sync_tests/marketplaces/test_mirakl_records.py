"""Mirakl's odd records over real HTTP: refunds before the shipping, cancelled lines, mixed zones, returns, documents."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.sandbox.formats import stamp
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync


class MiraklWithDocuments(FakeMirakl):
    """Lists the documents that a test put in, and refuses a call that names the odd order."""

    scripted: list[dict[str, Any]]
    odd = ""

    async def list_documents(self, request: Request) -> dict[str, Any] | Response:
        order_ids = request.query_params["order_ids"].split(",")
        if self.odd in order_ids:
            return JSONResponse({"message": "an odd id", "status": 400}, 400)
        found = [document for document in self.scripted if document["order_id"] in order_ids]
        return {"order_documents": found, "total_count": len(found)}


@pytest.fixture
def mirakl() -> Iterator[Marketplace]:
    with Marketplace(MiraklWithDocuments) as opened:
        assert isinstance(opened.fake, MiraklWithDocuments)
        opened.fake.scripted = []
        yield opened


@pytest.fixture
def shop(mirakl: Marketplace) -> SellerAccount:
    return sandbox_account(mirakl)


def put(mirakl: Marketplace, order_id: str, *lines: dict[str, Any], **fields: Any) -> None:
    """Lists an order to be shipped, changed now, whose lines have two pieces each unless they say otherwise."""
    now = stamp(mirakl.now())
    created = mirakl.world.scripted.get(order_id, {"created_date": now})["created_date"]
    mirakl.world.scripted[order_id] = {
        "order_id": order_id, "order_state": "SHIPPING", "created_date": created, "last_updated_date": now,
        "currency_iso_code": "EUR", "price": 165.1, "shipping_price": 6.5, **fields,
        "order_lines": [
            {
                "order_line_id": f"{order_id}-{number}", "order_line_state": "SHIPPING", "offer_sku": "PHONE",
                "quantity": 2, "price": 165.1, "shipping_price": 6.5, "total_commission": 21.3, **line,
            }
            for number, line in enumerate(lines, 1)
        ],
    }  # fmt: skip


def locks(connection: Connection) -> dict[str, str]:
    apply_pending(StockConnection(connection))
    return dict(connection.execute("SELECT item_id, state FROM stock_locks").fetchall())


def statuses(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT item_id, status FROM order_items").fetchall())


@pytest.mark.parametrize("state", ["REFUNDED", "WAITING_REFUND", "WAITING_REFUND_PAYMENT"])
def test_a_line_refunded_before_the_shipping_is_released_or_never_locked(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection, state: str
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 10})
    refunded, shipped = {"order_line_state": state}, stamp(mirakl.now())
    put(mirakl, "known", {}, {})
    put(mirakl, "good", {})
    sync(shop)
    assert locks(connection) == {"known-1": "locked", "known-2": "locked", "good-1": "locked"}
    mirakl.pass_time(minutes=5)
    put(mirakl, "known", refunded, {})
    put(mirakl, "new", refunded, {}, {**refunded, "shipped_date": shipped})
    sync(shop)
    assert locks(connection) == {
        "known-1": "released", "known-2": "locked", "good-1": "locked", "new-2": "locked", "new-3": "consumed",
    }  # fmt: skip
    assert statuses(connection)["new-1"] == "refunded_before_shipping"
    assert statuses(connection)["new-3"] == "refunded_after_shipping"
    check_invariants(connection)


def test_an_incident_says_nothing_about_the_shipping(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    incident = {"order_line_state": "INCIDENT_OPEN"}
    put(mirakl, "a", incident, {**incident, "shipped_date": stamp(mirakl.now())})
    put(mirakl, "b", incident, order_state="RECEIVED")
    sync(shop)
    assert statuses(connection) == {"a-1": "accepted", "a-2": "shipped", "b-1": "shipped"}


def test_a_cancelled_line_without_pieces_is_a_cancellation(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    import_levels(StockConnection(connection), {"PHONE": 10})
    put(mirakl, "a", {}, {})
    sync(shop)
    assert set(locks(connection).values()) == {"locked"}
    mirakl.pass_time(minutes=5)
    put(mirakl, "a", {"order_line_state": "CANCELED", "quantity": 0}, {})
    summary = sync(shop)
    assert (summary.changed, summary.rejected) == (1, 0)
    assert locks(connection) == {"a-1": "released", "a-2": "locked"}
    row = connection.execute("SELECT status, quantity FROM order_items WHERE item_id = 'a-1'").fetchone()
    assert row == ("cancelled", 2)
    check_invariants(connection)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00"),
        ("2026-03-01T11:00:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00", "2026-03-01T12:00:00+01:00"),
    ],
)
def test_times_with_and_without_a_zone_are_compared_in_utc(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection, first: str, second: str
) -> None:
    put(mirakl, "a", {"shipped_date": first}, {"shipped_date": second})
    put(mirakl, "good", {})
    assert sync(shop).created == 2
    shipped = connection.execute("SELECT shipped_at FROM orders WHERE order_id = 'a'").fetchone()
    assert shipped == (datetime(2026, 3, 1, 11, tzinfo=UTC),)
    line = int(second[-1] != "Z" and "+" not in second)
    flaws = connection.execute("SELECT record_id, field, found FROM record_flaws ORDER BY field").fetchall()
    assert flaws == [("a", field, "has no time zone") for field in (f"items[{line}].shipments", "shipped_at")]


@pytest.mark.parametrize("shipped", ["2026-03-01T10:00:00Z", "2026-03-01T10:00:00", None])
@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"])
def test_a_shipping_date_out_of_range_is_none_and_rejects_nothing(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection, shipped: str | None, odd: str
) -> None:
    """Programs write the year 1 for no time at all: the incident of such a line says that it was not shipped."""
    put(mirakl, "a", {"shipped_date": shipped}, {"shipped_date": odd, "order_line_state": "INCIDENT_OPEN"})
    summary = sync(shop)
    assert (summary.created, summary.rejected, summary.flawed) == (1, 0, 1)
    expected = datetime(2026, 3, 1, 10, tzinfo=UTC) if shipped else None
    assert connection.execute("SELECT shipped_at FROM orders").fetchone() == (expected,)
    assert statuses(connection) == {"a-1": "accepted", "a-2": "accepted"}
    found = "SELECT found FROM record_flaws WHERE field = 'order_lines[1].shipped_date'"
    assert connection.execute(found).fetchone() == (f"lies in the year {int(odd[:4])}",)


def test_a_commission_given_back_a_deadline_without_zone_and_a_numeric_line_id_are_stored(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    line = {"order_line_id": 77, "total_commission": -21.3}
    put(mirakl, "a", line, shipping_deadline="2026-03-05T10:00:00")
    put(mirakl, "good", {})
    summary = sync(shop)
    assert (summary.created, summary.rejected, summary.flawed) == (2, 0, 1)
    row = connection.execute(
        "SELECT item_id, fee, dispatch_due_at FROM order_items JOIN orders USING (account, order_id) "
        "WHERE order_id = 'a'"
    ).fetchone()
    assert row == ("77", Decimal("-21.3"), datetime(2026, 3, 5, 10, tzinfo=UTC))


def test_of_several_returns_of_a_line_the_live_one_is_linked_and_quantities_are_kept(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    put(mirakl, "a", {"quantity": 3})
    sync(shop)
    now = mirakl.now()

    def put_return(number: int, state: str, quantity: int, minutes: int) -> None:
        mirakl.pass_time(minutes=minutes)
        mirakl.world.scripted_folders[number] = {
            "id": f"r{number}", "state": state, "date_created": stamp(now), "last_updated": stamp(mirakl.now()),
            "return_lines": [{"order_line_id": "a-1", "quantity": quantity}],
        }  # fmt: skip

    put_return(1, "IN_PROGRESS", 1, 5)
    sync(shop, "care")
    put_return(2, "CANCELED", 2, 5)
    sync(shop, "care")
    linked = "SELECT care_id FROM order_items"
    assert connection.execute(linked).fetchone() == ("r1",)
    rows = connection.execute(
        "SELECT care_id, state, marketplace_state, quantity FROM care_records "
        "JOIN care_record_items USING (account, care_id) ORDER BY 1"
    ).fetchall()
    assert rows == [("r1", "open", "IN_PROGRESS", 1), ("r2", "cancelled", "CANCELED", 2)]
    # The known one is cancelled, and another one is opened: the link follows.
    put_return(1, "CANCELED", 1, 5)
    put_return(3, "WAITING_ACCEPTANCE", 1, 1)
    sync(shop, "care")
    assert connection.execute(linked).fetchone() == ("r3",)
    states = connection.execute("SELECT state FROM care_records WHERE care_id = 'r1'").fetchone()
    assert states == ("cancelled",)


def test_an_order_that_is_refused_takes_no_documents_of_the_others(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    fake = mirakl.fake
    assert isinstance(fake, MiraklWithDocuments)
    for number in range(120):
        put(mirakl, f"o{number}", {})
    sync(shop)
    fake.scripted = [
        {"id": number * 10 + kind, "order_id": f"o{number}", "type": name}
        for number in range(120)
        for kind, name in enumerate(("SYSTEM_DELIVERY_BILL", "SHIPPING_LABEL", "CUSTOMER_INVOICE"))
    ]
    fake.odd = "o60"
    summary = sync(shop, "incomplete")
    assert (summary.fetched, summary.documents_found) == (120, 238)
    assert [problem.partition(":")[0] for problem in summary.problems] == ["order o60"]
    assert summary.api_calls < 20
    fake.odd = ""
    again = sync(shop, "incomplete")
    assert (again.fetched, again.documents_found) == (1, 2)


def test_two_parcels_give_two_labels(mirakl: Marketplace, shop: SellerAccount, connection: Connection) -> None:
    assert isinstance(mirakl.fake, MiraklWithDocuments)
    put(mirakl, "a", {}, {})
    sync(shop)
    mirakl.fake.scripted = [{"id": n, "order_id": "a", "type": "SHIPPING_LABEL"} for n in (71, 72)]
    assert sync(shop, "incomplete").documents_found == 2
    rows = connection.execute("SELECT kind, document_key, url FROM order_documents ORDER BY 2").fetchall()
    urls = [f"{mirakl.url}/api/orders/documents/download?document_ids={n}" for n in (71, 72)]
    assert rows == [("label", "71", urls[0]), ("label", "72", urls[1])]
    assert connection.execute("SELECT label_url FROM orders").fetchone() == (urls[0],)
    # One was replaced: it is no longer listed.
    mirakl.fake.scripted = [{"id": n, "order_id": "a", "type": "SHIPPING_LABEL"} for n in (72, 73)]
    sync(shop, "incomplete")
    assert connection.execute("SELECT label_url FROM orders").fetchone() == (urls[1],)
    cancelled = connection.execute("SELECT document_key FROM order_documents WHERE cancelled_at IS NOT NULL").fetchall()
    assert cancelled == [("71",)]


@pytest.mark.parametrize("what", ["refunds", "cancelations"])
def test_pieces_refunded_before_the_shipping_are_a_flaw_and_stay_locked(
    mirakl: Marketplace, shop: SellerAccount, connection: Connection, what: str
) -> None:
    """The numbers are informative only, by the contract: nothing says whether the quantity has these pieces."""
    import_levels(StockConnection(connection), {"PHONE": 10})
    put(mirakl, "a", {what: [{"amount": 80, "quantity": 1}]}, {})
    assert sync(shop).flawed == 1
    assert connection.execute("SELECT field, found, stored FROM record_flaws").fetchall() == [
        ("items[0].refunded", "is 1 pieces of an item that is still to be shipped", "2 pieces to be shipped")
    ]
    assert locks(connection) == {"a-1": "locked", "a-2": "locked"}
    assert connection.execute("SELECT reserved FROM stock_levels").fetchone() == (4,)
    mirakl.pass_time(minutes=5)
    shipped = {"order_line_state": "SHIPPED", "shipped_date": stamp(mirakl.now())}
    put(mirakl, "a", {what: [{"amount": 80, "quantity": 1}], **shipped}, {})
    sync(shop)
    assert connection.execute("SELECT count(*) FROM record_flaws").fetchone() == (0,)
    assert connection.execute("SELECT refunded FROM order_items WHERE item_id = 'a-1'").fetchone() == (1,)
    check_invariants(connection)
