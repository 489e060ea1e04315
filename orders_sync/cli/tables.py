"""Tables that fit the terminal: no line is longer than it is wide, and no time and no number is broken over two lines.

A table that is too wide is drawn without lines between its columns, then without its optional columns; what is still
too wide is shown as records, one line for each value, as psql does.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from orders_sync.model.control_characters import safe_text

WHOLE_WORD = 16
"""Words up to so many characters are never broken; a longer one, such as a URL, may be."""
_TOKEN = re.compile(r"\S*\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?: UTC)?\S*|\S+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
_NUMBER = re.compile(r"[-+]?[\d.,]+(?: ?%| s| h| min| days)?")
_BREAK_AFTER = "/-_.,:;&?=@"
"""After these characters, a word that is too long is broken rather than after others."""

Cell = str | Text | None


class _Style(NamedTuple):
    """How a table separates its columns."""

    box: box.Box
    between: int
    """Characters between two columns."""
    around: int
    """Characters beside the first and the last one."""


_STYLES = (_Style(box.HEAVY_HEAD, between=3, around=4), _Style(box.SIMPLE_HEAD, between=2, around=0))


class FittingTable:
    """A table whose texts appear as they are. rich renders it by the width of the console."""

    def __init__(self, title: str, columns: Sequence[str], optional: Sequence[str] = ()) -> None:
        """`optional`: columns that are left out where there is no room for them, the first ones first."""
        self._title = title
        self._columns = list(columns)
        self._optional = list(optional)
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: Cell) -> None:
        """Adds a row with a cell for each column. A text with a style keeps it, if it is short."""
        self._rows.append([cell if isinstance(cell, Text) else Text(safe_text(cell or "")) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = options.max_width
        yield Text(wrapped(safe_text(self._title), width), style="bold")
        left_out: list[str] = []
        for name in (None, *self._optional):
            left_out += [] if name is None else [name]
            chosen = [number for number, column in enumerate(self._columns) if column not in left_out]
            for style in _STYLES:
                widths = self._widths(chosen, width - style.around - style.between * (len(chosen) - 1))
                if widths is not None:
                    yield self._table(chosen, widths, style)
                    if left_out:
                        yield Text(wrapped(f"Too narrow for: {', '.join(left_out)}.", width), style="dim")
                    return
        yield from self._records(width)

    def _widths(self, chosen: Sequence[int], available: int) -> list[int] | None:
        """The widths of these columns, together at most `available`; None if they need more."""
        needed = [max(map(_least, self._texts(number))) for number in chosen]
        liked = [max(map(_width, self._texts(number))) for number in chosen]
        if sum(needed) > available:
            return None
        return _shared_out(needed, liked, available)

    def _texts(self, number: int) -> list[str]:
        return [self._columns[number], *(row[number].plain for row in self._rows)]

    def _table(self, chosen: Sequence[int], widths: Sequence[int], style: _Style) -> Table:
        has_lines = style.around > 0
        made = Table(box=style.box, pad_edge=has_lines, show_edge=has_lines, padding=(0, 1 if has_lines else 0))
        for number, width in zip(chosen, widths, strict=True):
            # Without lines, rich puts one character between columns, and one more is the padding of this one.
            made.add_column(Text(wrapped(self._columns[number], width)), width=width, no_wrap=True, overflow="fold")
        for row in self._rows:
            made.add_row(*(_fitted(row[number], width) for number, width in zip(chosen, widths, strict=True)))
        return made

    def _records(self, width: int) -> Iterator[Text]:
        label = max(map(cell_len, self._columns))
        for row in self._rows:
            yield Text("─" * min(width, 40), style="dim")
            for name, cell in zip(self._columns, row, strict=True):
                lines = wrapped(cell.plain, max(width - label - 2, 20)).split("\n")
                value = f"\n{' ' * (label + 2)}".join(lines)
                yield Text.assemble((name.ljust(label + 2), "bold"), value)


def wrapped(text: str, width: int) -> str:
    """A text in lines of at most `width`. Times stay whole, and so do words of up to WHOLE_WORD characters."""
    return "\n".join(piece for line in text.split("\n") for piece in _lines(line, width))


def _lines(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    present = ""
    for token in _TOKEN.findall(line):
        rest = token
        joined = f"{present} {rest}" if present else rest
        if cell_len(joined) <= width:
            present = joined
            continue
        if present:
            yield present
        while cell_len(rest) > width:
            cut = _cut(rest, width)
            yield rest[:cut]
            rest = rest[cut:]
        present = rest
    if present:
        yield present


def _cut(word: str, width: int) -> int:
    """After how many characters a word that is too long is broken."""
    end = 1
    while end < len(word) and cell_len(word[: end + 1]) <= width:
        end += 1
    liked = max((number for number in range(end // 2, end) if word[number] in _BREAK_AFTER), default=end - 1)
    return liked + 1


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _least(text: str) -> int:
    """The width below which a text could not be read: that of its longest time, number or short word."""
    return max(map(_least_of, _TOKEN.findall(text)), default=1)


def _least_of(token: str) -> int:
    is_whole = _TIME.search(token) or _NUMBER.fullmatch(token)
    return cell_len(token) if is_whole else min(cell_len(token), WHOLE_WORD)


def _shared_out(needed: Sequence[int], liked: Sequence[int], available: int) -> list[int]:
    """Widths between `needed` and `liked`: what lacks little gets it first, the rest is shared."""
    widths, spare = list(needed), available - sum(needed)
    open_ones = sorted(range(len(widths)), key=lambda number: liked[number] - needed[number])
    for place, number in enumerate(open_ones):
        given = min(liked[number] - needed[number], spare // (len(open_ones) - place))
        widths[number] += given
        spare -= given
    return widths


def _fitted(cell: Text, width: int) -> Text:
    """A cell in lines of at most `width`."""
    return cell if _width(cell.plain) <= width else Text(wrapped(cell.plain, width), style=cell.style)


def table(title: str, *columns: str, optional: Sequence[str] = ()) -> FittingTable:
    """A table with a title. Long texts are broken into lines, they are never cut. `optional` as of FittingTable."""
    return FittingTable(title, columns, optional)
