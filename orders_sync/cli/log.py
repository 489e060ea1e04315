"""`orders-sync log`: the log of all syncs (V1: `tail -f storage/logs/laravel.log | grep OrderSyncService`)."""

import time
from collections import deque

import click

from orders_sync.cli.output import print_as_it_is


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Wait for new lines and show them, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True, help="Number of last lines.")
@click.option("--grep", "text", help="Show only lines with this text, e.g. an account or run id.")
def log(follow: bool, lines: int, text: str | None) -> None:
    """Show the log of all syncs of this machine.

    It holds the syncs of Dagster and those of the command line.
    """
    from orders_sync.config.environment import sync_log_file

    path = sync_log_file()
    path.touch()
    with path.open(encoding="utf-8") as file:
        last = deque((line for line in file if text is None or text in line), maxlen=lines or 1)
        for line in last if lines else ():
            print_as_it_is(line)
        if not last and not follow:
            click.echo(f"No lines yet in {path}.")
        while follow:
            line = file.readline()
            if not line:
                time.sleep(0.3)
            elif text is None or text in line:
                print_as_it_is(line)
