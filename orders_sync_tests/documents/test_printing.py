"""Printing: an order's documents become one PDF, and nothing that can't be is left out without a word."""

import io

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter

from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.printing import MAX_PAGES, printed
from orders_sync.documents.store import StoredDocument
from orders_sync.model.records import DocumentKind
from orders_sync.sandbox.document_files import pdf

ZPL = b"^XA^FO40,40^FDa label^FS^XZ"


def a_document(content: bytes | None, format_: DocumentFormat | None = DocumentFormat.PDF) -> StoredDocument:
    return StoredDocument("shop", "1", DocumentKind.LABEL, "7", format_, content, None)


def a_png(mode: str, size: tuple[int, int], colour: object, **options: object) -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, colour).save(written, "PNG", **options)  # pyright: ignore[reportArgumentType]
    return written.getvalue()


def pages(content: bytes | None) -> list[str]:
    assert content is not None
    return [
        page.extract_text().splitlines()[0] if page.extract_text() else ""
        for page in PdfReader(io.BytesIO(content)).pages
    ]


def test_pdfs_become_one_in_their_order() -> None:
    made = printed([a_document(pdf([name])) for name in ("first", "second", "third")])
    assert pages(made.pdf) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [
        ("RGB", (10, 200, 30), (10, 200, 30)),
        ("L", 7, (7, 7, 7)),
        ("1", 0, (0, 0, 0)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
    ],
)
def test_a_png_is_a_page_of_its_size_with_its_very_pixels(mode: str, colour: object, shown: tuple[int, ...]) -> None:
    made = printed([a_document(a_png(mode, (406, 609), colour, dpi=(203, 203)), DocumentFormat.PNG)])
    (page,) = PdfReader(io.BytesIO(made.pdf or b"")).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx((144, 216), rel=0.001)
    (image,) = page.images
    assert image.image is not None
    assert image.image.convert("RGB").getpixel((200, 300)) == shown


def test_zpl_is_left_beside_and_a_document_without_content_out() -> None:
    zpl = a_document(ZPL, DocumentFormat.ZPL)
    made = printed([a_document(None, None), zpl])
    assert made == (None, [zpl], [])


@pytest.mark.parametrize(
    ("content", "format_", "why"),
    [
        (b"%PDF-1.4 and nothing that follows %%EOF", DocumentFormat.PDF, "can't be read as a PDF"),
        (pdf(["x"])[:300] + b"%%EOF", DocumentFormat.PDF, "can't be read as a PDF"),
        (a_png("L", (8, 8), 0)[:40] + b"IEND", DocumentFormat.PNG, "can't be read as a PNG"),
    ],
    ids=["no PDF", "half a PDF", "half a PNG"],
)  # fmt: skip
def test_a_damaged_document_takes_no_page_of_the_others_with_it(
    content: bytes, format_: DocumentFormat, why: str
) -> None:
    damaged = a_document(content, format_)
    made = printed([a_document(pdf(["first"])), damaged, a_document(pdf(["last"]))])
    assert pages(made.pdf) == ["first", "last"]
    ((document, reason),) = made.unreadable
    assert document is damaged
    assert why in reason


def test_an_image_that_claims_too_many_pixels_is_not_inflated() -> None:
    png = a_png("1", (1000, 100_000), 0)
    assert len(png) < 20_000
    made = printed([a_document(png, DocumentFormat.PNG)])
    assert "too many" in made.unreadable[0][1]


def test_a_document_that_would_take_a_machines_memory_is_damaged() -> None:
    """A few kilobytes may stand for a gigabyte of pixels, or for thousands of pages."""
    many = PdfWriter()
    for _ in range(MAX_PAGES + 1):
        many.add_blank_page(10, 10)
    written = io.BytesIO()
    many.write(written)
    image = a_png("1", (5_001, 5_000), 1)
    found = printed([a_document(written.getvalue()), a_document(image, DocumentFormat.PNG), a_document(pdf(["good"]))])
    assert [why for _, why in found.unreadable] == ["it has more than 500 pages", "its image has too many pixels"]
    assert pages(found.pdf) == ["good"]
