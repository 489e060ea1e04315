"""The operator's pages in a real headless Chromium: with the keyboard, on a phone and on a desk."""

import pytest
from playwright.sync_api import Page, expect

from orders_sync.database.engine import Connection
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
