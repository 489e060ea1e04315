"""`orders-sync stock events`, `retry-event` and `skip-event`: events that could not be applied."""

import click

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import console
from orders_sync.cli.rows import format_options, print_rows
from orders_sync.cli.stock_acts import REASON
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import ROW_ID

APPLICATION = "orders_sync stock"
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
@format_options
def events(as_json: bool, as_csv: bool) -> None:
    """List events that could not be applied.

    An event that failed five times is given up: it is not tried again by itself until a later event of its order is
    applied. Then, or by `retry-event`, it is tried once more; `skip-event` puts it aside. The lock of its item may be
    wrong until then: `orders-sync stock repair` shows it. Later events of its order do not wait for it, since a lock
    follows from the item as it is now; `behind` names the first event of the order that failed.
    """
    from orders_sync.stock.queries import FailedEvent, failed_events

    with read_stock_database(APPLICATION) as connected:
        rows = [list(each) for each in failed_events(connected)]
    print_rows("Failed events", list(FailedEvent._fields), rows, as_json=as_json, as_csv=as_csv)


@click.command("retry-event")
@click.argument("event", type=EventId())
@REASON
def retry_event(event: int | str, reason: str) -> None:
    """Let the stock job try a failed event again.

    EVENT is its id, or `all` for all that failed. It is tried up to five times again.
    """
    from orders_sync.stock.failed_events import retry_failed

    with stock_database(APPLICATION) as connected:
        count = retry_failed(connected, by_user(reason), None if isinstance(event, str) else event)
    console.print(
        f"{count} events will be tried again by the stock job, or now by orders-sync stock apply.", markup=False
    )


@click.command("skip-event")
@click.argument("event", type=click.IntRange(*ROW_ID))
@REASON
def skip_event(event: int, reason: str) -> None:
    """Never try a failed event again.

    EVENT is its id. Neither its order nor what its items need changes: `orders-sync stock repair` finds a wrong lock.
    """
    from orders_sync.stock.failed_events import skip_failed

    with stock_database(APPLICATION) as connected:
        skip_failed(connected, event, by_user(reason))
    console.print(f"Event {event} is skipped.", markup=False)
