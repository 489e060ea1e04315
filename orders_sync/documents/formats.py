"""What a fetched document is, by its content: headers are often wrong, and an error page may come with 200."""

from enum import StrEnum

from orders_sync.model.errors import UserFacingError

HEADER_BYTES = 1024
"""How far into a file the header of a PDF may begin: readers accept it there (ISO 32000-1, annex H, note 13)."""
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_ZPL_BEGINS = (b"^", b"~", b"CT~~")
"""A format begins with `^XA` (ZPL II Programming Guide), after commands of the printer (`~…`) that drivers write."""
_OTHERS = (
    (b"<", "an HTML or XML page"), (b"{", "JSON"), (b"[", "JSON"), (b"PK\x03\x04", "a ZIP archive"),
    (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"\x1f\x8b", "a gzip file"),
)  # fmt: skip
"""What comes in place of a document, by its first bytes."""


class DocumentFormat(StrEnum):
    """The formats that are stored."""

    PDF = "pdf"
    PNG = "png"
    ZPL = "zpl"
    """Zebra's language of label printers."""


class UnusableContentError(UserFacingError):
    """The content of a document is none that can be stored. The text says what it is, and quotes nothing of it."""


def format_of(content: bytes) -> DocumentFormat:
    """The format of a document. Raises UnusableContentError for any other content, and for one that is cut off."""
    begin = content[:HEADER_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not begin:
        raise UnusableContentError("its content is empty")
    what = next((what for first, what in _OTHERS if begin.startswith(first)), None)
    if what is None and b"%PDF-" in content[:HEADER_BYTES]:
        return _whole(DocumentFormat.PDF, b"%%EOF" in content)
    if content.startswith(_PNG_BEGIN):
        return _whole(DocumentFormat.PNG, _PNG_END in content)
    if begin.startswith(_ZPL_BEGINS) and b"^XA" in content.upper():
        return _whole(DocumentFormat.ZPL, b"^XZ" in content.upper())
    raise UnusableContentError(f"its content is {what or 'something else'}; stored are PDF, PNG and ZPL")


def _whole(found: DocumentFormat, is_whole: bool) -> DocumentFormat:
    if not is_whole:
        raise UnusableContentError(f"its content is a {found.upper()} that is cut off")
    return found
