"""What people type or import about stock: the checks that the files, the command line and the forms share.

Each check returns the value as it is used, and raises StockInputError in one sentence: what it is, and what is allowed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from orders_sync.model.errors import UserFacingError
from orders_sync.model.keys import MAX_ID_LENGTH
from orders_sync.model.texts import InputError, check_characters, shown
from orders_sync.model.times import EARLIEST
from orders_sync.stock.sku_case import SkuCase

MAX_PIECES = 10_000_000
"""Pieces of a SKU at most, wherever a number of pieces is given or follows from others. Sums of such numbers stay far
within PostgreSQL's integer, so that one absurd number never stops a statement about all SKUs."""
_MAX_DIGITS = 40


class StockInputError(InputError):
    """What a person gave can't be used; the message says what it is, and what is allowed."""


class TooManyPiecesError(UserFacingError, ValueError):
    """An item needs more pieces of a SKU than a lock can have; the message says how many."""


def check_id(text: str, name: str) -> str:
    """An id or a SKU, without the spaces around it. `name`: what it is, e.g. `sku`."""
    text = text.strip()
    if not text:
        raise StockInputError(f"{name} is empty")
    if len(text) > MAX_ID_LENGTH:
        raise StockInputError(f"{name} is {len(text)} characters long; at most {MAX_ID_LENGTH} are allowed")
    return check_characters(text, name)


def check_pieces(value: str | int, name: str, lowest: int = 0) -> int:
    """A number of pieces, from `lowest` to MAX_PIECES. `name`: what it is, e.g. `on_hand of SKU PHONE`."""
    pieces = value if isinstance(value, int) else _whole_number(value)
    if pieces is None or not lowest <= pieces <= MAX_PIECES:
        raise StockInputError(
            f"{name} is {value if isinstance(value, int) else shown(value)}; "
            f"allowed is a whole number from {lowest} to {MAX_PIECES}"
        )
    return pieces


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def check_adjustment(pieces: int) -> int:
    """Pieces to add, or to take away (negative)."""
    if pieces == 0:
        raise StockInputError("0 pieces change nothing; name the pieces to add, or those to take away with a minus")
    return check_pieces(pieces, "the number of pieces", -MAX_PIECES)


def check_past_time(text: str, name: str) -> datetime:
    """When something happened, from a text in ISO 8601; in UTC, if it has no zone. `name`: what it is."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        problem = ""
    else:
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if EARLIEST <= at <= datetime.now(UTC):
            return at
        problem = ", which is in the future" if at > EARLIEST else f", which is before {EARLIEST:%Y}"
    raise StockInputError(
        f"{name} is {shown(text)}{problem}; allowed is a time from {EARLIEST:%Y} until now, such as "
        "2026-03-01T08:30:00+01:00 (without a zone: in UTC)"
    )


def check_need(sku: str, pieces: int) -> None:
    """Raises TooManyPiecesError if an item needs more pieces of a SKU than a lock can have."""
    if pieces > MAX_PIECES:
        raise TooManyPiecesError(f"the item needs {pieces} pieces of SKU {sku}; a lock has at most {MAX_PIECES}")


def one_spelling(skus: Iterable[str], sku_case: SkuCase) -> dict[str, str]:
    """The form of each SKU by the case rule → the SKU. Raises StockInputError where several have the same form."""
    spellings = sku_case.spellings(dict.fromkeys(skus))
    if several := [" and ".join(found) for found in spellings.values() if len(found) > 1]:
        raise StockInputError(
            f"SKUs differ only in case or spaces, and are one: {'; '.join(several)}; give one of them"
        )
    return {form: sku for form, (sku,) in spellings.items()}
