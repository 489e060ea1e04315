"""The contents of documents as answers. A marketplace made them: no browser may take one for a page of ours."""

from starlette.responses import Response

from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.store import StoredDocument
from orders_sync.web.pages.rendering import NOT_STORED

MEDIA_TYPES = {
    DocumentFormat.PDF: "application/pdf",
    DocumentFormat.PNG: "image/png",
    DocumentFormat.ZPL: "application/octet-stream",
}
SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"


def document_answer(document: StoredDocument, name: str) -> Response:
    """The content of a stored document, for the browser to show; ZPL, which it can't show, to save as `name`."""
    assert document.format is not None
    content = document.content or b""
    if document.format is DocumentFormat.PDF:
        return pdf_answer(content, name)
    disposition = "attachment" if document.format is DocumentFormat.ZPL else "inline"
    return _answer(content, MEDIA_TYPES[document.format], disposition, name)


def pdf_answer(content: bytes, name: str) -> Response:
    """A PDF, for the browser to show."""
    return _answer(content, MEDIA_TYPES[DocumentFormat.PDF], "inline", name)


def _answer(content: bytes, media_type: str, disposition: str, name: str) -> Response:
    """`name`: of ASCII letters, digits and `_.-~%` only, as `file_name` makes it."""
    headers = {
        **NOT_STORED,
        "Content-Disposition": f'{disposition}; filename="{name}"',
        "Content-Security-Policy": SANDBOX,
    }
    return Response(content, media_type=media_type, headers=headers)
