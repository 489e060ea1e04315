"""The pages that find orders and tell the history of one."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run

ADDRESS = {"first_name": "<b>Victor</b>", "last_name": "Hugo", "street": "Place des Vosges"}


@pytest.fixture
def browser(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection, web: str
) -> Iterator[httpx.Client]:
    """The order 1 of Victor Hugo, and two more of a day before."""
    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    an_order(marketplace, 1, shipping_address=ADDRESS)
    an_order(marketplace, 2, skus=("<i>ODD\u202e\x1b",))
    an_order(marketplace, 3)
    run("sync", "--type", "new")
    with httpx.Client(base_url=f"{web}/operations", trust_env=False) as client:
        yield client


def test_the_only_order_with_an_id_is_opened_at_once(browser: httpx.Client) -> None:
    answer = browser.get("/orders", params={"text": " 1 "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/operations/orders/one?account=shop&order=1")
    page = unescape(browser.get("/orders/one", params={"account": "shop", "order": "1"}).text)
    assert "event OrderCreated: accepted" in page
    assert "stored for the first time" in page
    assert "/operations/documents?account=shop&order=1" in page
    assert not any(each in page for each in ("Victor", "Hugo", "Vosges"))


def test_several_orders_are_listed_with_links(browser: httpx.Client) -> None:
    page = browser.get("/orders", params={"account": "shop"}).text
    assert '<p role="status">3 orders:</p>' in page
    assert page.count('href="/operations/orders/one?account=shop&amp;order=') == 3
    assert "&lt;i&gt;ODD" in page
    assert "<i>ODD" not in page
    assert not any(each in page for each in ("\u202e", "\x1b"))
    assert "No order was found." in browser.get("/orders", params={"text": "nothing"}).text
    for day in ("soon", "0001-01-01", "9999-12-31", "2026-13-01"):
        assert "A date is a day from 2000 to 2099" in browser.get("/orders", params={"last": day}).text
    reversed_days = browser.get("/orders", params={"first": "2026-02-01", "last": "2026-01-31"}).text
    assert "The first day, 2026-02-01, is after the last, 2026-01-31." in reversed_days
    assert 'role="status"' not in browser.get("/orders").text, "nothing was searched"


def test_orders_of_an_account_without_a_file_are_found_too(browser: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "shop").rename(tmp_path.parent / f"{tmp_path.name}_removed")
    assert "<option>shop</option>" in browser.get("/orders").text
    assert '<p role="status">3 orders:</p>' in browser.get("/orders", params={"account": "shop"}).text


@pytest.mark.parametrize("path", ["/orders/one", "/orders/one/record"])
def test_an_order_that_there_is_not_is_not_found(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path, params={"account": "shop", "order": "no\0ne<b>"})
    assert answer.status_code == 404
    assert "There is no order none&lt;b&gt; in the account shop." in answer.text


def test_the_marketplaces_record_is_shown_and_who_read_it_is_on_record(
    browser: httpx.Client, connection: Connection
) -> None:
    page = browser.get("/orders/one/record", params={"account": "shop", "order": "1"}).text
    assert "&lt;b&gt;Victor&lt;/b&gt;" in page
    assert "<b>Victor" not in page
    assert connection.execute("SELECT actor, act, via, order_id FROM manual_acts WHERE act <> 'sync'").fetchall() == [
        ("page user", "read_record", "page /operations/orders/one", "1")
    ]
    history = browser.get("/orders/one", params={"account": "shop", "order": "1"}).text
    assert "page user: read record" in history


def test_a_page_about_nothing_leads_to_the_one_that_asks_what_to_show(browser: httpx.Client) -> None:
    for path, page in (
        ("orders/one?account=shop", "orders"), ("orders/one/record", "orders"), ("stock/sku", "stock"),
        ("rejected/record?account=shop", "rejected"),
    ):  # fmt: skip
        assert browser.get(f"/{path}").headers["location"] == f"/operations/{page}"


def test_reading_an_order_again_asks_for_an_account_that_there_is(browser: httpx.Client) -> None:
    page = browser.get("/orders/one", params={"account": "shop", "order": "1"}).text
    hidden = dict(re.findall(r'name="(token|once)" value="([^"]*)"', page))
    form = {**hidden, "account": "shpo", "order": "1", "reason": "the address is wrong"}
    answer = browser.post("/orders/one/reread", data=form)
    assert (answer.status_code, "There is no account shpo. Did you mean shop?" in answer.text) == (400, True)
