"""`orders-sync log`: what `tail -f storage/logs/laravel.log | grep OrderSyncService` was."""

import time
from collections import deque

import click


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come; Ctrl-C ends it.")
@click.option("-n", "--lines", type=click.IntRange(0), default=20, help="How many of the last lines to show.")
@click.option("--grep", "word", help="Only lines that hold this text, e.g. an account or run id.")
def log(follow: bool, lines: int, word: str | None) -> None:
    """Show the log of all syncs of this machine, whoever launched them."""
    from orders_sync.config.environment import sync_log_file

    path = sync_log_file()
    path.touch()
    with path.open(encoding="utf-8") as file:
        last = deque((line for line in file if word is None or word in line), maxlen=lines or 1)
        for line in last if lines else ():
            click.echo(line, nl=False)
        if not last and not follow:
            click.echo(f"No lines yet in {path}.")
        while follow:
            line = file.readline()
            if not line:
                time.sleep(0.3)
            elif word is None or word in line:
                click.echo(line, nl=False)
