"""What both formats of an export have in common."""

from collections.abc import Sequence
from typing import Any, Protocol

from orders_sync.exports.columns import Column
from orders_sync.model.errors import UserFacingError


class ExportError(UserFacingError):
    """Rows can't be exported: what is wrong, and what to do."""


class RowWriter(Protocol):
    """Writes rows to a stream that somebody else opens and closes: `begin`, then `write` as often as there are rows.

    At last `end`, or `give_up` if it failed on the way: then it writes nothing that matters any more.
    """

    def begin(self, columns: Sequence[Column]) -> None:
        """Says what the rows have."""
        ...

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes some rows; their values are in the order of the columns."""
        ...

    def end(self) -> None:
        """Writes what follows the last row."""
        ...

    def give_up(self) -> None:
        """Leaves the stream, which may be incomplete."""
        ...
