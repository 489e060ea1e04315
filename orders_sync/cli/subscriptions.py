"""`orders-sync subscriptions`: who gets order events, how far they are, and what people do about it."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from orders_sync.cli.database import read_stock_database
from orders_sync.cli.names import SUBSCRIPTION
from orders_sync.cli.output import EXIT_FAILED, console, print_as_it_is, print_error, print_warning
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.rows import format_options, print_json, print_rows
from orders_sync.cli.user import by_user
from orders_sync.config.bounds import ROW_ID, ROWS_SHOWN
from orders_sync.database.opened import orders_database
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync subscriptions"
DELIVER_SECONDS = 25.0
PAUSE_SECONDS = 2.0
"""How long `deliver` waits when nothing is due."""
reason_option = click.option("--reason", required=True, help="Why; stored with your name.")


@click.group()
def subscriptions() -> None:
    """Show who gets order events, and pause, skip or replay."""


@subscriptions.command("list")
@format_options
def list_subscriptions(as_json: bool, as_csv: bool) -> None:
    """List all subscriptions and how far they are.

    `stock` is the stock job, which is always there. New files in defs/subscriptions count from now on.
    """
    from orders_sync.config.subscriptions import (
        FILE_NAME,
        STOCK,
        SubscriptionConfigError,
        load_subscriptions,
        subscriptions_folder,
    )
    from orders_sync.stock.queries import stock_position
    from orders_sync.subscriptions.consumer import find_consumer
    from orders_sync.subscriptions.deliveries import positions
    from orders_sync.subscriptions.registration import register

    configured, problems = load_subscriptions()
    with orders_database(APPLICATION) as connection:
        register(connection, configured)
        found = positions(connection)
    with read_stock_database(APPLICATION) as stock:
        of_stock = stock_position(stock)
    now = datetime.now(UTC)
    consumers = {name: settings.consumer for name, settings in configured.items()}
    rows: list[list[Any]] = [
        [STOCK, "stock job", "", of_stock.waiting, of_stock.waiting_since, of_stock.failing, None, of_stock.given_up]
    ]
    rows += [
        [
            each.subscription, consumers.get(each.subscription, "none: it has no file"), each.state(now), each.waiting,
            each.waiting_since, each.failing, each.delivered, each.given_up,
        ]
        for each in found
    ]  # fmt: skip
    for name, settings in configured.items():
        if settings.dagster is not None:
            try:
                folder = subscriptions_folder() / name
                find_consumer(settings.dagster.function, folder, str(folder / FILE_NAME))
            except SubscriptionConfigError as problem:
                problems[name] = problem
    names = ["subscription", "consumer", "state", "waiting", "waits_since", "failing", "delivered_24_h", "given_up"]
    print_rows(f"{len(rows)} subscriptions", names, rows, as_json=as_json, as_csv=as_csv, optional=["consumer"])
    for problem in problems.values():
        print_error(str(problem))
    for each in found:
        if each.subscription not in configured and each.subscription not in problems:
            print_warning(
                f"{each.subscription} has no file any more, and goes on to collect events: `orders-sync subscriptions "
                f"remove {each.subscription}` forgets it."
            )
    if problems:
        raise SystemExit(EXIT_FAILED)


@subscriptions.command("waiting")
@click.argument("name", type=SUBSCRIPTION)
@click.option("--given-up", is_flag=True, help="Those that could not be delivered, and are tried no more.")
@click.option("--limit", type=click.IntRange(*ROWS_SHOWN), default=50, show_default=True, help="At most so many.")
@format_options
def waiting(name: str, given_up: bool, limit: int, as_json: bool, as_csv: bool) -> None:
    """List the events that wait for a subscription.

    The oldest comes first.
    """
    from orders_sync.subscriptions.by_hand import deliveries

    with orders_database(APPLICATION) as connection:
        found = deliveries(connection, name, given_up=given_up, limit=limit)
    names = ["event", "kind", "account", "order", "recorded_at", "attempts", "due_at", "problem"]
    rows = [list(each[: len(names)]) for each in found]
    what = "given up" if given_up else "waiting"
    print_rows(f"{len(rows)} events {what}", names, rows, as_json=as_json, as_csv=as_csv, optional=["recorded_at"])


@subscriptions.command("event")
@click.argument("event_id", type=click.IntRange(*ROW_ID), metavar="EVENT")
def event(event_id: int) -> None:
    """Print an event as its consumers get it, as JSON."""
    with orders_database(APPLICATION) as connection:
        row = connection.execute("SELECT order_event(%s)", [event_id]).fetchone()
    if row is None or row[0] is None:
        raise UserFacingError(f"There is no event {event_id}.")
    print_json(row[0])


@subscriptions.command("pause")
@click.argument("name", type=SUBSCRIPTION)
@reason_option
def pause(name: str, reason: str) -> None:
    """Stop the delivery; events go on to be collected."""
    from orders_sync.subscriptions import by_hand

    with orders_database(APPLICATION) as connection:
        by_hand.pause(connection, name, by_user(reason))
    console.print(f"{name} is paused. `orders-sync subscriptions resume {name}` ends that.", markup=False)


@subscriptions.command("resume")
@click.argument("name", type=SUBSCRIPTION)
@reason_option
def resume(name: str, reason: str) -> None:
    """Deliver again, also to a receiver that rests."""
    from orders_sync.subscriptions import by_hand

    with orders_database(APPLICATION) as connection:
        by_hand.resume(connection, name, by_user(reason))
    console.print(f"{name} gets events again.", markup=False)


@subscriptions.command("skip")
@click.argument("name", type=SUBSCRIPTION)
@click.argument("event_id", type=click.IntRange(*ROW_ID), metavar="EVENT")
@reason_option
def skip(name: str, event_id: int, reason: str) -> None:
    """End an event that waits, without its delivery.

    The next event of its order is due then.
    """
    from orders_sync.subscriptions import by_hand

    with orders_database(APPLICATION) as connection:
        by_hand.skip(connection, name, event_id, by_user(reason))
    console.print(f"{name} does not get the event {event_id}.", markup=False)


@subscriptions.command("replay")
@click.argument("name", type=SUBSCRIPTION)
@click.option("--since", type=PastTime(), help="All events since this time (UTC).")
@click.option("--order", metavar="ACCOUNT/ORDER", help="All events of this order.")
@click.option("--given-up", is_flag=True, help="All that were given up.")
@reason_option
def replay(name: str, since: datetime | None, order: str | None, given_up: bool, reason: str) -> None:
    """Deliver events again, with the ids that they had."""
    from orders_sync.subscriptions import by_hand

    if (since is not None) + (order is not None) + given_up != 1:
        raise click.UsageError("Exactly one of --since, --order and --given-up is needed.")
    by = by_user(reason)
    with orders_database(APPLICATION) as connection:
        if since is not None:
            count = by_hand.replay_since(connection, name, since.astimezone(UTC), by)
        elif order is not None:
            account, _, order_id = order.partition("/")
            if not order_id:
                raise click.UsageError("--order is written ACCOUNT/ORDER.")
            count = by_hand.replay_order(connection, name, account, order_id, by)
        else:
            count = by_hand.replay_given_up(connection, name, by)
    console.print(f"{name} gets {count} events again.", markup=False)


@subscriptions.command("remove")
@click.argument("name", type=SUBSCRIPTION)
@reason_option
def remove(name: str, reason: str) -> None:
    """Forget a subscription whose file is gone.

    What waits for it is forgotten, too.
    """
    from orders_sync.subscriptions import by_hand

    with orders_database(APPLICATION) as connection:
        count = by_hand.remove(connection, name, by_user(reason))
    console.print(f"{name} is forgotten; {count} events were waiting for it.", markup=False)


@subscriptions.command("deliver")
@click.option("--once", is_flag=True, help="Deliver what is due, and end.")
def deliver(once: bool) -> None:
    """Send events to the receivers of all webhooks, until Ctrl-C.

    The sensor `webhooks` of Dagster does the same: this is for machines without the daemon. Exit code 1 with --once if
    a call failed.
    """
    from orders_sync.cli.webhooks import deliver_webhooks

    while True:
        found = deliver_webhooks(DELIVER_SECONDS)
        for each in found:
            if each.delivered or each.failed or each.problem:
                console.print(f"{each.subscription}: {each.delivered} delivered, {each.failed} failed", markup=False)
            if each.problem:
                print_error(f"{each.subscription}: {each.problem}")
        if once:
            raise SystemExit(1 if any(each.problem for each in found) else 0)
        if not any(each.delivered for each in found):
            time.sleep(PAUSE_SECONDS)


@subscriptions.command("secret")
def secret() -> None:
    """Print a new secret for a webhook: `whsec_…`."""
    from orders_sync.subscriptions.webhooks.signatures import make_secret

    print_as_it_is(f"{make_secret()}\n")
