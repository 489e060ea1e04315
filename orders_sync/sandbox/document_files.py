"""The files behind the URLs of documents: a PDF of one page, or ZPL, that says to which order it belongs."""

from starlette.responses import Response

from orders_sync.sandbox.entities import SandboxOrder

A6_POINTS = (298, 420)
"""Width and height of a page, in points of 1/72 inch."""


def pdf_of(title: str, order: SandboxOrder) -> bytes:
    """A document of an order as a PDF; the same bytes each time."""
    return pdf(lines_of(title, order))


def pdf_response(title: str, order: SandboxOrder) -> Response:
    """A document of an order as a response."""
    return Response(pdf_of(title, order), media_type="application/pdf")


def zpl_of(title: str, order: SandboxOrder) -> bytes:
    """A label of an order in ZPL, for a label printer with 8 dots per millimetre."""
    fields = (
        f"^FO40,{40 + 50 * number}^A0N,36,36^FD{line}^FS" for number, line in enumerate(lines_of(title, order))
    )  # fmt: skip
    return "\n".join(["^XA", "^CI28", *fields, "^XZ", ""]).encode()


def lines_of(title: str, order: SandboxOrder) -> list[str]:
    """What a document says: its title, the order, the buyer's address, and what is in the parcel."""
    buyer = order.buyer
    return [
        f"{title} {order.id}",
        f"{buyer.get('firstName', '')} {buyer.get('lastName', '')}",
        str(buyer.get("street", "")),
        f"{buyer.get('postalCode', '')} {buyer.get('city', '')}",
        *(f"{line.quantity} x {line.sku}" for line in order.lines),
    ]


def pdf(lines: list[str]) -> bytes:
    """A PDF of one page with some lines of text (ISO 32000-1, 7.5: header, objects, cross-reference table, trailer)."""
    width, height = A6_POINTS
    shown = b" T* ".join(b"(" + _escaped(line) + b") Tj" for line in lines)
    text = b"BT /F1 12 Tf 14 TL 24 %d Td %s ET" % (height - 40, shown)
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>" % (width, height),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )  # fmt: skip
    written = b"%PDF-1.4\n"
    offsets: list[int] = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(written))
    return written + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (len(objects) + 1, table, trailer)


def _escaped(line: str) -> bytes:
    encoded = line.encode("cp1252", "replace")
    return encoded.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
