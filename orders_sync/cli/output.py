"""What the commands share: exit codes, and how they print texts, warnings and errors.

The result of a command goes to standard output. Errors, warnings and progress go to standard error, so that
standard output can be read by another program.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from orders_sync.model.control_characters import LogFormatter, safe_text

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_BUSY, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 3, 130, 141
EXIT_CODES: Mapping[int, str] = {
    EXIT_DONE: "done",
    EXIT_FAILED: "failed, or something needs a person",
    EXIT_USAGE: "wrong usage",
    EXIT_BUSY: "a lane is busy",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C)",
    EXIT_NO_READER: "whoever read the output has gone, e.g. `head`",
}
"""The exit codes of all commands, and what they mean; the help and docs/operation.md list them.

The last two are those that a shell reports of a program that SIGINT or SIGPIPE has ended.
"""
WIDTH_OF_FILES = 180
"""How wide lines are in a file or pipe."""


class SafeConsole(Console):
    """A console whose texts show control characters, wherever they come from: a marketplace may send some in a SKU.

    Texts with values are printed by `markup=False`: without it, rich obeys `[…]` in them.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """As of rich."""
        super().print(*(safe_text(each) if isinstance(each, str) else each for each in objects), **options)

    def on_broken_pipe(self) -> None:
        """Lets the error end the command, as it does when click prints: rich's own ends with exit code 1."""
        raise


console = SafeConsole(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
"""Standard output. Lines are as wide as the terminal."""
beside = SafeConsole(highlight=False, emoji=False, width=None if sys.stderr.isatty() else WIDTH_OF_FILES, stderr=True)
"""Standard error."""


def log_to_stderr(level: int = logging.WARNING) -> logging.Handler:
    """Lets this process log to standard error, one line for each record, with times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)
    return handler


def yes_or_no(value: bool) -> Text:
    """A green yes or a red no, as a cell of a table."""
    return Text("yes", style="green") if value else Text("no", style="red")


def print_beside(text: str, color: str) -> None:
    """Prints a line to standard error, however long."""
    click.secho(safe_text(text), fg=color, err=True)


def print_error(text: object) -> None:
    """Prints an error that does not end the command, to standard error, in red."""
    beside.print(str(text), style="red", markup=False)


def print_warning(text: object) -> None:
    """Prints a warning to standard error, in yellow."""
    beside.print(str(text), style="yellow", markup=False)


def print_as_it_is(text: str) -> None:
    """Prints a text for another program, byte for byte; in a terminal, its control characters are shown."""
    shown = safe_text(text) if sys.stdout.isatty() else text
    click.echo(shown, nl=not text.endswith("\n"), color=True)  # without it, click leaves some characters out
