"""What `orders-sync schedule run` does beside the syncs, where no daemon does: events, alerts, retention, pruning."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from orders_sync.cli.database import read_stock_database, stock_database
from orders_sync.cli.output import console, print_error
from orders_sync.config import crons
from orders_sync.config.environment import state_folder
from orders_sync.config.private_files import private_file, private_folder
from orders_sync.database.opened import orders_database
from orders_sync.database.problems import problem_of
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync schedule"
DELIVER_SECONDS = 40.0
"""How long events are sent to receivers: the next run goes on."""
OF_DAEMON = ("daemon", "code location", "schedules")
"""Examinations of what such a machine does not have."""


def waiting_events() -> int:
    """How many order events wait for the stock job; 1 if only what is available to sell lacks a change of stock."""
    from orders_sync.stock.apply_events import pending_events
    from orders_sync.stock.available_position import is_behind

    with read_stock_database(APPLICATION) as stock:
        return pending_events(stock) or int(is_behind(stock))


def apply_waiting_events() -> bool:
    """Applies the events that wait. Returns whether all could be applied."""
    from orders_sync.lanes.restocking import note_restocking
    from orders_sync.marketplaces.kit.accounts import overselling_accounts, restocking_accounts
    from orders_sync.stock.apply_events import apply_pending

    with stock_database(APPLICATION) as stock:
        note_restocking(stock.connection, restocking_accounts())
        applied = apply_pending(stock, overselling_accounts())
    console.print(f"{applied.events:d} order events applied.")
    if applied.failed:
        print_error(f"{applied.failed} order events failed. `orders-sync stock events` lists them.")
    return not applied.failed


def waiting_webhooks() -> list[str]:
    """The subscriptions with a webhook for which an event is due."""
    from orders_sync.config.subscriptions import load_subscriptions
    from orders_sync.subscriptions.deliveries import is_due

    names = [name for name, settings in load_subscriptions()[0].items() if settings.webhook is not None]
    if not names:
        return []
    with orders_database(APPLICATION) as connection:
        return [name for name in names if is_due(connection, name)]


def send_webhooks() -> bool:
    """Sends order events to the receivers of webhooks. Returns whether all calls succeeded."""
    from orders_sync.cli.webhooks import deliver_webhooks

    found = deliver_webhooks(DELIVER_SECONDS)
    for each in found:
        console.print(f"{each.subscription}: {each.delivered} events delivered.", markup=False)
        if each.problem:
            print_error(f"{each.subscription}: {each.failed} calls failed: {each.problem}")
    return not any(each.problem for each in found)


def evaluate_alerts() -> bool:
    """Examines the project and sends the alerts that are due. Returns whether all could be sent."""
    from orders_sync.alerts.evaluation import evaluate
    from orders_sync.config.alerts import alerts_file, read_alerts
    from orders_sync.health.examinations import EXAMINATIONS, SLOW

    examined = {name: each for name, each in EXAMINATIONS.items() if name not in SLOW and name not in OF_DAEMON}
    settings = read_alerts()
    with orders_database(APPLICATION) as connection:
        outcome = evaluate(connection, settings, str(alerts_file()), examined)
    problems = outcome.problems if outcome is not None else []
    for problem in problems:
        print_error(f"Alert not sent: {problem}")
    return not problems


def _blank_old_buyers_data() -> None:
    from orders_sync.marketplaces.kit.accounts import load_accounts
    from orders_sync.privacy.retention import blank_buyers_data

    accounts, _ = load_accounts()
    with orders_database(APPLICATION) as connection:
        blanked = sum(blank_buyers_data(connection, account).orders for account in accounts.values())
    console.print(f"Retention: buyers' data of {blanked:d} orders blanked.")


def _prune_old_history() -> None:
    from orders_sync.config.environment import keep_events, keep_runs
    from orders_sync.database.pruning import prune_rows

    with orders_database(APPLICATION) as connection:
        pruned = prune_rows(connection, runs=keep_runs(), events=keep_events())
    console.print(f"Pruning: {sum(pruned):d} old rows deleted.")


NIGHTLY: Mapping[str, tuple[str, Callable[[], None]]] = {
    "retention": (crons.RETENTION, _blank_old_buyers_data),
    "pruning": (crons.PRUNING, _prune_old_history),
}
"""What is due once a day, by name: its cron, and what does it. Once more does no harm."""


def due_tonight(now: datetime) -> Iterator[str]:
    """The names of NIGHTLY that this machine did not do since their last tick; the first one is that to come."""
    from orders_sync.config.cron_ticks import latest_tick

    for name, (cron, _) in NIGHTLY.items():
        done = _last_done(name)
        if done is None:
            _note_done(name, now)
        elif done < latest_tick((cron,), now, "UTC"):
            yield name


def do_tonight(name: str, now: datetime) -> None:
    """Does one of NIGHTLY, and notes it."""
    NIGHTLY[name][1]()
    _note_done(name, now)


def attempt(work: Callable[[], bool | None]) -> bool:
    """Does a part of what is due: one that fails is reported, and stops no other. Returns whether it succeeded."""
    try:
        return work() is not False
    except (UserFacingError, psycopg.Error) as error:
        print_error(problem_of(error) if isinstance(error, psycopg.Error) else error)
        return False


def _file(name: str) -> Path:
    return private_folder(state_folder() / "schedule_run") / name


def _last_done(name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_file(name).read_text().strip()).astimezone(UTC)
    except (FileNotFoundError, ValueError):
        return None


def _note_done(name: str, now: datetime) -> None:
    with open(_file(name), "w", opener=private_file) as file:
        file.write(f"{now.astimezone(UTC).isoformat()}\n")
