"""The documents of an order on its page: what is stored opens, and nothing of it can act as a page of ours."""

import io
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from pypdf import PdfReader

from orders_sync.database.engine import Connection
from orders_sync.sandbox.document_files import pdf
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import add_account, run
from orders_sync_tests.web.conftest import READER_PASSWORD
from orders_sync_tests.web.pages.conftest import PNG, ZPL
from orders_sync_tests.web.test_reader import logged_in


def get(url: str, path: str, **query: str) -> httpx.Response:
    return httpx.get(f"{url}/operations/{path}", params=query, trust_env=False)


def content(url: str, kind: str, key: str, order: str = "1") -> httpx.Response:
    return get(url, "documents/content", account="shop", order=order, kind=kind, key=key)


def test_the_documents_of_an_order_are_listed_with_links_to_what_is_stored(shop: Marketplace, web: str) -> None:
    shown = unescape(get(web, "documents", order=" 1 ").text)
    assert "Documents of order 1" in shown
    for key, text in (("7", "Open"), ("8", "Save"), ("9", "Open")):
        query = urlencode({"account": "shop", "order": "1", "kind": "label", "key": key})
        assert f'<a href="/operations/documents/content?{query}" target="_blank">{text}</a>' in shown
    assert shown.count("PDF, 1 kB") == 2
    assert shop.url not in shown, "what is stored needs no link to the marketplace"


@pytest.mark.parametrize(
    ("kind", "key", "media_type", "disposition", "expected"),
    [
        (
            "delivery_note",
            "delivery_note",
            "application/pdf",
            'inline; filename="1-delivery_note-1.pdf"',
            pdf(["note"]),
        ),
        ("label", "7", "application/pdf", 'inline; filename="1-label-1.pdf"', pdf(["label 7"])),
        ("label", "8", "application/octet-stream", 'attachment; filename="1-label-2.zpl"', ZPL),
        ("label", "9", "image/png", 'inline; filename="1-label-3.png"', PNG),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_stored_document_opens_as_what_it_is(
    web: str, kind: str, key: str, media_type: str, disposition: str, expected: bytes
) -> None:
    answer = content(web, kind, key)
    assert (answer.status_code, answer.content) == (200, expected)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.usefixtures("shop")
def test_all_open_as_one_pdf(web: str) -> None:
    answer = get(web, "documents/print", account="shop", order="1")
    assert answer.headers["content-disposition"] == 'inline; filename="1.pdf"'
    pages = [page.extract_text().strip() for page in PdfReader(io.BytesIO(answer.content)).pages]
    assert pages == ["note", "label 7", ""]


@pytest.mark.usefixtures("shop")
def test_who_reads_a_document_is_on_record(web: str, connection: Connection) -> None:
    content(web, "label", "no such one", order="2")
    assert connection.execute("SELECT FROM manual_acts WHERE act = 'read_documents'").fetchall() == []
    assert content(web, "label", "7").status_code == 200
    get(web, "documents/print", account="shop", order="1")
    acts = connection.execute("SELECT actor, via, order_id FROM manual_acts WHERE act = 'read_documents'").fetchall()
    assert acts == [("page user", "page /operations/documents", "1")] * 2


def test_a_damaged_document_is_named_before_the_others_open(
    shop: Marketplace, web: str, connection: Connection
) -> None:
    connection.execute(
        "UPDATE document_contents SET content = %s WHERE content = %b", [b"%PDF- %%EOF", pdf(["label 7"])]
    )
    answer = get(web, "documents/print", account="shop", order="1")
    assert answer.headers["content-type"].startswith("text/html")
    shown = unescape(answer.text)
    assert "label 7: it can't be read as a PDF" in shown
    assert 'href="/operations/documents/print?account=shop&order=1&rest=yes"' in shown
    rest = get(web, "documents/print", account="shop", order="1", rest="yes")
    pages = [page.extract_text().strip() for page in PdfReader(io.BytesIO(rest.content)).pages]
    assert pages == ["note", ""]


def test_what_is_not_stored_or_cancelled_can_not_be_opened(shop: Marketplace, web: str, connection: Connection) -> None:
    connection.execute("UPDATE order_documents SET cancelled_at = now() WHERE document_key = '7'")
    for answer in (content(web, "label", "7"), content(web, "label", "77"), content(web, "label", "8", order="2")):
        assert (answer.status_code, "This document is not stored." in answer.text) == (404, True)
    shown = get(web, "documents", order="1").text
    assert "key=7" not in shown
    assert "cancelled 20" in shown
    an_order(shop, 2)
    run("sync", "--type", "new")
    assert get(web, "documents/print", account="shop", order="2").status_code == 404
    assert "This order has no document yet." in get(web, "documents", order="2").text


def test_a_link_to_the_marketplace_is_shown_only_if_it_opens(
    shop: Marketplace, web: str, connection: Connection
) -> None:
    connection.execute("DELETE FROM document_fetches")
    assert (
        f'href="{shop.url}/static/7" target="_blank" rel="noopener noreferrer"' in get(web, "documents", order="1").text
    )
    connection.execute("UPDATE order_documents SET expires_at = now() - interval '1 hour' WHERE document_key = '7'")
    connection.execute("UPDATE order_documents SET url = 'javascript:alert(1)' WHERE document_key = '8'")
    shown = get(web, "documents", order="1").text
    assert f"{shop.url}/static/7" not in shown
    assert "the link has expired" in shown
    assert "javascript:" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example@evil.example/", "https://good.example:x@evil.example/", "https://@evil.example/", "https://good.example\\@evil.example/",
        "https://good.example\\.evil.example/x", "https://xn--zz--.example/", "data:text/html,x", "https://", "//evil.example/",
    ],
)  # fmt: skip
def test_a_url_that_the_fetch_refuses_is_no_link(shop: Marketplace, web: str, connection: Connection, url: str) -> None:
    connection.execute("DELETE FROM document_fetches")
    connection.execute("UPDATE order_documents SET url = %s WHERE document_key = '7'", [url])
    shown = unescape(get(web, "documents", order="1").text)
    assert f'href="{url}' not in shown
    assert f'href="{shop.url}/static/8"' in shown


def test_of_accounts_with_the_same_order_one_is_to_be_chosen(shop: Marketplace, web: str, tmp_path: Path) -> None:
    add_account(tmp_path, shop, "other")
    run("sync", "--type", "new", "--account", "other")
    shown = unescape(get(web, "documents", order="1").text)
    for name in ("shop", "other"):
        assert f'<a href="/operations/documents?order=1&account={name}">{name}</a>' in shown
    assert "Account other" in get(web, "documents", order="1", account="other").text


@pytest.mark.usefixtures("shop")
def test_an_order_that_is_not_there_is_named_and_escaped(web: str) -> None:
    answer = get(web, "documents", order="<script>alert(1)</script>", account="<b>")
    assert answer.status_code == 404
    assert "There is no order &lt;script&gt;alert(1)&lt;/script&gt; in the account &lt;b&gt;." in answer.text
    assert "<script" not in answer.text
    assert get(web, "documents").status_code == 200


@pytest.mark.usefixtures("web")
def test_a_database_that_does_not_answer_is_said(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/orders")
    answer = get(web, "documents", order="1")
    assert (answer.status_code, "127.0.0.1" in answer.text) == (503, True)


@pytest.mark.usefixtures("shop")
def test_an_odd_character_finds_nothing(web: str) -> None:
    for text in ("9\0", "\0", "\u202e", "%", "x" * 5000):
        assert get(web, "documents", order=text).status_code in (200, 404)
        assert content(web, "label", text, order=text).status_code == 404
        assert get(web, "documents/print", account=text, order=text).status_code == 404


@pytest.mark.usefixtures("web")
def test_texts_of_a_marketplace_are_escaped(shop: Marketplace, web: str, connection: Connection) -> None:
    text = "<img src=x onerror=alert(1)>\"'"
    connection.execute("UPDATE order_documents SET carrier = %s, tracking_number = %s", [text, text])
    assert "<img" not in get(web, "documents", order="1").text


@pytest.mark.usefixtures("shop")
def test_a_reader_sees_which_documents_there_are_and_opens_none(guarded: str) -> None:
    with logged_in(guarded, READER_PASSWORD) as reader:
        page = reader.get("/operations/documents?order=1").text
        assert "delivery note" in page
        assert "/documents/content" not in page
        for path in ("content?account=shop&order=1&kind=label&key=7", "print?account=shop&order=1"):
            assert reader.get(f"/operations/documents/{path}").status_code == 403
