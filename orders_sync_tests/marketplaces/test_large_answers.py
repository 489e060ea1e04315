"""Answers that are too large, over real HTTP: they are read in smaller pages, and a single order is put off by itself."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.json_repair import MAX_VALUES
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.http_server import served
from orders_sync.testing.machine_speed import slowness
from orders_sync.testing.marketplace import sync
from orders_sync_tests.marketplaces.scripted_shop import (
    LISTS,
    MARKETPLACES,
    Query,
    ScriptedShop,
    an_order_at,
    minutes_ago,
)

TOO_LARGE = "x" * 1_100_000
TOO_MANY = "[" * MAX_VALUES + "]" * MAX_VALUES
COUNT = 12
PUT_OFF = "fetched: the answer is too large (limits.answer_megabytes)"
CARE = {
    "refurbed": (
        "/refb.merchant.v1.OrderItemReturnService/ListOrderItemReturns", "returns",
        {"order_item_id": "11", "state": "INITIATED", "return_initiated_at": minutes_ago(9)},
    ),
    "medusa": (
        "/admin/returns", "returns",
        {"status": "requested", "created_at": minutes_ago(9), "items": [{"item_id": "11", "quantity": 1}]},
    ),
}  # fmt: skip
"""The path of the list of returns, the list's name, and a return without its id."""


class LargeShop(ScriptedShop):
    """A shop that pages its list of orders, whose numbers are also their ids, as the contract says."""

    odd: dict[int, str]
    """JSON of a field `note` that nobody reads, by the numbers of orders."""

    def __init__(self, marketplace: str) -> None:
        super().__init__(marketplace, answer=self._paged)
        self.odd = {}
        self.without_id = 0
        """The number of an order that is too large, with its id at its end."""

    def _json(self, number: int) -> str:
        record = json.dumps(an_order_at(self.marketplace, number))
        if number == self.without_id:
            return f'{{"note": {json.dumps(TOO_LARGE)}, {record[1:]}'
        return record if number not in self.odd else f'{record[:-1]}, "note": {self.odd[number]}}}'

    def _paged(self, path: str, query: Query) -> object:
        if path == LISTS[self.marketplace]:
            return self._page(query)
        number = query.get("id") or path.rpartition("/")[2]
        if not str(number).isdecimal() or not 1 <= int(number) <= COUNT:
            return None
        one = self._json(int(number))
        return f'{{"order": {one}}}' if self.marketplace in ("refurbed", "medusa") else one

    def _page(self, query: Query) -> str:
        match self.marketplace:
            case "back_market":
                size = int(query["page-size"])
                begin = (int(query["page"]) - 1) * size
            case "refurbed":
                size, begin = query["pagination"]["limit"], int(query["pagination"].get("starting_after", 0))
            case _:
                size, begin = int(query.get("max") or query.get("limit") or 1), int(query.get("offset", 0))
        numbers = [int(query["order_ids"])] if "order_ids" in query else range(begin + 1, min(begin + size, COUNT) + 1)
        count = 0 if self._lists_others(query) else COUNT
        found = "[" + ", ".join(map(self._json, numbers if count else [])) + "]"
        more = begin + size < count
        match self.marketplace:
            case "back_market":
                following = json.dumps(f"?page={begin // size + 2}" if more else None)
                return f'{{"count": {count}, "next": {following}, "results": {found}}}'
            case "refurbed":
                return f'{{"orders": {found}, "has_more": {json.dumps(more)}}}'
            case "mirakl":
                return f'{{"orders": {found}, "total_count": {count}}}'
            case _:
                return f'{{"orders": {found}, "count": {count}}}'

    def _lists_others(self, query: Query) -> bool:
        """Whether the list is one of a state, which has none of the orders."""
        names = ("state", "order_state_codes", "created_at[$lt]")
        return any(name in query for name in names) or "state" in query.get("filter", {})


@pytest.fixture(params=MARKETPLACES)
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LargeShop:
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    return LargeShop(request.param)


@pytest.fixture
def account(shop: LargeShop) -> Iterator[SellerAccount]:
    with served(shop.app()) as url:
        attributes: dict[str, Any] = {
            "marketplace": shop.marketplace, "base_url": url, "token": "SCRIPTED_SHOP_TOKEN",
            "limits": {"enforced": False, "connections": 2, "outage_minutes": 0, "answer_megabytes": 1},
        }  # fmt: skip
        yield account_from("shop", attributes, "defs/accounts/shop/defs.yaml")


def stored(connection: Connection) -> list[int]:
    return sorted(int(order_id) for (order_id,) in connection.execute("SELECT order_id FROM orders"))


def rejected(connection: Connection) -> dict[str, str]:
    rows = connection.execute("SELECT record_id, reasons[0] ->> 'what' FROM rejected_records WHERE resolved_at IS NULL")
    return dict(rows.fetchall())


@pytest.mark.parametrize("what", [TOO_LARGE, TOO_MANY], ids=["a long text", "many brackets"])
def test_an_order_that_is_too_large_is_put_off_and_stored_once_it_is_smaller(
    shop: LargeShop, account: SellerAccount, connection: Connection, what: str
) -> None:
    shop.odd[5] = what if what == TOO_MANY else json.dumps(what)
    summary = sync(account, "new")
    others = [number for number in range(1, COUNT + 1) if number != 5]
    assert (stored(connection), summary.put_off, summary.rejected) == (others, 1, 0)
    assert summary.is_partial
    assert summary.watermark is not None
    assert summary.problems == [
        "order 5 put off: record could not be fetched: the answer is too large (limits.answer_megabytes)"
    ]
    assert list(rejected(connection)) == ["5"]
    again = sync(account, "new")
    assert (again.put_off, again.rejected, list(rejected(connection))) == (1, 0, ["5"])
    shop.odd.clear()
    assert sync(account, "new").created == 1
    assert (stored(connection), rejected(connection)) == (list(range(1, COUNT + 1)), {})


def test_orders_that_are_too_large_together_are_all_stored(
    shop: LargeShop, account: SellerAccount, connection: Connection
) -> None:
    shop.odd = {number: json.dumps("x" * 400_000) for number in range(1, COUNT + 1)}
    summary = sync(account, "new")
    assert (stored(connection), summary.put_off) == (list(range(1, COUNT + 1)), 0)


@pytest.mark.parametrize("position", [1, COUNT])
def test_the_first_or_last_order_of_the_list_may_be_too_large(
    shop: LargeShop, account: SellerAccount, connection: Connection, position: int
) -> None:
    shop.odd[position] = json.dumps(TOO_LARGE)
    summary = sync(account, "modified")
    assert stored(connection) == [number for number in range(1, COUNT + 1) if number != position]
    assert summary.put_off == 1


def test_an_order_whose_id_is_not_in_its_beginning_is_put_off_without_it(
    shop: LargeShop, account: SellerAccount, connection: Connection
) -> None:
    """Where the next page begins after an id, the pass fails instead, and says what to do."""
    shop.without_id = 5
    if shop.marketplace == "refurbed":
        with pytest.raises(PassFailedError, match=r"its beginning has no id, .* Set limits\.answer_megabytes"):
            sync(account, "new")
        assert stored(connection) == [1, 2, 3, 4]
        return
    for _ in range(3):
        summary = sync(account, "new")
        assert (len(stored(connection)), summary.put_off, summary.rejected) == (COUNT - 1, 1, 0)
        assert [(key[:5], what) for key, what in rejected(connection).items()] == [("hash:", f"could not be {PUT_OFF}")]
    shop.without_id = 0
    summary = sync(account, "new")
    assert (stored(connection), summary.put_off) == (list(range(1, COUNT + 1)), 0)


def test_a_care_record_that_is_too_large_is_put_off_and_stored_once_it_is_smaller(
    shop: LargeShop, account: SellerAccount, connection: Connection
) -> None:
    if shop.marketplace not in CARE:
        pytest.skip("the contract has no page size for this list, or its pages name the next one")
    path, name, case = CARE[shop.marketplace]
    notes = [None, TOO_LARGE, None]

    def answer(requested: str, query: Query) -> object:
        size = query["pagination"]["limit"] if "pagination" in query else int(query.get("limit", 0))
        after = query.get("pagination", {}).get("starting_after") or query.get("offset", 0)
        cases = [{**case, "id": str(number), "note": note} for number, note in enumerate(notes, 1)]
        found = cases[int(after) : int(after) + size] if requested == path else []
        names = ("returns", "claims", "exchanges", "tickets")
        count = len(cases) if requested == path else 0
        return {each: found if each == name else [] for each in names} | {
            "count": count,
            "has_more": len(found) == size,
        }

    shop.answer = answer
    for _ in range(2):
        summary = sync(account, "care")
        assert (summary.put_off, summary.rejected) == (1, 0)
        assert list(rejected(connection).values()) == [f"could not be {PUT_OFF}"]
        assert connection.execute("SELECT count(*) FROM care_records").fetchone() == (2,)
    notes[1] = None
    sync(account, "care")
    assert connection.execute("SELECT count(*) FROM care_records").fetchone() == (3,)
    assert rejected(connection) == {}


def test_ten_megabytes_of_brackets_take_little_cpu_time(
    shop: LargeShop, account: SellerAccount, connection: Connection
) -> None:
    account.settings.limits.answer_megabytes = 20
    account.settings.limits.connections = 1  # all of the work is done in this thread
    shop.odd[5] = "[" * 5_000_000 + "]" * 5_000_000
    began = time.thread_time()
    sync(account, "new")
    assert len(stored(connection)) == COUNT - 1
    assert time.thread_time() - began < 2 * slowness()
