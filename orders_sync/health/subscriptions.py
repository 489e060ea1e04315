"""Whether those who subscribed to order events get them."""

from collections.abc import Iterator
from datetime import UTC, datetime

from orders_sync.config.pages import SUBSCRIPTION_PAGE, SUBSCRIPTIONS_PAGE
from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level
from orders_sync.model.time_words import span


def examine_subscriptions() -> Iterator[Finding]:
    """Whether each file can be used, each receiver works, and no event waits for too long or was given up."""
    from orders_sync.config.subscriptions import load_subscriptions
    from orders_sync.marketplaces.kit.accounts import account_names
    from orders_sync.subscriptions.deliveries import positions
    from orders_sync.subscriptions.registration import accounts_that_share
    from orders_sync.subscriptions.webhooks.delivery import FAILURES_BEFORE_REST

    usable, problems = load_subscriptions()
    for name, problem in problems.items():
        remedy = "Correct the file. `orders-sync subscriptions list` shows whether it is right."
        yield Finding(False, str(problem), remedy, kind=f"unusable subscription {name}", page=SUBSCRIPTIONS_PAGE)
    with orders_database(APPLICATION) as connection:
        found = {each.subscription: each for each in positions(connection)}
        failures = dict(connection.execute("SELECT subscription, failures FROM subscriptions").fetchall())
    known = set(account_names())
    for name, settings in usable.items():
        if missing := [each for each in settings.accounts or () if each not in known]:
            what = f"it asks for the events of {', '.join(missing)}: there is no such account"
            yield Finding(False, what, "Correct `accounts` in its file.", name, level=Level.WARNING, page=_page(name))
        if settings.buyer_data and not accounts_that_share(settings):
            what = "it asks for buyers' data, and no account shares them: its events have none"
            remedy = "Set `share_buyer_data: true` in the file of each account that may, or leave `buyer_data` out."
            yield Finding(False, what, remedy, name, kind="buyer_data", level=Level.WARNING, page=_page(name))
        if name not in found:
            what = "the orders database does not know it yet, so that it gets no events"
            remedy = (
                "The sensor `subscriptions` makes it known within a minute, `orders-sync subscriptions list` at once."
            )
            yield Finding(False, what, remedy, name, level=Level.WARNING, page=SUBSCRIPTIONS_PAGE)
    for name, position in found.items():
        if name not in usable and name not in problems:
            remedy = f"`orders-sync subscriptions remove {name}` forgets it; or bring its file back."
            what = "it collects events and has no file"
            yield Finding(False, what, remedy, name, level=Level.WARNING, page=_page(name))
        if position.is_paused:
            what = f"it is paused, and {position.waiting} events wait"
            remedy = f"`orders-sync subscriptions resume {name}` delivers again."
            yield Finding(True, f"{what}. {remedy}", about=name, is_notable=True)
            continue
        if position.given_up:
            remedy = (
                f"See `orders-sync subscriptions waiting {name} --given-up`; `orders-sync subscriptions replay {name} "
                "--given-up` tries them again."
            )
            what = f"{position.given_up} events could not be delivered, and are tried no more"
            yield Finding(False, what, remedy, name, kind="given up", level=Level.WARNING, page=_page(name))
        now = datetime.now(UTC)
        # Without a failed call, there is a problem with what it takes to call it, e.g. the URL.
        is_failing = not 0 < failures.get(name, 0) < FAILURES_BEFORE_REST
        if position.problem is not None and is_failing:
            remedy = f"It is tried again by itself. `orders-sync subscriptions waiting {name}` lists what waits."
            yield Finding(
                False, f"its receiver fails: {position.problem}", remedy, name, kind="receiver", page=_page(name)
            )
        elif position.waiting_since is not None and position.is_late(usable.get(name), now):
            waits = (now - position.waiting_since).total_seconds()
            what = f"{position.waiting} events wait, the oldest for {span(waits)}"
            remedy = f"`orders-sync subscriptions waiting {name}` shows why; the consumer may not run."
            yield Finding(False, what, remedy, name, kind="lagging", page=_page(name))
        elif not position.given_up:
            yield Finding(True, f"{position.delivered} events delivered in 24 h, {position.waiting} wait", about=name)


def _page(name: str) -> str:
    return f"{SUBSCRIPTION_PAGE}?name={name}"
