"""`orders-sync log`: the log of all syncs (V1: `tail -f storage/logs/laravel.log | grep OrderSyncService`)."""

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from orders_sync.cli.output import print_as_it_is
from orders_sync.config.bounds import LOG_LINES


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Wait for new lines and show them, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(*LOG_LINES), default=20, show_default=True, help="Number of last lines."
)
@click.option("--grep", "text", help="Show only lines with this text, e.g. an account or run id.")
def log(follow: bool, lines: int, text: str | None) -> None:
    """Show the log of all syncs of this machine.

    It holds the syncs of Dagster and those of the command line. Of the full files `sync.log.1` to `sync.log.4`, the
    newest one is shown, too, where the log has fewer lines.
    """
    from orders_sync.config.environment import sync_log_file
    from orders_sync.config.log_files import old_file

    path = sync_log_file()
    path.touch()
    last: deque[str] = deque(maxlen=lines or 1)
    with path.open(encoding="utf-8") as file:
        with contextlib.suppress(FileNotFoundError), old_file(path, 1).open(encoding="utf-8") as before:
            last.extend(line for line in before if text is None or text in line)
        last.extend(line for line in file if text is None or text in line)
        for line in last if lines else ():
            print_as_it_is(line)
        if not last and not follow:
            click.echo(f"No lines yet in {path}.")
        for line in _lines_from_now_on(path, file) if follow else ():
            if text is None or text in line:
                print_as_it_is(line)


def _lines_from_now_on(path: Path, file: TextIO) -> Iterator[str]:
    """The lines that are appended, for ever; also those of the new file that begins when this one is full."""
    while True:
        yield from iter(file.readline, "")
        with contextlib.suppress(FileNotFoundError):
            if not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                yield from iter(file.readline, "")  # what came between the two looks
                file.close()
                file = path.open(encoding="utf-8")
                continue
        time.sleep(0.3)
