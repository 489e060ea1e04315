"""Where a list ends, in each adapter: no odd id, end marker, link or length hides a record, and an error says why.

A real HTTP server lists small records in each contract's form, with what a test says in the place of one value.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.marketplaces.kit.adapter import Adapter, MissingDocuments, OrderDocuments, RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError
from orders_sync.marketplaces.kit.registry import open_adapter
from orders_sync.sync.put_off import OtherRecordError, fetch_order
from orders_sync.testing.http_server import served
from orders_sync_tests.marketplaces.scripted_shop import MARKETPLACES, ScriptedShop, an_order_at
from orders_sync_tests.marketplaces.scripted_shop import account_at as scripted_account_at

SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
AT = (SINCE + timedelta(hours=1)).isoformat()
NESTED_ID = "999"
"""The id of each record's line: never that of the record."""
LEFT_OUT = ""


@dataclass(frozen=True)
class Contract:
    """How one list of a marketplace is paged."""

    path: str
    read: Callable[[Adapter], Iterator[list[RawRecord]]]
    records: str
    """The key of the list of records."""
    record_id: str
    """The key of a record's id."""
    page: Callable[[Mapping[str, Any]], tuple[int, int]]
    """The position of a page's first record, and how many records it has, by the request."""
    length: str | None = None
    """The key of the list's length."""
    end: str | None = None
    """The key of what names the next page, or says whether there is one."""
    end_of: Callable[[int, int, bool], Any] = lambda begin, size, more: more
    """Its value by the page's first position, its size, and whether records follow."""


def orders(adapter: Adapter) -> Iterator[list[RawRecord]]:
    return adapter.orders("created", SINCE)


def care(adapter: Adapter) -> Iterator[list[RawRecord]]:
    return adapter.care_records(SINCE)


def _of_numbered(size: int) -> Callable[[Mapping[str, Any]], tuple[int, int]]:
    return lambda query: ((int(query["page"]) - 1) * size, size)


def _of_offset(name: str) -> Callable[[Mapping[str, Any]], tuple[int, int]]:
    return lambda query: (int(query["offset"]), int(query[name]))


def _after_id(body: Mapping[str, Any]) -> tuple[int, int]:
    pagination = body["pagination"]
    return int(pagination.get("starting_after", 0)), pagination["limit"]


def _link(begin: int, size: int, more: bool) -> str | None:
    return f"https://shop.example.com/list?page={begin // size + 2}" if more else None


def _token(begin: int, size: int, more: bool) -> str | None:
    return str(begin + size) if more else None


SERVICE = "/refb.merchant.v1"
CONTRACTS: Mapping[str, Contract] = {
    "back_market orders": Contract(
        "/ws/orders", orders, "results", "order_id", _of_numbered(5), "count", "next", _link
    ),
    "back_market care": Contract("/ws/sav", care, "results", "id", _of_numbered(5), None, "next", _link),
    "mirakl orders": Contract("/api/orders", orders, "orders", "order_id", _of_offset("max"), "total_count"),
    "mirakl returns": Contract(
        "/api/returns", care, "data", "id", lambda query: (int(query.get("page_token", 0)), 5), None,
        "next_page_token", _token,
    ),
    "medusa orders": Contract("/admin/orders", orders, "orders", "id", _of_offset("limit"), "count"),
    "medusa claims": Contract("/admin/claims", care, "claims", "id", _of_offset("limit"), "count"),
    "refurbed orders": Contract(
        f"{SERVICE}.OrderService/ListOrders", orders, "orders", "id", _after_id, None, "has_more"
    ),
    "refurbed returns": Contract(
        f"{SERVICE}.OrderItemReturnService/ListOrderItemReturns", care, "returns", "id", _after_id, None, "has_more"
    ),
    "refurbed tickets": Contract(
        f"{SERVICE}.TicketService/ListTickets", care, "tickets", "id", _after_id, None, "has_more"
    ),
}  # fmt: skip
EMPTY = {
    "/admin/returns": {"returns": [], "count": 0},
    "/admin/exchanges": {"exchanges": [], "count": 0},
    "/admin/claims": {"claims": [], "count": 0},
}
COUNTED = [name for name, contract in CONTRACTS.items() if contract.length]
AFTER_IDS = [name for name in CONTRACTS if name.startswith("refurbed")]
LINKED = [name for name in CONTRACTS if name.startswith("back_market")]


@dataclass
class Shop:
    """A list of records 1, 2, 3 and so on. The texts are JSON, or what stands for it; "" leaves the value out."""

    contract: Contract
    count: int
    odd_ids: Mapping[int, str] = field(default_factory=dict[int, str])
    """What some records have for their id."""
    end: str | None = None
    """What each page has for its end marker or link; None: the truth."""
    length: str | None = None
    """Likewise for the list's length."""
    no_page_after: bool = False
    """Whether it answers with 404 after the last page, instead of an empty one."""
    calls: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    async def answer(self, request: Request) -> Response:
        path, contract = request.url.path, self.contract
        if path != contract.path:
            return _response(EMPTY.get(path, {}))
        body = await request.body()
        query: Mapping[str, Any] = json.loads(body) if body else dict(request.query_params)
        self.calls.append(query)
        begin, size = contract.page(query)
        numbers = range(begin + 1, min(begin + size, self.count) + 1)
        if self.no_page_after and not numbers and begin:
            return _response({"code": "not_found"}, 404)
        page: dict[str, Any] = {contract.records: [self._record(number) for number in numbers]}
        if contract.length is not None:
            page[contract.length] = self.count if self.length is None else _Text(self.length)
        if contract.end is not None:
            more = begin + size < self.count
            page[contract.end] = contract.end_of(begin, size, more) if self.end is None else _Text(self.end)
        return _response(page)

    def _record(self, number: int) -> dict[str, Any]:
        key = self.contract.record_id
        own = _Text(self.odd_ids[number]) if number in self.odd_ids else str(number)
        times = dict.fromkeys(
            ["created_at", "updated_at", "date_creation", "date_modification", "created_date", "last_updated_date",
             "date_created", "last_updated", "released_at", "return_initiated_at"], AT,
        )  # fmt: skip
        lines = [{key: NESTED_ID, "item_id": NESTED_ID, "quantity": 1}]
        # The lines come first: a search for the id in the text finds theirs.
        return {"lines": lines, "marketplace_order_item": {key: NESTED_ID}, "claim_items": lines, key: own,
                "number": number, **times}  # fmt: skip


class _Text(str):
    """A text that stands in the answer as it is."""


def _response(value: Any, status: int = 200) -> Response:
    return Response(_json(value), status, media_type="application/json")


def _json(value: Any) -> str:
    if isinstance(value, _Text):
        return value
    if isinstance(value, dict):
        pairs: Mapping[str, Any] = value
        return "{" + ", ".join(f'"{k}": {_json(v)}' for k, v in pairs.items() if v != _Text(LEFT_OUT)) + "}"
    if isinstance(value, list):
        elements: list[Any] = value
        return "[" + ", ".join(map(_json, elements)) + "]"
    return json.dumps(value)


@contextmanager
def account_at(shop: Shop, marketplace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SellerAccount]:
    monkeypatch.setenv("ODD_SHOP_TOKEN", "secret")
    app = Starlette(routes=[Route("/{path:path}", shop.answer, methods=["GET", "POST"])])
    with served(app) as url:
        limits = {"enforced": False, "connections": 2, "outage_minutes": 0}
        attributes = {"marketplace": marketplace, "base_url": url, "token": "ODD_SHOP_TOKEN", "limits": limits}
        yield account_from("odd", attributes, "defs/accounts/odd/defs.yaml")


@contextmanager
def opened(name: str, shop: Shop, monkeypatch: pytest.MonkeyPatch, page_size: int = 5) -> Iterator[Adapter]:
    with (
        account_at(shop, name.split()[0], monkeypatch) as account,
        closing(open_adapter(account, page_size=page_size)) as adapter,
    ):
        yield adapter


def numbers_of(records: Iterator[list[RawRecord]]) -> set[int]:
    """The numbers of the records, whatever their ids are."""
    return {_number(record) for page in records for record in page}


def _number(record: RawRecord) -> int:
    found = re.search(rb'"number": (\d+)', record.raw)
    assert found is not None
    return int(found.group(1))


def whole(shop: Shop) -> set[int]:
    return set(range(1, shop.count + 1))


ODD_IDS = {
    "null": "null", "left out": LEFT_OUT, "an object": f'{{"id": "{NESTED_ID}"}}', "a list": f'["{NESTED_ID}"]',
    "half an emoji": r'"3\ud83d"', "true": "true", "an empty text": '""', "no JSON": "?,,",
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD_IDS.values(), ids=ODD_IDS)
@pytest.mark.parametrize("name", CONTRACTS)
def test_a_record_without_a_certain_id_hides_no_other_and_gets_no_other_id(
    name: str, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the last of a full page, where it would be the cursor; the page after the next has two of them."""
    shop = Shop(CONTRACTS[name], 14, {5: odd, 14: odd, 13: odd})
    with opened(name, shop, monkeypatch) as adapter:
        found = [record for page in CONTRACTS[name].read(adapter) for record in page]
    assert {_number(record) for record in found} == whole(shop)
    assert not [record.record_id for record in found if NESTED_ID in record.record_id]
    assert {record.record_id for record in found if _number(record) in shop.odd_ids} == {""}


@pytest.mark.parametrize("name", ["refurbed orders"])
def test_a_page_without_a_certain_id_is_requested_again_with_more_records(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], 14, dict.fromkeys(range(1, 6), "null"))
    with opened(name, shop, monkeypatch) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)


@pytest.mark.parametrize("name", AFTER_IDS)
def test_the_largest_page_without_a_certain_id_is_an_error_that_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], 120, dict.fromkeys(range(1, 101), "null"))
    with (
        opened(name, shop, monkeypatch) as adapter,
        pytest.raises(IncompleteListError, match=r"None of the 100 records on page 1 .* has an id that can be read"),
    ):
        numbers_of(CONTRACTS[name].read(adapter))


@pytest.mark.parametrize("end", ['"yes"', "{}", "[]", "2", '"TRUE"', "True", "NaN", "yes"])
@pytest.mark.parametrize("count", [110, 200])
@pytest.mark.parametrize("name", AFTER_IDS)
def test_an_end_marker_that_can_not_be_read_is_no_end(
    name: str, count: int, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], count, end=end)
    with opened(name, shop, monkeypatch, page_size=100) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)
    assert len(shop.calls) == 3  # the last one is empty


@pytest.mark.parametrize("end", ["null", LEFT_OUT])
@pytest.mark.parametrize("count", [100, 130, 200])
@pytest.mark.parametrize("name", AFTER_IDS)
def test_no_end_marker_on_a_full_page_is_no_end(
    name: str, count: int, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], count, end=end)
    with opened(name, shop, monkeypatch, page_size=100) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)
    assert len(shop.calls) == count // 100 + 1


@pytest.mark.parametrize("end", ["null", LEFT_OUT, "false"])
@pytest.mark.parametrize("name", AFTER_IDS)
def test_no_end_marker_on_a_page_that_is_not_full_is_the_end(
    name: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], 7, end=end)
    with opened(name, shop, monkeypatch, page_size=100) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)
    assert len(shop.calls) == 1


@pytest.mark.parametrize("end", ["true", "2", "{}", '{"page": 2}', '["?page=2"]', '"?last_id=10"', '"?Page=2"'])
@pytest.mark.parametrize("no_page_after", [False, True])
@pytest.mark.parametrize("name", LINKED)
def test_a_link_that_can_not_be_read_is_no_end(
    name: str, end: str, no_page_after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], 12, end=end, length="null", no_page_after=no_page_after)
    with opened(name, shop, monkeypatch) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)


@pytest.mark.parametrize("token", ["true", "{}", "[]", '{"token": "5"}', "1.5"])
def test_a_page_token_that_can_not_be_read_is_an_error_after_the_records(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("mirakl returns", Shop(CONTRACTS["mirakl returns"], 7, end=token), monkeypatch) as adapter:
        pages = adapter.care_records(SINCE)
        assert [_number(record) for record in next(pages)] == [1, 2, 3, 4, 5]
        with pytest.raises(IncompleteListError, match="by a value that is neither text nor null"):
            next(pages)


@pytest.mark.parametrize(
    "length",
    ["null", LEFT_OUT, '""', '"abc"', "-1", "1.5", "[]", "{}", "true", "NaN", "1e999", "1" * 30, "1" * 400, "1" * 6000],
    ids=lambda length: length[:10] + f" ({len(length)})",
)
@pytest.mark.parametrize("count", [0, 5, 12])
@pytest.mark.parametrize("name", COUNTED)
def test_a_length_that_is_no_number_is_unknown_and_no_error(
    name: str, count: int, length: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], count, length=length)
    with opened(name, shop, monkeypatch) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == whole(shop)


@pytest.mark.parametrize("length", ["1000", '"1000"', "1e15"])
@pytest.mark.parametrize("name", COUNTED)
def test_a_length_beside_an_empty_list_is_wrong_and_no_error(
    name: str, length: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(CONTRACTS[name], 0, length=length)
    with opened(name, shop, monkeypatch) as adapter:
        assert numbers_of(CONTRACTS[name].read(adapter)) == set()


@pytest.mark.parametrize("end", ['"?page=1"', '"?page=0"'])
def test_deliveries_that_lead_back_are_the_error_of_their_order_and_not_a_loop(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = Contract("/ws/shipping/v1/deliveries", orders, "results", "order", _of_numbered(5), None, "next")
    shop = Shop(deliveries, 12, end=end)
    with opened("back_market", shop, monkeypatch) as adapter:
        [(_, answer)] = adapter.documents([MissingDocuments("1", delivery_note=False, label=True)])
    assert isinstance(answer, OrderDocuments)
    assert "Page 1 of an order's deliveries names page" in str(answer.problems[0])
    assert len(shop.calls) == 1


@pytest.mark.parametrize("end", ["2", "true", '"?last_id=10"'])
def test_deliveries_whose_link_can_not_be_read_are_read_to_an_empty_page(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = Contract("/ws/shipping/v1/deliveries", orders, "results", "order", _of_numbered(5), None, "next")
    shop = Shop(deliveries, 12, end=end)
    with opened("back_market", shop, monkeypatch) as adapter:
        [(_, labels)] = adapter.documents([MissingDocuments("12", delivery_note=False, label=True)])
    assert isinstance(labels, OrderDocuments)
    assert (len(labels.found), labels.problems) == (1, ())


@pytest.mark.parametrize("marketplace", MARKETPLACES)
@pytest.mark.parametrize("other", [2, None], ids=["another order", "no id"])
def test_an_answer_with_another_order_does_not_say_that_an_order_is_gone(
    marketplace: str, other: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirakl filters a list by the id: it may ignore the filter."""
    monkeypatch.setenv("SCRIPTED_SHOP_TOKEN", "secret")
    found = an_order_at(marketplace, 2)
    if other is None:
        found["order_id" if "order_id" in found else "id"] = None
    answers = {"mirakl": {"orders": [found], "total_count": 1}, "back_market": found}
    scripted = ScriptedShop(marketplace, answer=lambda path, query: answers.get(marketplace, {"order": found}))
    with (
        scripted_account_at(scripted) as account,
        closing(open_adapter(account)) as adapter,
        pytest.raises(OtherRecordError, match=r"request for order 1 with (another order|a record without)"),
    ):
        fetch_order(adapter, "1")
