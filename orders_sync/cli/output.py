"""What the commands share: tables, times, exit codes."""

import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_BUSY = 0, 1, 2, 3

#: Into a file or pipe, tables are as wide as they need to be.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)


def table(title: str, *columns: str) -> Table:
    """A table with a title; the columns fold rather than cut."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def moment(at: datetime | None) -> str:
    """A time to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at is not None else "-"


def span(seconds: float | None) -> str:
    """A length of time in words."""
    if seconds is None:
        return "-"
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} days"
