"""`orders-sync stock events`: events that could not be applied."""

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.user import by_user

APPLICATION = "orders_sync stock events"
ALL = "all"
MAX_DIGITS = 100


class EventId(click.ParamType[int | str]):
    """The id of an event, or `all`."""

    name = "ID|all"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value)
        if text == ALL:
            return ALL
        if not (text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS):
            self.fail(f"{text} is not an event's id; allowed are a number and `{ALL}`", param, ctx)
        return int(text)


@click.command("events")
@click.option("--retry", type=EventId(), help="Let the stock job try this event again, or all that failed.")
@click.option("--skip", type=int, metavar="ID", help="Never try this event again; needs --reason.")
@click.option("--reason", help="Why it is skipped; stored with your name.")
@format_options
def events(retry: int | str | None, skip: int | None, reason: str | None, as_json: bool, as_csv: bool) -> None:
    """List events that could not be applied, or deal with them.

    An event that failed five times is not tried again by itself. The lock of its item may be wrong until then:
    `orders-sync stock repair` shows it.
    """
    from orders_sync.stock.failed_events import retry_failed, skip_failed
    from orders_sync.stock.queries import FailedEvent, failed_events

    if skip is not None and reason is None:
        raise click.BadParameter("say why the event is skipped", param_hint="--reason")
    if skip is None and reason is not None:
        raise click.BadParameter("a reason belongs to --skip", param_hint="--reason")
    if retry is None and skip is None:
        with read_stock_database(APPLICATION) as connected:
            failed = failed_events(connected)
        rows = [list(each) for each in failed]
        print_rows("Failed events", list(FailedEvent._fields), rows, as_json=as_json, as_csv=as_csv)
        return
    with stock_database(APPLICATION) as connected:
        if retry is not None:
            count = retry_failed(connected, by_user(), None if isinstance(retry, str) else retry)
            console.print(f"{count} events will be tried again by the stock job, or now by orders-sync stock apply.")
        if skip is not None:
            skip_failed(connected, skip, by_user(reason))
            console.print(f"Event {skip} is skipped.")
