"""What the commands share: exit codes, tables, and how they print errors, times and durations."""

import sys
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from orders_sync.model.control_characters import safe_text

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_BUSY = 0, 1, 2, 3


class SafeConsole(Console):
    """A console whose texts show control characters, wherever they come from: a marketplace may send some in a SKU.

    Texts with values are printed by `markup=False`: without it, rich obeys `[…]` in them.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """As of rich."""
        super().print(*(safe_text(each) if isinstance(each, str) else each for each in objects), **options)


console = SafeConsole(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 180)
"""Standard output. In a file or pipe, lines are 180 characters wide."""


class SafeTable(Table):
    """A table whose texts appear as they are: rich's own add_row reads `[…]` in a text as markup."""

    def add_row(
        self,
        *renderables: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        cells = [Text(safe_text(cell)) if isinstance(cell, str) else cell for cell in renderables]
        super().add_row(*cells, style=style, end_section=end_section)


def table(title: str, *columns: str) -> SafeTable:
    """A table with a title. Long texts fold, they are never cut."""
    made = SafeTable(title=Text(safe_text(title)), title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def yes_or_no(value: bool) -> Text:
    """A green yes or a red no, as a cell of a table."""
    return Text("yes", style="green") if value else Text("no", style="red")


def print_beside(text: str, color: str) -> None:
    """Prints to standard error: standard output may be a document, or data for another program."""
    click.secho(safe_text(text), fg=color, err=True)


def print_error(text: object) -> None:
    """Prints an error that does not end the command, in red."""
    console.print(str(text), style="red", markup=False)


def print_warning(text: object) -> None:
    """Prints a warning, in yellow."""
    console.print(str(text), style="yellow", markup=False)


def print_as_it_is(text: str) -> None:
    """Prints a text for another program, byte for byte; in a terminal, its control characters are shown."""
    shown = safe_text(text) if sys.stdout.isatty() else text
    click.echo(shown, nl=not text.endswith("\n"), color=True)  # without it, click leaves some characters out
