"""refurbed's odd records over real HTTP: unset fields written out, amounts that are no numbers, labels that expire."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.requests import Request
from starlette.responses import Response

from orders_sync.cli import main
from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.documents import listing
from orders_sync.marketplaces.kit import accounts
from orders_sync.sandbox.formats import stamp
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync


class ScriptedRefurbed(FakeRefurbed):
    """Lists the labels, returns and tickets that a test put in.

    Labels are by order id; each answer gives them other URLs, as a signature does.
    """

    labels: dict[str, list[int]]
    returns: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    answers = 0

    async def list_returns(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        return {"returns": self.returns, "has_more": False}

    async def list_tickets(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        return {"tickets": self.tickets, "has_more": False}

    async def list_labels(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | Response:
        self.answers += 1
        return {
            "shipping_labels": [
                {
                    "id": str(number), "label_printer_url": "",
                    "normal_printer_urls": {"top_left": f"https://l.example.com/{number}.pdf?v={self.answers}"},
                    "tracking_data": {"carrier": "ups", "tracking_number": f"T{number}"},
                }
                for number in self.labels[body["order_id"]]
            ]
        }  # fmt: skip


@pytest.fixture
def refurbed() -> Iterator[Marketplace]:
    with Marketplace(ScriptedRefurbed) as opened:
        assert isinstance(opened.fake, ScriptedRefurbed)
        opened.fake.labels = {"1": [], "2": []}
        opened.fake.returns, opened.fake.tickets = [], []
        yield opened


@pytest.fixture
def shop(refurbed: Marketplace) -> SellerAccount:
    return sandbox_account(refurbed)


def put(refurbed: Marketplace, order_id: int, item: dict[str, Any] | None = None, **fields: Any) -> None:
    """Lists an accepted order of one item."""
    refurbed.world.scripted[order_id] = {
        "id": str(order_id), "released_at": stamp(refurbed.now() - timedelta(hours=1)), "state": "ACCEPTED",
        "currency_code": "EUR", "total_charged": "100.00", "total_paid": "100.00",
        "items": [
            {
                "id": str(order_id * 10), "state": "ACCEPTED", "sku": "PHONE", "currency_code": "EUR",
                "total_charged": "100.00", "total_paid": "100.00", "total_refunded": "0",
                "settlement_total_commission": "10", "offer_data": {"offer_id": "7"}, **(item or {}),
            }
        ],
        **fields,
    }  # fmt: skip


def labels_of(refurbed: Marketplace) -> dict[str, list[int]]:
    assert isinstance(refurbed.fake, ScriptedRefurbed)
    return refurbed.fake.labels


def test_unset_fields_and_amounts_that_are_no_numbers_are_unknown(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    put(refurbed, 1, {"total_paid": "sNaN", "total_refunded": "sNaN", "total_charged": "", "currency_code": ""},
        total_paid="sNaN", total_charged="sNaN", total_vat_charged="")  # fmt: skip
    put(refurbed, 2)
    summary = sync(shop)
    assert (summary.created, summary.rejected, summary.flawed) == (2, 0, 1)
    row = connection.execute(
        "SELECT items_total, sales_taxes, price, order_items.currency, order_items.status FROM orders "
        "JOIN order_items USING (account, order_id) WHERE order_id = '1'"
    ).fetchone()
    assert row == (None, None, None, None, "accepted")
    assert connection.execute("SELECT DISTINCT record_id FROM record_flaws").fetchall() == [("1",)]


def test_an_item_that_was_made_from_no_offer_is_no_goods(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    put(refurbed, 1, {"sku": "", "offer_data": None, "name": "Tree planted"})
    put(refurbed, 2, {"sku": ""})
    assert sync(shop).created == 2
    rows = connection.execute("SELECT order_id, sku, kind FROM order_items ORDER BY 1").fetchall()
    assert rows == [("1", "", "service"), ("2", "offer-7", "goods")]


def test_odd_care_records_stay_what_they_are_and_stop_no_other(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    """A ticket whose last change has no zone, and returns whose item can't be read: they are not taken for tickets."""
    put(refurbed, 1)
    sync(shop)
    now = refurbed.now()
    tickets = [
        {"id": "1", "updated_at": now.replace(tzinfo=None).isoformat()},
        {"id": "2", "updated_at": stamp(now)},
    ]
    returns = [{"id": str(number), "order_item_id": {"id": "10"}} for number in range(3, 7)]
    fake = refurbed.fake
    assert isinstance(fake, ScriptedRefurbed)
    fake.tickets = [
        {**ticket, "status": "OPEN", "created_at": stamp(now), "marketplace_order_item": {"order_item_id": "10"}}
        for ticket in tickets
    ]
    fake.returns = [{**one, "state": "INITIATED", "return_initiated_at": stamp(now)} for one in returns]
    summary = sync(shop, "care")
    assert (summary.created, summary.rejected, summary.put_off) == (2, 4, 0)
    stored = connection.execute("SELECT care_id FROM care_records ORDER BY 1").fetchall()
    assert stored == [("ticket-1",), ("ticket-2",)]
    rows = connection.execute("SELECT record_id, reasons->0->>'where', reasons->0->>'what' FROM rejected_records")
    assert sorted(rows.fetchall())[0] == ("return-3", "item_id", "is an object")


def test_two_parcels_give_two_labels(refurbed: Marketplace, shop: SellerAccount, connection: Connection) -> None:
    put(refurbed, 1)
    sync(shop)
    labels_of(refurbed)["1"] = [71, 72]
    assert sync(shop, "incomplete").documents_found == 2
    rows = connection.execute("SELECT document_key, carrier, tracking_number FROM order_documents ORDER BY 1")
    assert rows.fetchall() == [("71", "ups", "T71"), ("72", "ups", "T72")]
    assert connection.execute("SELECT label_url FROM orders").fetchone() == ("https://l.example.com/71.pdf?v=1",)


def test_urls_that_expire_are_read_anew_until_the_order_has_shipped(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection
) -> None:
    put(refurbed, 1)
    put(refurbed, 2)
    sync(shop)
    labels_of(refurbed).update({"1": [71], "2": [72]})
    assert sync(shop, "incomplete").documents_found == 2
    assert sync(shop, "incomplete").fetched == 0, "they work for a day"
    connection.execute("UPDATE order_documents SET expires_at = expires_at - interval '20 hours'")
    refurbed.world.scripted[2] |= {"state": "SHIPPED"}
    refurbed.world.scripted[2]["items"][0]["state"] = "SHIPPED"
    sync(shop, "modified")
    assert sync(shop, "incomplete").fetched == 1
    urls = connection.execute("SELECT label_url FROM orders ORDER BY order_id").fetchall()
    assert urls == [("https://l.example.com/71.pdf?v=3",), ("https://l.example.com/72.pdf?v=2",)]
    assert sync(shop, "incomplete").fetched == 0
    connection.execute("UPDATE order_documents SET expires_at = expires_at - interval '30 days'")
    connection.execute("UPDATE orders SET created_at = created_at - interval '30 days'")  # outside of `days_back`
    assert sync(shop, "incomplete").fetched == 1


def test_documents_are_read_anew_on_demand(
    refurbed: Marketplace, shop: SellerAccount, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "find_account", lambda name: shop)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    monkeypatch.setattr(listing, "load_accounts", lambda: ({"shop": shop}, {}))
    put(refurbed, 1, state="SHIPPED")
    sync(shop)
    labels_of(refurbed)["1"] = [71, 72]
    result = CliRunner().invoke(main, ["documents", "refresh", "1"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("https://l.example.com/") == 2
    assert connection.execute("SELECT label_url FROM orders").fetchone() == ("https://l.example.com/71.pdf?v=1",)
    assert "T72" in CliRunner().invoke(main, ["documents", "list", "1"]).stdout
    unknown = CliRunner().invoke(main, ["documents", "refresh", "1", "77"])
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: No account has order 77.\n")
