"""Odd records of every adapter, over HTTP into the database and the stock: each order that can ship is stored and locked.

A real HTTP server lists small records in each contract's form.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

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
def _shop(marketplace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("ODD_RECORDS_TOKEN", "secret")

    def account(url: str) -> SellerAccount:
        limits = {"enforced": False, "connections": 2, "outage_minutes": 0}
        attributes = {"marketplace": marketplace, "base_url": url, "token": "ODD_RECORDS_TOKEN", "limits": limits}
        return account_from("odd", attributes, "defs/accounts/odd/defs.yaml")

    import_levels(StockConnection(connection), {"PHONE": 100})
    yield Shop(marketplace, account, connection)


@pytest.fixture(params=tuple(FORMS))
def shop(request: pytest.FixtureRequest, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with _shop(cast(str, request.param), connection, monkeypatch) as shop:
        yield shop


def _broken(record: Record) -> str:
    return json.dumps(record)[:-1] + ', "total": 12,50}'


@pytest.mark.parametrize("first", ["usable", "unusable"])
@pytest.mark.parametrize("how", ["broken JSON", "a line without its id"])
def test_a_version_that_cannot_be_stored_takes_the_place_of_no_other(shop: Shop, how: str, first: str) -> None:
    """The newest usable one is stored. One that came after it is rejected as well, and the list goes on."""
    good = shop.form.order
    bad = _broken(good) if how == "broken JSON" else shop.form.with_line(**{shop.form.line_id: None})
    summary = shop.sync(*((good, bad) if first == "usable" else (bad, good)))
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})
    assert shop.rejected() == (["1"] if first == "usable" else [])
    assert summary.created == 1


def test_a_version_that_is_right_again_ends_the_rejection(shop: Shop) -> None:
    """Also where it is the stored version: nothing of it is written."""
    shop.sync(shop.form.order, _broken(shop.form.order))
    assert shop.rejected() == ["1"]
    shop.sync(shop.form.order)
    assert shop.rejected() == []


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_older_version_that_is_listed_once_more_does_not_end_a_rejection(shop: Shop, is_stored: bool) -> None:
    """As a cache, or a replica that lags behind, lists it. The newer one is tried again."""
    if shop.form.modified is None:
        pytest.skip("the contract has no such time: each copy counts as it comes")
    older = {**shop.form.order, shop.form.modified: at(minutes=-30)}
    newer = {**shop.form.with_line(**{shop.form.line_id: None}), shop.form.modified: at(minutes=-5)}
    shop.sync(*([older] if is_stored else []), newer, sync_type="modified")
    assert shop.rejected() == ["1"]
    shop.sync(older, sync_type="modified")
    assert (shop.orders(), shop.rejected()) == (["1"], ["1"])
    shop.sync({**shop.form.order, shop.form.modified: at(minutes=-1)}, sync_type="modified")
    assert shop.rejected() == []


def test_a_version_without_lines_takes_the_place_of_no_other_where_the_order_is_not_stored(shop: Shop) -> None:
    sparse = {name: value for name, value in shop.form.order.items() if name != shop.form.lines}
    shop.sync(shop.form.order, sparse)
    assert shop.locks() == {"11": "locked"}


def test_a_record_without_its_own_id_is_filed_under_that_of_no_other_order(shop: Shop) -> None:
    """Not even if one of its lines has the id of an order."""
    nameless = {**shop.form.with_line(**{shop.form.line_id: "1"}), shop.form.order_id: None}
    shop.sync(shop.form.order, nameless)
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})
    [key] = shop.rejected()
    assert key.startswith("hash:")


_QUANTITIES = (-1, 0.5, None, "", [], 1e30)


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_a_discount_needs_no_quantity(shop: Shop, quantity: Any) -> None:
    name = shop.form.quantity or "quantity"
    shop.sync(shop.form.with_lines({**shop.form.discount, name: quantity}))
    assert shop.locks() == {"11": "locked"}
    assert shop.items()["19"] == ("accepted", 0 if shop.form.quantity else 1)


def test_a_discount_without_an_id_is_left_out(shop: Shop) -> None:
    summary = shop.sync(shop.form.with_lines({**shop.form.discount, shop.form.line_id: None}))
    assert (list(shop.items()), shop.locks()) == (["11"], {"11": "locked"})
    assert summary.flawed == 1


def test_a_null_among_the_lines_is_left_out_and_removes_no_stored_item(shop: Shop) -> None:
    [line] = shop.form.order[shop.form.lines]
    shop.sync(shop.form.with_lines({**line, shop.form.line_id: "12"}))
    assert shop.locks() == {"11": "locked", "12": "locked"}
    summary = shop.sync(shop.form.with_lines(None))
    assert shop.locks() == {"11": "locked", "12": "locked"}
    assert summary.flawed == 1


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_a_cancelled_line_without_a_quantity_releases_its_lock(shop: Shop, quantity: Any) -> None:
    shop.sync(shop.form.order)
    shop.sync(shop.form.cancelled_with(**({shop.form.quantity: quantity} if shop.form.quantity else {})))
    assert (shop.items(), shop.locks()) == ({"11": ("cancelled", 1)}, {"11": "released"})


@pytest.mark.parametrize("quantity", _QUANTITIES, ids=repr)
def test_goods_to_be_shipped_need_a_quantity(shop: Shop, quantity: Any) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: quantity}))
    assert (shop.orders(), shop.rejected()) == ([], ["1"])


@pytest.mark.parametrize("hours", [0.2, 20, 23.9])
def test_a_modified_time_ahead_of_the_clock_hides_no_later_version(shop: Shop, hours: float) -> None:
    """Not even one that was modified before the wrong one was read."""
    if shop.form.modified is None:
        pytest.skip("the contract has no modified time")
    before = at(minutes=-1)
    assert shop.sync({**shop.form.order, shop.form.modified: at(hours=hours)}).flawed == 1
    shop.sync({**shop.form.cancelled_with(), shop.form.modified: before})
    assert shop.locks() == {"11": "released"}


def test_a_modified_time_within_the_trust_in_a_clock_is_no_flaw(shop: Shop) -> None:
    if shop.form.modified is None:
        pytest.skip("the contract has no modified time")
    assert shop.sync({**shop.form.order, shop.form.modified: at(minutes=4)}).flawed == 0


@pytest.mark.parametrize("space", [" ", "\t", "\r\n"], ids=repr)
def test_ids_that_differ_only_in_spaces_are_one(shop: Shop, space: str) -> None:
    spaced = {**shop.form.with_line(**{shop.form.line_id: f"{space}11"}), shop.form.order_id: f"1{space}"}
    shop.sync(shop.form.order)
    assert shop.sync(spaced).flawed == 1
    assert (shop.orders(), shop.items()) == (["1"], {"11": ("accepted", 1)})


def test_two_versions_of_which_one_has_spaces_around_its_id_are_one_order(shop: Shop) -> None:
    shop.sync(shop.form.order, {**shop.form.order, shop.form.order_id: " 1"})
    assert (shop.orders(), shop.locks()) == (["1"], {"11": "locked"})


def _with_unix_times(value: Any, milliseconds: bool) -> Any:
    if isinstance(value, dict):
        return {name: _with_unix_times(inner, milliseconds) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_unix_times(inner, milliseconds) for inner in value]
    if isinstance(value, str) and value.endswith("Z"):
        seconds = int(datetime.fromisoformat(value).timestamp())
        return seconds * 1000 if milliseconds else str(seconds)
    return value


@pytest.mark.parametrize("milliseconds", [False, True])
def test_an_order_whose_times_are_unix_times_is_stored_and_locked(shop: Shop, milliseconds: bool) -> None:
    summary = shop.sync(_with_unix_times(shop.form.order, milliseconds))
    assert (shop.orders(), shop.locks(), summary.flawed) == (["1"], {"11": "locked"}, 1)
    rows = shop.connection.execute("SELECT created_at FROM orders").fetchall()
    assert abs(rows[0][0] - datetime.now(UTC)) < timedelta(hours=1)


SKU_KEYS = {"back_market": "listing", "mirakl": "offer_sku", "refurbed": "sku", "medusa": "variant_sku"}


@pytest.mark.parametrize("sku", ["", "   ", None, "left out"])
def test_a_later_copy_without_the_sku_does_not_release_the_lock(shop: Shop, sku: str | None) -> None:
    """Not even where an adapter makes a SKU for items that have none."""
    shop.sync(shop.form.order)
    later = shop.form.with_line(**{SKU_KEYS[shop.marketplace]: sku})
    if sku == "left out":
        del later[shop.form.lines][0][SKU_KEYS[shop.marketplace]]
    if shop.form.modified is not None:
        later[shop.form.modified] = at(minutes=-5)
    shop.sync(later, sync_type="modified")
    assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [("PHONE",)]
    assert shop.connection.execute("SELECT sku, state FROM stock_locks").fetchall() == [("PHONE", "locked")]


CREATED_KEYS = {
    "back_market": "date_creation", "mirakl": "created_date", "refurbed": "released_at", "medusa": "created_at",
}  # fmt: skip


@pytest.mark.parametrize("wrong", [None, "soon", "9999-12-31T00:00:00Z", "left out"])
def test_a_later_copy_without_the_creation_time_still_cancels(shop: Shop, wrong: str | None) -> None:
    """The time is needed to store an order for the first time only."""
    shop.sync(shop.form.order)
    later = {**shop.form.cancelled_with(), CREATED_KEYS[shop.marketplace]: wrong}
    if wrong == "left out":
        del later[CREATED_KEYS[shop.marketplace]]
    if shop.form.modified is not None:
        later[shop.form.modified] = at(minutes=-5)
    summary = shop.sync(later, sync_type="modified")
    assert (summary.rejected, summary.flawed) == (0, 1)
    assert shop.locks() == {"11": "released"}
    assert shop.connection.execute("SELECT created_at < now() FROM orders").fetchall() == [(True,)]


@pytest.mark.parametrize("wrong", [None, "many", "left out"])
def test_a_later_copy_without_the_quantity_keeps_the_one_that_is_known(shop: Shop, wrong: str | None) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: 2}))
    later = shop.form.with_line(**{shop.form.quantity: wrong})
    if wrong == "left out":
        del later[shop.form.lines][0][shop.form.quantity]
    assert shop.form.modified is not None
    later[shop.form.modified] = at(minutes=-5)
    summary = shop.sync(later, shop.form.order | {shop.form.modified: at(minutes=-20)}, sync_type="modified")
    assert (summary.rejected, summary.flawed) == (0, 1)
    assert shop.items() == {"11": ("accepted", 2)}


def test_a_new_item_without_a_quantity_still_rejects_the_copy(shop: Shop) -> None:
    """Nothing is known of it: what to lock can't be guessed."""
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.order)
    [line] = shop.form.order[shop.form.lines]
    later = shop.form.with_lines({**line, shop.form.line_id: "12", shop.form.quantity: None})
    assert shop.form.modified is not None
    later[shop.form.modified] = at(minutes=-5)
    assert shop.sync(later, sync_type="modified").rejected == 1
    assert shop.locks() == {"11": "locked"}


def test_an_order_of_the_future_is_stored_with_a_flaw(shop: Shop) -> None:
    summary = shop.sync({**shop.form.order, CREATED_KEYS[shop.marketplace]: "2099-01-01T00:00:00Z"})
    assert (shop.locks(), summary.flawed) == ({"11": "locked"}, 1)


@pytest.mark.parametrize("odd", ["a\x00b", "\x00", "1\x00"])
def test_an_id_with_a_nul_rejects_its_order_alone(shop: Shop, odd: str) -> None:
    shop.sync({**shop.form.order, shop.form.order_id: odd}, shop.form.order)
    assert (shop.orders(), len(shop.rejected())) == (["1"], 1)


@pytest.mark.parametrize("sku", ["", "   ", None])
@pytest.mark.parametrize(("marketplace", "made"), [("refurbed", "offer-7"), ("medusa", "variant-v1")])
def test_an_item_that_never_had_a_sku_has_one_that_is_made(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, marketplace: str, made: str, sku: str | None
) -> None:
    with _shop(marketplace, connection, monkeypatch) as shop:
        shop.sync(shop.form.with_line(**{SKU_KEYS[marketplace]: sku}))
        assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [(made,)]
        shop.sync({**shop.form.order, shop.form.modified or "note": at(minutes=-5)})
        assert shop.connection.execute("SELECT sku FROM order_items").fetchall() == [("PHONE",)]


@pytest.mark.parametrize("pieces", [1_795_856_400_000, 10**400, -1])
@pytest.mark.parametrize("name", ["shipped_quantity", "delivered_quantity", "return_received_quantity"])
def test_pieces_that_can_not_be_are_a_flaw(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, pieces: int
) -> None:
    with _shop("medusa", connection, monkeypatch) as shop:
        detail = shop.form.order["items"][0]["detail"]
        summary = shop.sync(shop.form.with_line(detail={**detail, name: pieces}))
        assert (shop.locks(), summary.flawed) == ({"11": "locked"}, 1)


def test_a_clock_that_is_hours_behind_lets_no_older_copy_replace_a_newer_one(shop: Shop) -> None:
    """The orders' own times are right: by the marketplace's clock, they would lie in the future."""
    if shop.form.modified is None:
        pytest.skip("the contract has no such time: each copy counts as it comes")
    shop.hours_ahead = -10
    older = {**shop.form.order, shop.form.modified: at(minutes=-30)}
    newer = {**shop.form.cancelled_with(), shop.form.modified: at(minutes=-5)}
    for record in (older, newer, {**older, "note": "the same version, read again"}):
        summary = shop.sync(record, sync_type="modified")
    assert set(shop.locks().values()) == {"released"}
    assert summary.flawed == 0


def test_an_order_whose_states_are_written_in_another_way_is_locked(shop: Shop) -> None:
    """Texts only: Back Market's states are numbers."""

    def spelled(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f" {inner.swapcase()}\n" if isinstance(inner, str) and ("state" in name or "status" in name) else
                spelled(inner)
                for name, inner in value.items()
            }  # fmt: skip
        return [spelled(inner) for inner in value] if isinstance(value, list) else value

    summary = shop.sync(spelled(shop.form.order))
    assert (shop.locks(), summary.flawed) == ({"11": "locked"}, int(shop.marketplace != "back_market"))


def test_a_quantity_that_is_a_number_to_python_alone_locks_nothing(shop: Shop) -> None:
    if shop.form.quantity is None:
        pytest.skip("every line is one piece")
    shop.sync(shop.form.with_line(**{shop.form.quantity: "1_0"}))
    assert (shop.orders(), shop.rejected()) == ([], ["1"])
