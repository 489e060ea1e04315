"""A shop of each marketplace that lists small records, odd or not, over real HTTP into the database and the stock."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.pass_summary import PassSummary
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.http_server import served
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import sync

Record = dict[str, Any]


def at(**ahead: float) -> str:
    """A time as the contracts write it, so far ahead of now."""
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Form:
    """An order in the form of a contract: one phone to be shipped, and the names of what the tests change."""

    order: Record
    lines: str
    order_id: str
    line_id: str
    quantity: str | None
    """None: every line is one piece."""
    modified: str | None
    """None: the contract has no such time."""
    discount: Record
    """A line that is no goods."""
    cancelled: Record
    """What a cancelled line has."""
    cancelled_order: Record = field(default_factory=dict[str, Any])
    """What an order has whose only line is cancelled, if its lines do not say it."""

    def with_line(self, **fields: Any) -> Record:
        """The order, its line with other values."""
        [line] = self.order[self.lines]
        return {**self.order, self.lines: [{**line, **fields}]}

    def with_lines(self, *more: Any) -> Record:
        """The order with further lines."""
        return {**self.order, self.lines: [*self.order[self.lines], *more]}

    def cancelled_with(self, **fields: Any) -> Record:
        """The order, its line cancelled."""
        return {**self.with_line(**self.cancelled, **fields), **self.cancelled_order}


FORMS = {
    "back_market": Form(
        {
            "order_id": 1, "date_creation": at(minutes=-10), "date_modification": at(minutes=-10), "state": 3,
            "price": "100.00", "currency": "EUR",
            "orderlines": [{"id": 11, "state": 2, "listing": "PHONE", "quantity": 1, "price": "100.00"}],
        },
        "orderlines", "order_id", "id", "quantity", "date_modification",
        {"id": 19, "state": 2, "listing": "", "price": "-10.00", "quantity": 1}, {"state": 4},
    ),
    "mirakl": Form(
        {
            "order_id": "1", "order_state": "SHIPPING", "created_date": at(minutes=-10),
            "last_updated_date": at(minutes=-10), "currency_iso_code": "EUR", "price": 100.0,
            "order_lines": [
                {"order_line_id": "11", "order_line_state": "SHIPPING", "offer_sku": "PHONE", "quantity": 1, "price": 100}
            ],
        },
        "order_lines", "order_id", "order_line_id", "quantity", "last_updated_date",
        {"order_line_id": "19", "order_line_state": "SHIPPING", "offer_sku": "", "price": -10, "quantity": 1},
        {"order_line_state": "CANCELED"},
    ),
    "refurbed": Form(
        {
            "id": "1", "released_at": at(minutes=-10), "state": "ACCEPTED", "currency_code": "EUR",
            "total_charged": "100.00",
            "items": [
                {
                    "id": "11", "state": "ACCEPTED", "sku": "PHONE", "currency_code": "EUR", "total_charged": "100.00",
                    "offer_data": {"offer_id": "7"},
                }
            ],
        },
        "items", "id", "id", None, None,
        {"id": "19", "state": "ACCEPTED", "currency_code": "EUR", "total_charged": "-10.00"}, {"state": "CANCELLED"},
    ),
    "medusa": Form(
        {
            "id": "1", "status": "pending", "payment_status": "captured", "fulfillment_status": "not_fulfilled",
            "created_at": at(minutes=-10), "updated_at": at(minutes=-10), "currency_code": "eur",
            "items": [
                {
                    "id": "11", "quantity": 1, "variant_sku": "PHONE", "variant_id": "v1", "raw_total": {"value": "100"},
                    "detail": {"shipped_quantity": 0, "delivered_quantity": 0, "return_received_quantity": 0},
                }
            ],
        },
        "items", "id", "id", "quantity", "updated_at",
        {"id": "19", "quantity": 1, "title": "Store credit", "raw_total": {"value": "-10"}}, {},
        {"status": "canceled"},
    ),
}  # fmt: skip
PATHS = {
    "back_market": "/ws/orders", "mirakl": "/api/orders", "refurbed": "/refb.merchant.v1.OrderService/ListOrders",
    "medusa": "/admin/orders",
}  # fmt: skip


class Shop:
    """A marketplace whose list of orders is one page, and that knows no order by its id."""

    def __init__(self, marketplace: str, account_of: Callable[[str], SellerAccount], connection: Connection) -> None:
        self.marketplace = marketplace
        self.form = copy.deepcopy(FORMS[marketplace])
        self.records: list[str] = []
        self.hours_ahead = 0
        """How far its clock is ahead of ours."""
        self.connection = connection
        self._account_of = account_of

    def sync(self, *records: Record | str, sync_type: str = "new") -> PassSummary:
        """A pass over these records (JSON, or what is to stand for it), and the stock job."""
        self.records = [record if isinstance(record, str) else json.dumps(record) for record in records]
        with served(Starlette(routes=[Route(PATHS[self.marketplace], self._list, methods=["GET", "POST"])])) as url:
            summary = sync(self._account_of(url), sync_type)
        apply_pending(StockConnection(self.connection))
        check_invariants(self.connection)
        return summary

    def locks(self) -> Mapping[str, str]:
        """The state of each item's lock, by item id."""
        return dict(self.connection.execute("SELECT item_id, state FROM stock_locks").fetchall())

    def items(self) -> Mapping[str, tuple[str, int]]:
        """The status and quantity of each stored item, by item id."""
        rows = self.connection.execute("SELECT item_id, status, quantity FROM order_items")
        return {item_id: (status, quantity) for item_id, status, quantity in rows}

    def orders(self) -> list[str]:
        return [key for (key,) in self.connection.execute("SELECT order_id FROM orders ORDER BY 1")]

    def rejected(self) -> list[str]:
        """The keys of the records that are rejected now."""
        rows = self.connection.execute("SELECT record_id FROM rejected_records WHERE resolved_at IS NULL ORDER BY 1")
        return [key for (key,) in rows]

    async def _list(self, request: Request) -> Response:
        is_first = request.query_params.get("page", "1") == "1" and request.query_params.get("offset", "0") == "0"
        body = await request.body()
        found = self.records if is_first and b"starting_after" not in body else []
        if "order_ids" in request.query_params:
            found = []
        name = "results" if self.marketplace == "back_market" else "orders"
        count = len(self.records)
        others = {"count": count, "total_count": count, "next": None, "has_more": False}
        page = json.dumps(others)[:-1] + f', "{name}": [{", ".join(found)}]}}'
        now = format_datetime(datetime.now(UTC) + timedelta(hours=self.hours_ahead), usegmt=True)
        return Response(page, media_type="application/json", headers={"Date": now})


@contextmanager
def open_shop(marketplace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("ODD_RECORDS_TOKEN", "secret")

    def account(url: str) -> SellerAccount:
        limits = {"enforced": False, "connections": 2, "outage_minutes": 0}
        attributes = {"marketplace": marketplace, "base_url": url, "token": "ODD_RECORDS_TOKEN", "limits": limits}
        return account_from("odd", attributes, "defs/accounts/odd/defs.yaml")

    import_levels(StockConnection(connection), {"PHONE": 100})
    yield Shop(marketplace, account, connection)


SKU_KEYS = {"back_market": "listing", "mirakl": "offer_sku", "refurbed": "sku", "medusa": "variant_sku"}
"""The name of a line's SKU."""
CREATED_KEYS = {
    "back_market": "date_creation", "mirakl": "created_date", "refurbed": "released_at", "medusa": "created_at",
}  # fmt: skip
"""The name of an order's creation time."""
