"""The page of the waiting lines: the hours left, and holding an order back with a reason."""

import re
from pathlib import Path

import httpx
import pytest

from orders_sync.database.engine import Connection
from orders_sync.testing.deployment import write_account
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order
from orders_sync_tests.web.conftest import ANNA, basic

HOLD = "/operations/waiting/hold"


@pytest.fixture
def browser(web: str) -> httpx.Client:
    return httpx.Client(base_url=web, trust_env=False, headers={"Origin": web})


def fields(browser: httpx.Client, **changes: str) -> dict[str, str]:
    """The fields of the first form of the page, as a browser sends them."""
    shown = browser.get("/operations/waiting").text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown))
    return {**hidden, "reason": "a box is on its way", **changes}


def holds(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT order_id, holds, reason, made_by FROM refusal_holds ORDER BY hold_id").fetchall()


def test_without_waiting_lines_it_says_so(browser: httpx.Client) -> None:
    assert "No orderline waits for the merchant." in browser.get("/operations/waiting").text
    assert "No orderline waits for the merchant." in browser.get("/operations").text


@pytest.mark.usefixtures("short_order")
def test_a_line_shows_its_hours_and_what_happens_next(browser: httpx.Client, connection: Connection) -> None:
    store_order(connection, StoredOrder("2", [StoredItem("2-1", status="accepted")]))
    shown = browser.get("/operations/waiting").text
    assert re.search(r'data-label="Hours left"[^>]*>2[12]\.\d', shown)
    assert "1 × PHONE" in shown
    assert "refuses it, if it is still short" in shown
    assert '<a href="/operations/orders/one?account=shop&amp;order=1">1</a>' in shown
    assert "1 orderline waits" in browser.get("/operations").text
    assert "1 orderline waits" in browser.get("/operations/waiting?account=shop").text
    assert browser.get("/operations/waiting?account=typo").status_code == 404


@pytest.mark.usefixtures("short_order")
def test_an_order_is_held_back_with_a_reason_and_let_go(browser: httpx.Client, connection: Connection) -> None:
    held = browser.post(HOLD, data=fields(browser), follow_redirects=True)
    assert "no orderline of this order is refused until you undo it" in held.text
    assert "held back from refusal: a box is on its way" in held.text
    undone = browser.post(HOLD, data=fields(browser, reason="it was lost"), follow_redirects=True)
    assert "the account&#39;s setting counts again" in undone.text.replace("'", "&#39;")
    assert holds(connection) == [
        ("1", True, "a box is on its way", "page user"), ("1", False, "it was lost", "page user"),
    ]  # fmt: skip
    acts = connection.execute(
        "SELECT act, actor, via, order_id, reason FROM manual_acts WHERE order_id = '1' ORDER BY act_id"
    ).fetchall()
    assert acts == [
        ("hold_back", "page user", "page /operations/waiting", "1", "a box is on its way"),
        ("undo_hold_back", "page user", "page /operations/waiting", "1", "it was lost"),
    ]


@pytest.mark.usefixtures("short_order")
def test_what_a_user_of_a_proxy_does_is_recorded_by_name(proxied: str, connection: Connection) -> None:
    with httpx.Client(base_url=proxied, trust_env=False, headers={"Origin": proxied, **basic(ANNA)}) as browser:
        assert browser.post(HOLD, data=fields(browser)).status_code == 303
    assert holds(connection) == [("1", True, "a box is on its way", ANNA)]


@pytest.mark.usefixtures("short_order")
def test_a_form_that_did_not_come_from_our_page_changes_nothing(
    browser: httpx.Client, web: str, connection: Connection
) -> None:
    sent = fields(browser)
    for change in (
        {"token": ""},
        {"token": "x"},
        {"token": fields(httpx.Client(base_url=web, trust_env=False))["token"]},
    ):
        assert browser.post(HOLD, data=sent | change).status_code == 403
    without_cookie = httpx.post(f"{web}{HOLD}", data=sent, trust_env=False)
    assert (without_cookie.status_code, "nothing was changed" in without_cookie.text) == (403, True)
    assert browser.post(HOLD, data=sent, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.get(HOLD, params=sent).status_code == 405
    assert holds(connection) == []


@pytest.mark.usefixtures("short_order")
def test_an_order_that_is_not_there_or_no_reason_changes_nothing(browser: httpx.Client, connection: Connection) -> None:
    for change in ({"reason": " "}, {"reason": "\u200b"}, {"reason": "x" * 1_001}, {"order": "9"}, {"account": "typo"}):
        refused = browser.post(HOLD, data=fields(browser, **change))
        assert (refused.status_code, "Nothing was changed: " in refused.text) == (400, True)
    assert browser.post(HOLD, data=fields(browser, reason="x" * 100_000)).status_code == 403
    assert holds(connection) == []


@pytest.mark.usefixtures("short_order")
def test_lines_of_an_account_whose_file_has_an_error_stay_listed(browser: httpx.Client, tmp_path: Path) -> None:
    write_account(tmp_path, "shop", {"marketplace": "none"})
    shown = browser.get("/operations/waiting").text
    assert "The file of account shop has an error: nothing answers its lines." in shown
    assert "1 × PHONE" in shown
    assert "so that no pass answers it" in shown
    assert "1 orderline waits" in browser.get("/operations").text
