"""`orders-sync documents`: what a person who packs gets to see, to save and to print."""

import io
from pathlib import Path

import pytest
from pypdf import PdfReader

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.sandbox.document_files import pdf
from orders_sync.sandbox.mirakl import FakeMirakl
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import TOKEN_NAMES, Marketplace, an_order
from orders_sync_tests.cli.command_line import run

ZPL = b"^XA^FO40,40^FDlabel 8^FS^XZ"


def add_storing_account(folder: Path, marketplace: Marketplace, name: str) -> None:
    """Writes the file of an account that stores its documents."""
    contract = marketplace.fake.name
    write_account(
        folder,
        name,
        {
            "marketplace": contract, "base_url": marketplace.url, "token": TOKEN_NAMES[contract],
            "limits": {"enforced": False, "outage_minutes": 0}, "store_documents": True,
        },
    )  # fmt: skip


@pytest.fixture
def shop(marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Marketplace:
    """The order 1 with a delivery note and two labels, of which the second is in ZPL; all stored."""
    add_storing_account(tmp_path / "accounts", marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path / "accounts")
    monkeypatch.chdir(tmp_path)
    deliveries = [{"order": 1, "shipmentId": n, "orderlines": [100], "labelUrl": f"/static/{n}"} for n in (7, 8)]
    an_order(marketplace, 1, delivery_note=f"{marketplace.url}/static/note", _deliveries=deliveries)
    marketplace.world.scripted_files |= {
        "/static/note": pdf(["note"]), "/static/7": pdf(["label 7"]), "/static/8": ZPL,
    }  # fmt: skip
    run("sync", "--type", "all")
    return marketplace


def pages(content: bytes) -> list[str]:
    return [page.extract_text().strip() for page in PdfReader(io.BytesIO(content)).pages]


def test_what_is_stored_is_listed(shop: Marketplace) -> None:
    result = run("documents", "list", "1")
    assert result.exit_code == 0, result.output
    assert "3 documents" in result.output
    assert result.output.count("PDF, 1 kB") == 2
    assert "ZPL, 1 kB" in result.output
    last_cells = [line.split("│")[-2].strip() for line in result.output.splitlines() if line.startswith("│")]
    assert f"{shop.url}/static/7" in "".join(last_cells)  # a long address folds


def test_all_are_saved_as_they_are(shop: Marketplace, tmp_path: Path) -> None:
    result = run("documents", "save", "1", "--to", "packing/today")
    assert result.exit_code == 0, result.output
    written = {path.name: path.read_bytes() for path in (tmp_path / "packing" / "today").iterdir()}
    assert written == {
        "1-delivery_note-1.pdf": pdf(["note"]), "1-label-1.pdf": pdf(["label 7"]), "1-label-2.zpl": ZPL,
    }  # fmt: skip


def test_they_are_printed_as_one_pdf_with_the_zpl_beside_it(shop: Marketplace, tmp_path: Path) -> None:
    result = run("documents", "print", "1", "--to", "out.pdf")
    assert result.exit_code == 0, result.output
    assert pages((tmp_path / "out.pdf").read_bytes()) == ["note", "label 7"]
    assert (tmp_path / "1-label-2.zpl").read_bytes() == ZPL
    assert "1-label-2.zpl: not part of the PDF: ZPL is for a label printer" in result.stderr
    assert pages(run("documents", "print", "1", "--to", "-").stdout_bytes) == ["note", "label 7"]
    run("documents", "print", "1")
    assert (tmp_path / "1.pdf").exists()


def test_a_document_that_is_missing_is_named_and_the_others_are_printed(shop: Marketplace, tmp_path: Path) -> None:
    deliveries = [{"order": 1, "shipmentId": n, "labelUrl": f"/static/{n}"} for n in (7, 9)]
    shop.change(1, _deliveries=deliveries)
    assert run("documents", "refresh", "1").exit_code == 1
    result = run("documents", "print", "1", "--to", "out.pdf")
    assert result.exit_code == 1
    assert "Order 1: label 9: not stored: 127.0.0.1 answers GET the URL of a document with 404" in result.stderr
    assert pages((tmp_path / "out.pdf").read_bytes()) == ["note", "label 7"]


def test_a_document_that_may_have_been_replaced_is_neither_printed_nor_saved(shop: Marketplace, tmp_path: Path) -> None:
    """Its URL is another one, which can't be fetched yet."""
    shop.change(1, _deliveries=[{"order": 1, "shipmentId": 7, "labelUrl": "/static/7-again"}])
    assert run("documents", "refresh", "1").exit_code == 1
    result = run("documents", "print", "1", "--to", "out.pdf")
    assert result.exit_code == 1
    assert "label 7: not stored: 127.0.0.1 answers" in result.stderr
    assert pages((tmp_path / "out.pdf").read_bytes()) == ["note"]
    assert run("documents", "save", "1", "--to", "saved").exit_code == 1
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["1-delivery_note-1.pdf"]
    assert "with 404" in run("documents", "list", "1").output


def test_a_damaged_document_is_written_beside_the_pdf(shop: Marketplace, tmp_path: Path) -> None:
    shop.world.scripted_files["/static/9"] = damaged = b"%PDF-1.4 damaged %%EOF"
    shop.change(1, _deliveries=[{"order": 1, "shipmentId": n, "labelUrl": f"/static/{n}"} for n in (7, 9)])
    assert run("documents", "refresh", "1").exit_code == 0
    result = run("documents", "print", "1", "--to", "out.pdf")
    assert result.exit_code == 1
    assert pages((tmp_path / "out.pdf").read_bytes()) == ["note", "label 7"]
    assert (tmp_path / "1-label-2.pdf").read_bytes() == damaged


def test_an_order_without_stored_documents_says_what_to_do(shop: Marketplace) -> None:
    an_order(shop, 2)
    run("sync", "--type", "new")
    result = run("documents", "print", "2")
    assert result.exit_code == 1
    assert "has no stored document of 2" in result.output
    assert "store_documents: true" in result.output


def test_an_id_that_two_accounts_have_needs_the_account(shop: Marketplace, tmp_path: Path) -> None:
    add_storing_account(tmp_path / "accounts", shop, "twin")
    run("sync", "--type", "all", "--account", "twin")
    result = run("documents", "list", "1")
    assert (result.exit_code, result.output) == (
        1, "Error: Accounts shop, twin have 1: name one by --account.\n",
    )  # fmt: skip
    assert run("documents", "list", "1", "--account", "twin").exit_code == 0
    assert run("documents", "list", "3").output == "Error: No account has order 3.\n"
    assert run("documents", "list", "3", "--account", "twin").output == "Error: Account twin has no order 3.\n"


def test_a_url_that_needs_the_credential_is_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    with Marketplace(FakeMirakl, orders=60, days=4) as marketplace:
        add_storing_account(tmp_path, marketplace, "operator")
        run("sync", "--type", "all")
        (order_id,) = connection.execute(
            "SELECT min(order_id) FROM order_documents WHERE kind = 'label'"
        ).fetchone() or ("",)
        result = run("documents", "list", order_id)
        write_account(tmp_path, "operator", {"marketplace": "none"})
        broken = run("documents", "list", order_id)
    assert result.exit_code == 0, result.output
    assert "opens with the credential" in " ".join(result.output.split())
    assert "http" not in result.output
    assert "http" not in broken.output  # nothing says any more which marketplace it is
