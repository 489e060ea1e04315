"""Lists whose length, page size or depth is not as published, in each adapter that is paged by numbers or offsets.

A real HTTP server lists small records in each contract's form, and lies where a test says so.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import OrderListing
from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.testing.http_server import served

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class OddShop:
    """A list of orders, one created each minute, oldest first, and how its answers differ from what is published."""

    orders: int
    count: int | None = None
    """What it says is its length, at most; None: the truth."""
    page_cap: int = 1000
    """How many records it gives at most, whatever page size is requested."""
    depth: int = 1_000_000
    """The first position that it refuses to list from."""
    odd_times: Mapping[int, str] = field(default_factory=dict[int, str])
    """The creation times that some orders have in the answers, though the list is sorted and filtered by the true ones."""
    twice: bool = False
    """Whether it lists every order twice, the second time in a newer version, and counts both."""
    calls: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ws/orders", self._back_market),
                Route("/api/orders", self._mirakl),
                Route("/admin/orders", self._medusa),
            ]
        )

    def _found(self, since: str | None, offset: int, size: int) -> tuple[list[dict[str, Any]], int, bool]:
        """The records of a page, what is said to be the list's length, and whether more follow."""
        first = 0 if since is None else int((datetime.fromisoformat(since) - START).total_seconds() // 60)
        rows = [number for number in range(max(0, first), self.orders) for _ in range(1 + self.twice)]
        page = [
            {"number": number, "at": self._created(number), "version": position % 2}
            for position, number in list(enumerate(rows))[offset : offset + min(size, self.page_cap)]
        ]
        count = len(rows) if self.count is None else min(self.count, len(rows))
        return page, count, offset + len(page) < len(rows)

    def _created(self, number: int) -> str:
        return self.odd_times.get(number, (START + timedelta(minutes=number)).isoformat())

    def _back_market(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.calls.append(query)
        size = min(int(query["page-size"]), self.page_cap)
        page = int(query["page"])
        offset = (page - 1) * size
        if offset >= self.depth:
            return JSONResponse({"errors": [{"code": "too_deep", "message": "no"}]}, 400)
        found, count, more = self._found(query.get("date_creation"), offset, size)
        link = f"https://shop.example.com/ws/orders?page={page + 1}"
        records = [{"order_id": r["number"], "date_creation": r["at"], "state": r["version"]} for r in found]
        return JSONResponse({"count": count, "next": link if more else None, "results": records})

    def _mirakl(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.calls.append(query)
        offset = int(query["offset"])
        if offset >= self.depth:
            return JSONResponse({"errors": [{"code": "too_deep", "message": "no"}]}, 400)
        found, count, _ = self._found(query.get("start_date"), offset, int(query["max"]))
        records = [
            {"order_id": str(r["number"]), "created_date": r["at"], "last_updated_date": r["at"], "v": r["version"]}
            for r in found
        ]
        return JSONResponse({"total_count": count, "orders": records})

    def _medusa(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.calls.append(query)
        offset = int(query["offset"])
        if offset >= self.depth:
            return JSONResponse({"code": "too_deep", "type": "invalid_data", "message": "no"}, 400)
        found, count, _ = self._found(query.get("created_at[$gte]"), offset, int(query["limit"]))
        records = [
            {"id": str(r["number"]), "created_at": r["at"], "updated_at": r["at"], "v": r["version"]} for r in found
        ]
        return Response(json.dumps({"count": count, "orders": records}), media_type="application/json")


@contextmanager
def account_at(shop: OddShop, marketplace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SellerAccount]:
    monkeypatch.setenv("ODD_SHOP_TOKEN", "secret")
    with served(shop.app()) as url:
        attributes = {
            "marketplace": marketplace,
            "base_url": url,
            "token": "ODD_SHOP_TOKEN",
            "limits": {"enforced": False, "connections": 2},
        }
        yield account_from("odd", attributes, "defs/accounts/odd/defs.yaml")


def read(account: SellerAccount, listing: OrderListing = "created", page_size: int = 50) -> set[str]:
    with closing(open_adapter(account, page_size=page_size)) as adapter:
        return {record.record_id for page in adapter.orders(listing, START) for record in page}


def ids(count: int) -> set[str]:
    return {str(number) for number in range(count)}


@pytest.fixture(params=["back_market", "mirakl", "medusa"])
def marketplace(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    "shop",
    [
        OddShop(150, count=0),
        OddShop(175, count=50),
        OddShop(175, count=100),
        OddShop(150, page_cap=20),
        OddShop(150, page_cap=20, count=60),
        OddShop(30, twice=True),
        OddShop(120, twice=True),
    ],
    ids=["count 0", "count 50", "count 100", "pages of 20", "pages of 20, count 60", "twice", "twice on several pages"],
)
def test_a_list_is_read_whole(marketplace: str, shop: OddShop, monkeypatch: pytest.MonkeyPatch) -> None:
    with account_at(shop, marketplace, monkeypatch) as account:
        assert read(account) == ids(shop.orders)


def test_a_refused_depth_splits_the_list_by_time(marketplace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = OddShop(230, depth=100)
    with account_at(shop, marketplace, monkeypatch) as account:
        assert read(account) == ids(230)
    assert len(shop.calls) <= 10


@pytest.mark.parametrize("odd_time", ["2099-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "soon"])
@pytest.mark.parametrize("odd", [0, 49, 50, 99, 110], ids=lambda position: f"order {position}")
def test_an_odd_time_of_one_order_does_not_decide_where_a_list_is_split(
    marketplace: str, odd: int, odd_time: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OddShop(230, depth=100, odd_times={odd: odd_time})
    with account_at(shop, marketplace, monkeypatch) as account:
        assert read(account) == ids(230)


def test_orders_of_one_moment_that_are_too_many_for_the_depth_are_an_error(
    marketplace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OddShop(230, depth=0)
    shop.depth = 1
    monkeypatch.setattr(
        shop, "_found", lambda *_: ([{"number": 1, "at": START.isoformat(), "version": 0}] * 50, 230, True)
    )
    with account_at(shop, marketplace, monkeypatch) as account:
        reason = "400: .*too_deep.* refuses page 2 of its list after 1 records, which are kept; the list can't be split"
        with pytest.raises(IncompleteListError, match=reason):
            read(account)


@pytest.mark.parametrize("orders", [0, 30, 130])
def test_a_list_that_is_as_published_costs_no_call_more(
    marketplace: str, orders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OddShop(orders)
    with account_at(shop, marketplace, monkeypatch) as account:
        assert read(account) == ids(orders)
    assert len(shop.calls) == max(1, -(-orders // 50))


def test_a_list_that_ends_with_a_full_page_costs_one_call_more_where_no_next_page_is_named(
    marketplace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OddShop(100)
    with account_at(shop, marketplace, monkeypatch) as account:
        assert read(account) == ids(100)
    assert len(shop.calls) == (2 if marketplace == "back_market" else 3)
