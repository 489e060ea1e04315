"""The documents of orders as one PDF: for a printer, that is the form which every packing table can print."""

import io
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.store import StoredDocument
from orders_sync.model.errors import OrdersSyncError

MAX_PIXELS = 25_000_000
"""Of an image: a label of 4 × 6 inches with 600 dots per inch has 9 million. Each takes some ten bytes of memory."""
MAX_PAGES = 500
"""Of one document."""
LABEL_DPI = 203
"""Pixels per inch of an image that does not say it: those of most label printers."""


class Printed(NamedTuple):
    """What could be printed of some documents."""

    pdf: bytes | None
    """All pages, in the order of the documents; None if there is none."""
    beside: Sequence[StoredDocument]
    """Documents in ZPL: they go to a label printer as they are."""
    unreadable: Sequence[tuple[StoredDocument, str]]
    """Documents that are damaged, each with the reason."""


class _DamagedError(OrdersSyncError):
    """A document can't be read; the text says why."""


def printed(documents: Sequence[StoredDocument]) -> Printed:
    """Merges documents into one PDF; a PNG becomes a page of its own size. Documents without content are left out."""
    from pypdf import PdfWriter  # imported late: it takes a fifth of a second, and most runs do not need it

    merged = PdfWriter()
    beside: list[StoredDocument] = []
    unreadable: list[tuple[StoredDocument, str]] = []
    for document in documents:
        if document.content is None:
            continue
        if document.format is DocumentFormat.ZPL:
            beside.append(document)
            continue
        try:
            pages = _page_of(document.content) if document.format is DocumentFormat.PNG else document.content
            merged.append(io.BytesIO(_rewritten(pages)))
        except _DamagedError as problem:
            unreadable.append((document, str(problem)))
    if not merged.pages:
        return Printed(None, beside, unreadable)
    written = io.BytesIO()
    merged.write(written)
    return Printed(written.getvalue(), beside, unreadable)


def _rewritten(pdf: bytes) -> bytes:
    """A PDF, written anew: a damaged one must not leave half of its pages among those of the others."""
    from pypdf import PdfReader, PdfWriter

    try:
        writer, reader = PdfWriter(), PdfReader(io.BytesIO(pdf))
        if reader.get_num_pages() > MAX_PAGES:
            raise _DamagedError(f"it has more than {MAX_PAGES} pages")
        writer.append(reader)
        if not writer.pages:
            raise _DamagedError("it has no page")
        written = io.BytesIO()
        writer.write(written)
        return written.getvalue()
    except _DamagedError:
        raise
    except Exception as error:  # pypdf raises many kinds of errors for files that are none, RecursionError too
        raise _DamagedError(f"it can't be read as a PDF ({type(error).__name__})") from None


def _page_of(png: bytes) -> bytes:
    """A PDF of one page that shows an image in its size, by the resolution that it says; white where it is transparent.

    The pixels are kept as they are: Pillow would write a PDF with a JPEG, which blurs the bars of a barcode.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _DamagedError("its image has too many pixels")
                dpi = [float(value) or LABEL_DPI for value in image.info.get("dpi", (LABEL_DPI, LABEL_DPI))]
                visible = image.convert("RGBA")
                opaque = Image.new("RGBA", visible.size, "white")
                opaque.alpha_composite(visible)
                shown = opaque.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
                return _image_page(shown.tobytes(), shown.mode, shown.size, dpi)
    except _DamagedError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        # A small file may claim more pixels than fit into the memory.
        raise _DamagedError("its image has too many pixels") from None
    except Exception as error:  # as above
        raise _DamagedError(f"it can't be read as a PNG ({type(error).__name__})") from None


def _image_page(pixels: bytes, mode: str, size: tuple[int, int], dpi: Sequence[float]) -> bytes:
    """A PDF of one page that an image fills (ISO 32000-1, 8.9.5).

    `mode`: L (grey) or RGB, of 8 bits. `size`: in pixels.
    """
    from pypdf import PageObject, PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, NumberObject, StreamObject

    width, height = (72 * count / per_inch for count, per_inch in zip(size, dpi, strict=True))
    image, drawing = StreamObject(), StreamObject()
    image.set_data(pixels)
    image = image.flate_encode()
    image[NameObject("/Type")] = NameObject("/XObject")
    image[NameObject("/Subtype")] = NameObject("/Image")
    image[NameObject("/Width")], image[NameObject("/Height")] = map(NumberObject, size)
    image[NameObject("/BitsPerComponent")] = NumberObject(8)
    image[NameObject("/ColorSpace")] = NameObject("/DeviceGray" if mode == "L" else "/DeviceRGB")
    drawing.set_data(f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Image Do Q".encode())
    page = PageObject.create_blank_page(width=width, height=height)
    images = DictionaryObject({NameObject("/Image"): image})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): images})
    page[NameObject("/Contents")] = drawing
    writer, written = PdfWriter(), io.BytesIO()
    writer.add_page(page)
    writer.write(written)
    return written.getvalue()
