"""The pages of rejected records and flaws."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from psycopg.types.json import Jsonb

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run
from orders_sync_tests.web.conftest import READER_PASSWORD
from orders_sync_tests.web.test_reader import logged_in

PAGE = "/operations/rejected"


@pytest.fixture
def rejecting_shop(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> Marketplace:
    """The orders 1 to 3 have no items, so they are rejected; the currency of order 4 can't be read, which is a flaw."""
    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    for number in (1, 2, 3):
        an_order(marketplace, number, orderlines=[], shipping_address={"first_name": "<b>Victor</b>"})
    an_order(marketplace, 4, currency="<i>?")
    run("sync", "--type", "new")
    return marketplace


@pytest.fixture
def browser(rejecting_shop: Marketplace, web: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web, trust_env=False, headers={"Origin": web}) as client:
        yield client


def the_group(browser: httpx.Client) -> dict[str, str]:
    """The hidden fields of the first form that dismisses a group."""
    (form,) = re.findall(rf'<form method="post" action="{PAGE}/dismiss">(.*?)</form>', browser.get(PAGE).text, re.S)
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}


def dismissed(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT record_id, dismissed_by, dismissed_reason FROM rejected_records WHERE dismissed_at IS NOT NULL ORDER BY 1"
    ).fetchall()


def test_equal_reasons_are_one_group_and_flaws_stand_beside_them(browser: httpx.Client) -> None:
    page = unescape(browser.get(PAGE).text)
    assert 'href="/operations/rejected/records?account=shop&kind=order&why=' in page
    assert page.count('<td data-label="Reason">') == 1
    assert '<td data-label="Field">currency</td>' in page
    assert '<a href="/operations/orders/one?account=shop&order=4">4</a>' in page
    assert "Victor" not in page
    assert "3 records are rejected." in browser.get("/operations").text


def test_the_records_of_a_group_are_listed_with_all_their_reasons(browser: httpx.Client) -> None:
    link = re.search(rf'href="({PAGE}/records[^"]*)"', browser.get(PAGE).text)
    assert link
    page = browser.get(unescape(link[1])).text
    assert "3 records." in page
    assert page.count("as received") == 3
    assert "Victor" not in page
    nothing = browser.get(f"{PAGE}/records", params={"account": "shop", "why": "no such reason"}).text
    assert "No record is rejected with this reason now." in nothing


def test_a_record_as_it_was_received_is_on_record_and_not_for_readers(
    browser: httpx.Client, guarded: str, connection: Connection
) -> None:
    record = {"account": "shop", "kind": "order", "record": "2"}
    assert "&lt;b&gt;Victor&lt;/b&gt;" in browser.get(f"{PAGE}/record", params=record).text
    missing = browser.get(f"{PAGE}/record", params=record | {"record": "9"})
    assert (missing.status_code, "has no rejected order 9" in missing.text) == (404, True)
    acts = connection.execute("SELECT actor, via, order_id FROM manual_acts WHERE act = 'show_rejected'").fetchall()
    assert acts == [("page user", "page /operations/rejected", "2")]
    with logged_in(guarded, READER_PASSWORD) as reader:
        assert reader.get(f"{PAGE}/record", params=record).status_code == 403
        assert "as received" not in reader.get(f"{PAGE}/records").text
        page = reader.get(PAGE)
        assert (page.status_code, "<form method" in page.text.replace("/logout", "", 1)) == (200, False) or (
            page.text.count("<form") == 1
        )


def test_a_group_is_dismissed_with_a_reason_but_not_what_has_come_since(
    browser: httpx.Client, rejecting_shop: Marketplace, connection: Connection
) -> None:
    form = the_group(browser)
    an_order(rejecting_shop, 5, orderlines=[])
    run("sync", "--type", "new")
    assert browser.post(f"{PAGE}/dismiss", data=form).status_code == 400, "there is no reason"
    assert browser.post(f"{PAGE}/dismiss", data=form | {"reason": "x", "shown_at": "soon"}).status_code == 400
    for change in ({"account": ""}, {"kind": ""}, {"why": ""}, {"shown_at": "2026-01-01"}, {"records": "all"}):
        assert browser.post(f"{PAGE}/dismiss", data=form | {"reason": "x"} | change).status_code == 400, change
    assert browser.post(f"{PAGE}/dismiss", data=form | {"reason": "x", "token": "x"}).status_code == 403
    assert dismissed(connection) == []
    done = browser.post(f"{PAGE}/dismiss", data=form | {"reason": "test orders"})
    assert done.headers["location"] == f"{PAGE}?done=3"
    assert dismissed(connection) == [(str(number), "page user", "test orders") for number in (1, 2, 3)]
    page = browser.get(done.headers["location"]).text
    assert "3 records are dismissed" in page
    assert "Dismissed</h2>" in page
    acts = connection.execute("SELECT via, reason FROM manual_acts WHERE act = 'dismiss_rejected'").fetchall()
    assert acts == [("page /operations/rejected", "test orders")] * 3


def test_a_record_that_was_rejected_again_while_the_page_was_open_is_looked_at_first(
    browser: httpx.Client, connection: Connection
) -> None:
    """Its first rejection is older than the page."""
    connection.execute("UPDATE rejected_records SET resolved_at = now() WHERE record_id = '3'")
    form = the_group(browser)
    connection.execute("UPDATE rejected_records SET resolved_at = NULL")
    refused = browser.post(f"{PAGE}/dismiss", data=form | {"reason": "x"})
    assert (refused.status_code, "There are 3 such records now, and there were 2" in refused.text) == (400, True)
    assert dismissed(connection) == []
    assert connection.execute("SELECT FROM manual_acts WHERE act = 'dismiss_rejected'").rowcount == 0


def test_a_reason_that_begins_like_another_is_a_group_of_its_own(browser: httpx.Client, connection: Connection) -> None:
    form = the_group(browser)
    reasons = [{"where": "items", "what": f"{form['why'].removeprefix('items: ')}, too", "allowed": "one item or more"}]
    connection.execute("UPDATE rejected_records SET reasons = %s WHERE record_id = '2'", [Jsonb(reasons)])
    listed = browser.get(f"{PAGE}/records", params={"account": "shop", "why": form["why"]}).text
    assert "2 records." in listed
    assert browser.post(f"{PAGE}/dismiss", data=form | {"reason": "x"}).headers["location"] == f"{PAGE}?done=2"
    assert [row[0] for row in dismissed(connection)] == ["1", "3"]


def test_one_record_is_dismissed_alone(browser: httpx.Client, connection: Connection) -> None:
    form = the_group(browser) | {"record": "2", "why": "", "reason": "a test order"}
    assert browser.post(f"{PAGE}/dismiss", data=form).status_code == 303
    assert dismissed(connection) == [("2", "page user", "a test order")]


def test_a_retry_says_why_no_run_is_launched_where_the_code_location_is_not_loaded(browser: httpx.Client) -> None:
    answer = browser.post(f"{PAGE}/retry", data=the_group(browser) | {"reason": "it is repaired"})
    assert answer.status_code == 400
    assert "the code location is not loaded. See Deployment in the UI for the reason." in answer.text


def test_more_groups_or_records_than_the_page_shows_are_said_to_be_more(
    browser: httpx.Client, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) SELECT 'shop', 'care', n::text, '{}', "
        """jsonb_build_array(jsonb_build_object('where', 'field' || n, 'what', 'is odd', 'allowed', 'even')) """
        "FROM generate_series(1, 150) n"
    )
    assert "the 100 largest of 151 groups" in browser.get(PAGE).text
    assert "The first 100 records; there are more." in browser.get(f"{PAGE}/records?account=shop").text
