"""Faults: which requests they match, and what each kind does to a response."""

import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from orders_sync.sandbox.faults import KINDS, Fault, altered
from orders_sync.sandbox.formats import iso
from orders_sync.testing.marketplace import TOKEN, Marketplace, an_order
from orders_sync.testing.waiting import limit

HEADERS = {"Authorization": f"Basic {TOKEN}", "User-Agent": "BM-T-1;a@b.example", "Accept-Language": "fr-fr"}
#: The details of the kinds whose behaviour needs some, or would take long by default.
DETAILS: dict[str, dict[str, Any]] = {
    "delay": {"seconds": 1},
    "drip": {"seconds": 1},
    "huge": {"bytes": 1_000},
    "patch": {"fields": {"currency": "USD"}},
    "redirect": {"location": "https://example.com/"},
    "sparse": {"fields": ["currency"]},
}


def a_request(path: str = "/ws/orders", method: str = "GET", query: str = "") -> Request:
    return Request({"type": "http", "path": path, "method": method, "query_string": query.encode(), "headers": []})


def fetched(marketplace: Marketplace, timeout: float = 10) -> httpx.Response:
    return httpx.get(f"{marketplace.url}/ws/orders", headers=HEADERS, timeout=timeout, trust_env=False)


def test_a_fault_matches_by_path_method_and_page_and_only_so_often() -> None:
    fault = Fault.from_document({"kind": "reset", "method": "GET", "page": 2, "times": 2, "after": 1})
    assert not fault.matches(a_request(method="POST", query="page=2"))
    assert not fault.matches(a_request("/api", query="page=2"))
    assert not fault.matches(a_request(query="page=1"))
    assert [fault.matches(a_request(query="page=2")) for _ in range(4)] == [False, True, True, False]
    assert fault.used == 2


def test_an_unknown_kind_is_an_error_that_lists_the_kinds() -> None:
    with pytest.raises(ValueError, match=r"there is no fault 'rain'; allowed are status, lose_answer"):
        Fault.from_document({"kind": "rain"})


@pytest.mark.parametrize(
    ("kind", "details", "expected"),
    [
        ("empty_page", {}, {"results": [], "next": "n"}),
        ("looping_next", {}, {"results": [{"id": 1, "a": 1}], "next": "https://www.backmarket.fr/ws/orders?page=3"}),
        ("sparse", {"fields": ["a"]}, {"results": [{"id": 1}], "next": "n"}),
        ("patch", {"fields": {"a": 2}}, {"results": [{"id": 1, "a": 2}], "next": "n"}),
        ("repeat", {}, {"results": [{"id": 1, "a": 1}, {"id": 1, "a": 1}], "next": "n"}),
        ("truncate", {}, {"results": [{"id": 1, "a": 1}], "next": "n"}),
    ],
)
def test_what_a_fault_does_to_a_list(kind: str, details: dict[str, Any], expected: dict[str, Any]) -> None:
    document = {"results": [{"id": 1, "a": 1}], "next": "n"}
    fault = Fault.from_document({"kind": kind, **details})
    assert altered(fault, document, a_request(query="page=3")) == expected
    assert document == {"results": [{"id": 1, "a": 1}], "next": "n"}


def test_a_document_without_a_list_stays_as_it_is() -> None:
    assert altered(Fault.from_document({"kind": "empty_page"}), {"id": 1}, a_request()) == {"id": 1}


def test_what_a_fault_does_to_a_response(marketplace: Marketplace) -> None:
    an_order(marketplace, 1)
    for kind, details in (("lose_answer", {}), ("reset", {})):
        marketplace.fault(kind, **details)
        with pytest.raises(httpx.TransportError):
            fetched(marketplace)
    marketplace.fault("status", status=429, headers={"Retry-After": "7"}, body={"error": "slow down"})
    response = fetched(marketplace)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json() == {"error": "slow down"}
    marketplace.fault("truncate")
    with pytest.raises(json.JSONDecodeError):
        fetched(marketplace).json()
    marketplace.fault("html")
    assert "text/html" in fetched(marketplace).headers["content-type"]
    marketplace.fault("redirect", location="https://example.com/")
    assert fetched(marketplace).headers["location"] == "https://example.com/"
    marketplace.fault("huge", bytes=1_000)
    assert len(fetched(marketplace).content) == 1_009
    marketplace.fault("delay", seconds=2)
    with pytest.raises(httpx.ReadTimeout):
        fetched(marketplace, timeout=0.5)
    marketplace.fault("drip", seconds=0.2)
    assert fetched(marketplace).json()["count"] == 1


def test_faults_that_change_the_world(marketplace: Marketplace) -> None:
    marketplace.fault("arrive")
    fetched(marketplace)
    assert len(marketplace.listed()) == 1
    before = marketplace.now()
    marketplace.fault("time", minutes=90)
    fetched(marketplace)
    assert (marketplace.now() - before).total_seconds() >= 90 * 60
    an_order(marketplace, 1)
    since = {"date_creation": "2099-01-01T00:00:00Z"}
    url = f"{marketplace.url}/ws/orders"
    assert httpx.get(url, params=since, headers=HEADERS, trust_env=False).json()["count"] == 0
    marketplace.fault("no_filter")
    assert httpx.get(url, params=since, headers=HEADERS, trust_env=False).json()["count"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_what_a_request_gets_or_leaves_behind(marketplace: Marketplace, kind: str) -> None:
    an_order(marketplace, 1, age=timedelta(days=9))
    an_order(marketplace, 2, age=timedelta(minutes=10))
    since = iso(marketplace.now() - timedelta(days=1))
    usual = observed(marketplace, since)
    assert usual["answer"][0] == 200
    details = DETAILS.get(kind, {})
    marketplace.fault(kind, **details)
    began = time.monotonic()
    changed = observed(marketplace, since) != usual
    assert changed or time.monotonic() - began > details.get("seconds", float("inf")) / 2
    assert observed(marketplace, since)["answer"][0] == 200  # it affects one request


def observed(marketplace: Marketplace, since: str) -> dict[str, Any]:
    """The answer to a request for the orders created since then, and what it left behind at the marketplace."""
    try:
        response = httpx.get(
            f"{marketplace.url}/ws/orders",
            params={"date_creation": since}, headers=HEADERS, timeout=limit(30), trust_env=False,
        )  # fmt: skip
        answer: tuple[Any, ...] = (response.status_code, response.text, response.headers.get("location"))
    except httpx.TransportError as error:
        answer = (type(error).__name__,)
    return {"answer": answer, "orders": len(marketplace.listed()), "skipped": marketplace.clock.skipped}
