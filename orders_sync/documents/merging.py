"""Merges PDF and PNG files into one PDF, as a process of its own: `printing.py` starts it.

A marketplace made the files, and a few kilobytes may stand for gigabytes or hours: the process has limits of its own,
and nothing else ends with it.
"""

import io
import resource
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from orders_sync.documents.formats import DocumentFormat
from orders_sync.model.errors import OrdersSyncError

MAX_MEMORY = 1024**3
"""Bytes of addresses of this process."""
MAX_CPU_SECONDS = 30

MAX_PIXELS = 25_000_000
"""Of an image: a label of 4 × 6 inches with 600 dots per inch has 9 million. Each takes some ten bytes of memory."""
MAX_PAGES = 500
"""Of one document."""
MAX_PAGES_TOGETHER = 2_000
LABEL_DPI = 203.0
"""Pixels per inch of an image that does not say it, or says what no printer has: those of most label printers."""
MIN_DPI, MAX_DPI = 50.0, 2_400.0
MIN_SIDE, MAX_SIDE = 3.0, 14_400.0
"""Of a page, in points of 1/72 inch (ISO 32000-1, annex C)."""


class File(msgspec.Struct, frozen=True):
    """A file to be merged."""

    format: DocumentFormat
    """PDF or PNG."""
    content: bytes


class Merged(msgspec.Struct, frozen=True):
    """What became of some files."""

    pdf: bytes | None
    """All pages, in the order of the files; None if there is none."""
    unreadable: dict[int, str]
    """Why a file has no page in it, by its place in the list."""


class _DamagedError(OrdersSyncError):
    """A file can't be read; the text says why."""


def main() -> None:
    """Reads files from standard input and writes what became of them to standard output (msgpack)."""
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CPU, MAX_CPU_SECONDS)):
        with suppress(ValueError, OSError):  # macOS refuses a limit of addresses
            resource.setrlimit(limit, (value, value))
    files = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[File])
    sys.stdout.buffer.write(msgspec.msgpack.encode(merged(files)))


def merged(files: Sequence[File]) -> Merged:
    """Merges files into one PDF; a PNG becomes a page of its own size."""
    from pypdf import PdfWriter

    together = PdfWriter()
    unreadable: dict[int, str] = {}
    for place, file in enumerate(files):
        try:
            pdf = _page_of(file.content) if file.format is DocumentFormat.PNG else file.content
            rewritten, pages = _rewritten(pdf)
            if len(together.pages) + pages > MAX_PAGES_TOGETHER:
                raise _DamagedError(f"the PDF would have more than {MAX_PAGES_TOGETHER:,} pages")
            together.append(io.BytesIO(rewritten))
        except _DamagedError as problem:
            unreadable[place] = str(problem)
    if not together.pages:
        return Merged(None, unreadable)
    written = io.BytesIO()
    together.write(written)
    return Merged(written.getvalue(), unreadable)


def _rewritten(pdf: bytes) -> tuple[bytes, int]:
    """A PDF, written anew: a damaged one must not leave half of its pages among those of the others; and its pages."""
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
        return written.getvalue(), len(writer.pages)
    except _DamagedError:
        raise
    except MemoryError:
        raise _DamagedError("it takes too much memory") from None
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
                dpi = [_plausible(value) for value in image.info.get("dpi", (LABEL_DPI, LABEL_DPI))]
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
    except MemoryError:
        raise _DamagedError("it takes too much memory") from None
    except Exception as error:  # as above
        raise _DamagedError(f"it can't be read as a PNG ({type(error).__name__})") from None


def _plausible(dpi: float) -> float:
    """A resolution as a file says it, if a printer may have it; one of 1 makes a page as large as a field."""
    return float(dpi) if MIN_DPI <= dpi <= MAX_DPI else LABEL_DPI


def _image_page(pixels: bytes, mode: str, size: tuple[int, int], dpi: Sequence[float]) -> bytes:
    """A PDF of one page that an image fills (ISO 32000-1, 8.9.5).

    `mode`: L (grey) or RGB, of 8 bits. `size`: in pixels.
    """
    from pypdf import PageObject, PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, NumberObject, StreamObject

    width, height = (
        min(max(72 * count / per_inch, MIN_SIDE), MAX_SIDE) for count, per_inch in zip(size, dpi, strict=True)
    )
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


if __name__ == "__main__":
    main()
