"""The pages of stock."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

PAGE = "/operations/stock"
ADJUST = f"{PAGE}/sku/adjust"


@pytest.fixture
def browser(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection, web: str
) -> Iterator[httpx.Client]:
    """Two orders of a phone of which there is one, one of a SKU that is markup, and one that is shipped."""
    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    an_order(marketplace, 1, skus=("PHONE",))
    an_order(marketplace, 2, skus=("PHONE",))
    an_order(marketplace, 3, skus=("<i>ODD",))
    an_order(marketplace, 4, state=9, line_state=3)
    import_levels(StockConnection(connection), {"PHONE": 1})
    run("sync", "--type", "new")
    run("stock", "apply")
    with httpx.Client(base_url=web, trust_env=False, headers={"Origin": web}) as client:
        yield client


def the_form(browser: httpx.Client, sku: str) -> dict[str, str]:
    page = browser.get(f"{PAGE}/sku", params={"sku": sku}).text
    (form,) = re.findall(rf'<form method="post" action="{ADJUST}">(.*?)</form>', page, re.S)
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}


def test_what_is_short_is_listed_with_the_hours_that_it_waits(browser: httpx.Client) -> None:
    page = browser.get(PAGE).text
    assert "2 locks wait for stock, the oldest order first:" in page
    assert page.count('<td data-label="Missing">1</td>') == 2
    assert "&lt;i&gt;ODD" in page
    assert "<i>ODD" not in page
    assert "2 locks wait for stock." in browser.get("/operations").text


def test_late_orders_and_those_that_soon_will_be_are_listed_the_first_due_first(
    browser: httpx.Client, connection: Connection
) -> None:
    assert "No order is late, or due within 24 hours." in browser.get(PAGE).text
    connection.execute("UPDATE orders SET dispatch_due_at = now() + make_interval(hours => order_id::int * 10 - 15)")
    page = browser.get(PAGE).text
    assert "3 orders are not shipped" in page, "order 4 is shipped"
    hours = re.findall(r'<td data-label="Hours left"[^>]*>([^<]*)</td>', page)
    assert hours == ["late by 5.0", "5.0", "15.0"]


def test_the_page_of_a_sku_tells_who_holds_it_what_is_available_and_its_history(browser: httpx.Client) -> None:
    page = unescape(browser.get(f"{PAGE}/sku", params={"sku": " PHONE "}).text)
    assert '<td data-label="Available">0</td>' in page
    assert page.count('<a href="/operations/orders/one?account=shop&order=1">') >= 1
    for heading in ("Who holds it", "Available to sell", "Transitions of locks", "Movements of stock"):
        assert f"<h2>{heading}</h2>" in page
    assert browser.get(f"{PAGE}/sku", params={"sku": "2", "all": "yes"}).text.count("the latest 1000 rows") == 1
    missing = browser.get(f"{PAGE}/sku", params={"sku": "no\0ne<b>"})
    assert (missing.status_code, "named none&lt;b&gt;." in missing.text) == (404, True)


def test_pieces_are_adjusted_with_a_reason_and_locks_follow(browser: httpx.Client, connection: Connection) -> None:
    form = the_form(browser, "PHONE")
    for change in (
        {"pieces": "1"}, {"pieces": "one", "reason": "x"}, {"pieces": "-5", "reason": "x"},
        {"pieces": "1" * 5_000, "reason": "x"}, {"pieces": "1.5", "reason": "x"}, {"sku": "", "pieces": "1", "reason": "x"},
    ):  # fmt: skip
        refused = browser.post(ADJUST, data=form | change)
        assert (refused.status_code, "Nothing was changed: " in refused.text) == (400, True), change
    assert browser.post(ADJUST, data=form | {"pieces": "1", "reason": "x", "token": ""}).status_code == 403
    done = browser.post(ADJUST, data=form | {"pieces": "2", "reason": "found <behind> the shelf"})
    assert done.headers["location"] == f"{PAGE}/sku?sku=PHONE&done=yes"
    page = browser.get(done.headers["location"]).text
    assert "The pieces on hand are adjusted" in page
    assert "found &lt;behind&gt; the shelf" in page
    assert '<td data-label="Available">1</td>' in page
    levels = connection.execute("SELECT on_hand, reserved FROM stock_levels WHERE sku = 'PHONE'").fetchall()
    assert levels == [(3, 2)]
    acts = connection.execute("SELECT actor, via, reason FROM manual_acts WHERE act = 'adjust_stock'").fetchall()
    assert acts == [("page user", "page /operations/stock/sku", "found <behind> the shelf")]


def test_a_form_that_is_sent_twice_acts_once(browser: httpx.Client, connection: Connection) -> None:
    form = the_form(browser, "PHONE") | {"pieces": "5", "reason": "a delivery"}
    assert browser.post(ADJUST, data=form | {"pieces": "none"}).status_code == 400
    assert [browser.post(ADJUST, data=form).status_code for _ in range(2)] == [303, 409]
    assert connection.execute("SELECT on_hand FROM stock_levels WHERE sku = 'PHONE'").fetchone() == (6,)


def test_a_sku_with_a_control_character_is_adjusted_and_no_other(browser: httpx.Client, connection: Connection) -> None:
    import_levels(StockConnection(connection), {"A\tB": 1})
    assert the_form(browser, "A\tB")["sku"] == "A\tB"
