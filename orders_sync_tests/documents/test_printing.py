"""Printing: an order's documents become one PDF, and nothing that can't be is left out without a word."""

import contextlib
import io
import subprocess
import sys

import msgspec
import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter

from orders_sync.documents import merging, printing
from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.merging import MAX_PAGES, MAX_SIDE, MIN_SIDE, File, Merged, merged
from orders_sync.documents.printing import MAX_WAITING, PrintError, printed
from orders_sync.documents.store import StoredDocument
from orders_sync.model.records import DocumentKind
from orders_sync.sandbox.document_files import pdf
from orders_sync.testing.waiting import limit

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


@pytest.mark.parametrize(
    ("dpi", "expected"),
    [
        ((0.0254, 0.0254), (144, 216)),
        ((1e8, 1e8), (144, 216)),
        ((203, 0.0254), (144, 216)),
        ((406, 203), (72, 216)),
    ],
    ids=["one dot per metre", "dots of an atom's size", "one of both", "plausible"],
)
def test_a_resolution_that_no_printer_has_is_that_of_label_printers(
    dpi: tuple[float, float], expected: tuple[float, float]
) -> None:
    made = printed([a_document(a_png("L", (406, 609), 0, dpi=dpi), DocumentFormat.PNG)])
    (page,) = PdfReader(io.BytesIO(made.pdf or b"")).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(expected, rel=0.001)


def test_no_page_is_larger_or_smaller_than_a_pdf_can_have() -> None:
    made = printed([a_document(a_png("L", (1, 100_000), 0), DocumentFormat.PNG)])
    (page,) = PdfReader(io.BytesIO(made.pdf or b"")).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == (MIN_SIDE, MAX_SIDE)


def shared_pages(depth: int) -> bytes:
    """A PDF whose nodes are each two children of the one above: 2 to the power of `depth` pages in a kilobyte."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    objects += [b"<</Type/Pages/Count 1/Kids[%d 0 R %d 0 R]>>" % (n, n) for n in range(3, depth + 3)]
    objects += [b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 10 10]>>" % (depth + 1)]
    written, places = b"%PDF-1.4\n", list[int]()
    for number, each in enumerate(objects, start=1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(written))
    return written + head + table + end


def test_pages_that_are_shared_count_each_time() -> None:
    made = printed([a_document(shared_pages(depth)) for depth in (2, 12)])
    assert len(PdfReader(io.BytesIO(made.pdf or b"")).pages) == 4
    assert [why for _, why in made.unreadable] == ["it has more than 500 pages"]


def test_documents_beyond_the_most_pages_of_a_print_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MAX_PAGES_TOGETHER", 2)
    made = merged([File(DocumentFormat.PDF, pdf([name])) for name in "abc"])
    assert made.unreadable == {2: "the PDF would have more than 2 pages"}
    assert pages(made.pdf) == ["a", "b"]


def test_a_print_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "SECONDS", 0.01)
    with pytest.raises(PrintError, match=r"takes more than 0 seconds. Print fewer orders at once"):
        printed([a_document(pdf(["x"]))])
    monkeypatch.undo()
    assert pages(printed([a_document(pdf(["x"]))]).pdf) == ["x"]


def test_a_fault_of_the_process_is_logged_and_not_taken_for_too_little_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(merging, "__name__", "no_such_module")
    with pytest.raises(PrintError, match="could not be merged; the log of the web process says why"):
        printed([a_document(pdf(["x"]))])
    assert "No module named no_such_module" in caplog.text


def test_a_document_that_takes_too_much_memory_is_named_and_the_others_are_printed() -> None:
    """The process of the print bounds itself; here to less, and the image is one that is within the other limits."""
    image = File(DocumentFormat.PNG, a_png("1", (5_000, 5_000), 0))
    code = "from orders_sync.documents import merging; merging.MAX_MEMORY = 350 * 1024**2; merging.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=limit(60),
        input=msgspec.msgpack.encode([image, File(DocumentFormat.PDF, pdf(["good"]))]),
    )  # fmt: skip
    made = msgspec.msgpack.decode(done.stdout, type=Merged)
    assert made.unreadable == {0: "it takes too much memory"}
    assert pages(made.pdf) == ["good"]


def test_one_print_waits_for_another_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "WAIT_SECONDS", 0.1)
    with printing._TURN, pytest.raises(PrintError, match="Other documents are being printed"):
        printed([a_document(pdf(["x"]))])


def test_few_prints_wait_and_further_ones_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of those that wait keeps a thread of the web process."""
    monkeypatch.setattr(printing, "_TURN", None)  # so that to wait for it is another error
    with contextlib.ExitStack() as waiting:
        for _ in range(MAX_WAITING):
            waiting.enter_context(printing._WAITING)
        with pytest.raises(PrintError, match="Other documents are being printed"):
            printed([a_document(pdf(["x"]))])
