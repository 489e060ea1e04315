"""The format of a document is that of its content, whatever a header says."""

import pytest

from orders_sync.documents.formats import DocumentFormat, UnusableContentError, format_of
from orders_sync.sandbox.document_files import pdf

PDF = pdf(["a label"])
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PDF, DocumentFormat.PDF),
        (b"\xef\xbb\xbf\r\n" + PDF, DocumentFormat.PDF),
        (b"a line of a mail program\r\n" + PDF, DocumentFormat.PDF),
        (PNG, DocumentFormat.PNG),
        (b"^XA^FO40,40^FDa label^FS^XZ", DocumentFormat.ZPL),
        (b"\r\n  ^xa^fdx^fs^xz", DocumentFormat.ZPL),
        (b"CT~~CD,~CC^~CT~\n^XA~TA000^XZ\n^XA^FDx^FS^XZ\n", DocumentFormat.ZPL),
        (b"~DGR:LOGO.GRF,8,1,FF^XA^FDx^FS^XZ", DocumentFormat.ZPL),
    ],
)
def test_what_is_stored(content: bytes, expected: DocumentFormat) -> None:
    assert format_of(content) is expected


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML or XML page"),
        (b'{"message": "Unauthorized"}', "JSON"),
        (b"PK\x03\x04" + PDF, "a ZIP archive"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (b"Victor Hugo, Paris", "something else"),
        (b"^FDa field of no label^FS", "something else"),
        (PDF[:-8], "a PDF that is cut off"),
        (PNG[:-8], "a PNG that is cut off"),
        (b"^XA^FDx^FS", "a ZPL that is cut off"),
    ],
)
def test_anything_else_is_named_and_not_quoted(content: bytes, what: str) -> None:
    with pytest.raises(UnusableContentError) as caught:
        format_of(content)
    assert what in str(caught.value)
    assert "Hugo" not in str(caught.value)
