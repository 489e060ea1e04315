"""`orders-sync alerts`: what is wrong, who was notified, and whether they can be reached."""

import sys
from functools import partial

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, print_error, print_warning, yes_or_no
from orders_sync.cli.rows import format_options, json_option, print_json, print_rows
from orders_sync.cli.tables import table
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync alerts"


@click.group()
def alerts() -> None:
    """List what people are alerted of, and test channels."""


@alerts.command("list")
@format_options
def list_troubles(as_json: bool, as_csv: bool) -> None:
    """List what is wrong, and which channels know.

    It is what the last evaluation found: the sensor `alerts` and `orders-sync watch` evaluate once a minute.
    """
    from orders_sync.alerts.troubles import present, reported_to

    with orders_database(APPLICATION) as connection:
        channels = reported_to(connection)
        rows = [
            [each.level, each.text, each.began_at, ", ".join(channels.get(each.trouble_id, ())) or None, each.remedy]
            for each in present(connection)
        ]
    names = ["level", "what", "since", "reported_to", "what_to_do"]
    print_rows(f"{len(rows)} troubles", names, rows, as_json=as_json, as_csv=as_csv)


@alerts.command("test")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
def test(channels: tuple[str, ...], as_json: bool) -> None:
    """Send a message to channels, by default to all.

    The recorded problem of a channel that works now is over. Exit code 1 if a message could not be sent.
    """
    from orders_sync.alerts.channels import call_all, send_to
    from orders_sync.alerts.messages import Message
    from orders_sync.config.alerts import AlertConfigError, alerts_file, read_alerts
    from orders_sync.config.yaml_files import did_you_mean

    settings, file = read_alerts(), alerts_file()
    for name in channels:
        if name not in settings.channels:
            allowed = ", ".join(settings.channels) or "none yet"
            meant = did_you_mean(name, settings.channels)
            raise AlertConfigError(f"{file}: there is no channel {name}{meant}; its channels are: {allowed}.")
    if not settings.channels:
        raise AlertConfigError(f"{file}: no channel is named, so that nobody is alerted.")
    message = Message("orders_sync: a test", "This is a test of the alerts of orders_sync. Nothing is wrong.")
    found: dict[str, str | None] = dict.fromkeys(channels or settings.channels)
    calls = {name: [partial(send_to, settings.channels[name], str(file), name, message)] for name in found}
    found.update((name, problem) for name, _, problem in call_all(calls))
    _note_working([name for name, problem in found.items() if problem is None])
    if as_json:
        print_json([{"channel": name, "sent": problem is None, "problem": problem} for name, problem in found.items()])
    else:
        shown = table("Channels", "channel", "sent", "problem")
        for name, problem in found.items():
            shown.add_row(name, yes_or_no(problem is None), problem or "")
        console.print(shown)
    if wrong := sum(problem is not None for problem in found.values()):
        print_error(f"{wrong} of the channels can't be reached.")
    sys.exit(EXIT_FAILED if wrong else EXIT_DONE)


def _note_working(channels: list[str]) -> None:
    """Ends the recorded problems of channels. The test is done without the orders database, too: it may be down."""
    import psycopg

    from orders_sync.alerts.calls import note_working
    from orders_sync.database.problems import problem_of

    if not channels:
        return
    try:
        with orders_database(APPLICATION) as connection:
            note_working(connection, channels)
    except (UserFacingError, psycopg.Error) as error:
        problem = problem_of(error) if isinstance(error, psycopg.Error) else error
        print_warning(f"Recorded problems of channels stay until their next calls: {str(problem).splitlines()[0]}")
