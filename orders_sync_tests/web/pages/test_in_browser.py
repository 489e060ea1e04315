"""The operator's pages in a real headless Chromium: with the keyboard, on a phone and on a desk."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.subscriptions.deliveries import claim, give_up, refuse
from orders_sync.subscriptions.registration import register
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.stock.stored_orders import ACCOUNT
from orders_sync_tests.subscriptions.conftest import an_event, event_ids, settings
from orders_sync_tests.web.conftest import keep

pytestmark = [pytest.mark.ui, pytest.mark.needs("chromium")]

WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.usefixtures("short_order")
def test_an_order_is_held_back_and_let_go_with_the_keyboard_alone(page: Page, web: str, connection: Connection) -> None:
    page.goto(f"{web}/operations/waiting")
    keep(page, "waiting_lines")
    for shown, reason, done in (("Hold back", "a box is on its way", "Held back"), ("Undo", "it was lost", "Undone")):
        expect(page.locator("summary")).to_contain_text(shown)
        page.locator("summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type(reason)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text(done)
    assert connection.execute("SELECT holds FROM refusal_holds ORDER BY hold_id").fetchall() == [(True,), (False,)]


@pytest.mark.usefixtures("shop")
def test_a_stored_document_and_all_as_one_pdf_open_in_the_browser(page: Page, web: str) -> None:
    page.goto(f"{web}/operations")
    page.get_by_label("Order", exact=True).fill("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Documents of order 1")).to_be_visible()
    keep(page, "documents")
    for link in (page.get_by_role("link", name="All as one PDF"), page.get_by_role("link", name="Open").first):
        with page.expect_popup() as opened:
            link.click()
        opened.value.wait_for_load_state()
        assert opened.value.evaluate("document.contentType") == "application/pdf"
    image = page.get_by_role("link", name="Open").last
    with page.expect_popup() as opened:
        image.click()
    assert opened.value.evaluate("document.images[0].naturalWidth") == 1
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save").click()
    assert saved.value.suggested_filename == "1-label-2.zpl"


@pytest.mark.parametrize("path", ["", "/waiting", "/documents?order=1", "/documents?order=9"])
@pytest.mark.usefixtures("short_order")
def test_nothing_is_wider_than_a_phone(page: Page, web: str, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"{web}/operations{path}")
    keep(page, f"phone{path.translate(str.maketrans('/?=', '___'))}")
    assert page.evaluate(WIDER_THAN_SCREEN) is False


@pytest.mark.usefixtures("shop")
def test_the_documents_are_not_wider_than_a_phone(page: Page, web: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"{web}/operations/documents?order=1")
    keep(page, "phone_documents")
    assert page.evaluate(WIDER_THAN_SCREEN) is False


@pytest.fixture
def subscriptions(
    marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> list[int]:
    """Two subscriptions; of `erp`, the first event fails, the second waits for it, the third was given up."""
    add_account(tmp_path, marketplace, ACCOUNT)
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    webhook = {"url": "SHOP_FLOOR_URL", "secret": "SHOP_FLOOR_SECRET"}
    register(connection, {"erp": settings(), "shop_floor": settings(webhook=webhook, statuses=["shipped"])})
    for order, status in (("1", "accepted"), ("1", "shipped"), ("2", "accepted"), ("3", "accepted")):
        an_event(connection, order, status)
    ids = event_ids(connection)
    claim(connection, "erp", 2)
    refuse(connection, "erp", ids[0], "the ERP answers: no such customer 4711 in the company with the number 0815")
    give_up(connection, "erp", ids[3], "HTTP 410")
    connection.execute("UPDATE subscriptions SET problem = 'it answers HTTP 503' WHERE subscription = 'shop_floor'")
    return ids


def test_an_event_is_skipped_and_an_order_delivered_again_with_the_keyboard_alone(
    page: Page, web: str, subscriptions: list[int], connection: Connection
) -> None:
    page.goto(f"{web}/operations")
    page.get_by_role("link", name="Subscriptions").first.click()
    keep(page, "subscriptions")
    page.get_by_role("link", name="erp", exact=True).click()
    expect(page.get_by_role("heading", name="Subscription erp")).to_be_visible()
    keep(page, "subscription")
    page.locator("summary", has_text=f"Skip event {subscriptions[0]}").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("there is no such customer")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Skipped")
    page.locator("summary", has_text="Deliver an order again").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("1")
    page.keyboard.press("Tab")
    page.keyboard.type("it exists now")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 event is delivered again.")
    acts = connection.execute("SELECT act, reason FROM manual_acts ORDER BY act_id").fetchall()
    assert acts == [("skip_delivery", "there is no such customer"), ("replay_events", "it exists now")]


def test_events_since_a_time_are_delivered_again_in_a_browser(
    page: Page, web: str, subscriptions: list[int], connection: Connection
) -> None:
    connection.execute("UPDATE event_deliveries SET ended_at = now(), outcome = 'delivered'")
    page.goto(f"{web}/operations/subscriptions/one?name=erp")
    page.get_by_text("Deliver again since a time", exact=True).first.click()
    page.get_by_label("All events since (UTC)").fill("2026-01-31T14:00")
    page.locator("details[open]").get_by_label("Reason").fill("restored from a backup")
    page.locator("details[open]").get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text(f"{len(subscriptions)} events are delivered again.")


@pytest.mark.usefixtures("subscriptions")
@pytest.mark.parametrize("path", ["/subscriptions", "/subscriptions/one?name=erp", "/orders/one?account=shop&order=1"])
def test_what_is_about_subscriptions_is_not_wider_than_a_phone(page: Page, web: str, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"{web}/operations{path}")
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    keep(page, f"phone{path.translate(str.maketrans('/?=&', '____'))}")
    assert page.evaluate(WIDER_THAN_SCREEN) is False
