"""`orders-sync doctor`: the brief's troubleshooting list, gone through, with what to do about each finding."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import click

from orders_sync.cli.output import console, span


class Finding(NamedTuple):
    """One line of the doctor's report."""

    ok: bool
    what: str
    remedy: str = ""


@click.command()
def doctor() -> None:
    """Check everything that usually goes wrong, and say what to do. Exit code 1 if something needs a person.

    Database reachable? Accounts and credentials in order? Daemon alive? Schedules on? Lanes stuck or failing? Rate
    limits hit? Records rejected, events stuck, acceptances unanswered?
    """
    failed = False
    for name, examine in EXAMINATIONS:
        try:
            for finding in examine():
                failed = failed or not finding.ok
                mark = "[green]ok[/green]  " if finding.ok else "[red]FAIL[/red]"
                console.print(f"{mark} {name}: ", end="")
                console.print(finding.what, markup=False)
                if not finding.ok:
                    console.print(f"     → {finding.remedy}", markup=False)
        except Exception as error:  # one examination that fails must not hide the others
            failed = True
            console.print(f"[red]FAIL[/red] {name}: ", end="")
            console.print(str(error).splitlines()[0] if str(error) else type(error).__name__, markup=False)
    sys.exit(1 if failed else 0)


def _database() -> Iterator[Finding]:
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import upgrade_schema

    upgrade_schema()
    with connect() as connection:
        version = connection.info.server_version // 10_000
    yield Finding(True, f"PostgreSQL {version} answers, and its tables are up to date")


def _accounts() -> Iterator[Finding]:
    from orders_sync.config.account import AccountConfigError
    from orders_sync.marketplaces.kit.accounts import load_accounts

    accounts, problems = load_accounts()
    for problem in problems.values():
        yield Finding(False, str(problem), "Mend that file; `orders-sync accounts list` shows when it is right.")
    for account in accounts.values():
        try:
            for key in account.settings.CREDENTIALS:
                account.credential(key)
            yield Finding(True, f"{account.name}: its settings and its credentials are there")
        except AccountConfigError as problem:
            yield Finding(False, str(problem), "Set it for the daemon and the web server too, and restart them.")
    if not accounts and not problems:
        yield Finding(False, "there is none", "Add one: README, Add an account.")


def _daemon() -> Iterator[Finding]:
    from orders_sync.dagster_instance.instance import open_instance

    remedy = "Start it: `make run`, `dagster dev`, or `dagster-daemon run` on a server; see .state/logs/dagster.log."
    with open_instance() as instance:
        beats = instance.get_daemon_heartbeats()
        for name in ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR"):
            beat = beats.get(name)
            age = time.time() - beat.timestamp if beat else None
            if age is None or age > 120:
                seen = f"last seen {span(age)} ago" if age is not None else "never seen"
                yield Finding(False, f"the {name.lower()} daemon is not alive ({seen})", remedy)
            else:
                yield Finding(True, f"the {name.lower()} daemon was alive {span(age)} ago")


def _schedules() -> Iterator[Finding]:
    from orders_sync.config.schedules import load_schedules
    from orders_sync.dagster_instance.automation import stopped_instigators
    from orders_sync.dagster_instance.instance import open_instance

    settings = load_schedules()
    yield Finding(True, f"the cron windows are valid, in {settings.timezone}")
    with open_instance() as instance:
        stopped = stopped_instigators(instance)
    for name in stopped:
        yield Finding(False, f"{name} is switched off", "Switch it on in the UI, Automation.")
    if not stopped:
        yield Finding(True, "no schedule or sensor is switched off")


def _lanes() -> Iterator[Finding]:
    from orders_sync.config.schedules import load_schedules
    from orders_sync.database.engine import connect
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import load_accounts

    settings = load_schedules()
    now = datetime.now(UTC)
    with connect() as connection:
        known = lane_states(connection, list(load_accounts()[0]))
    for state in known:
        if state.holder is not None and state.last_started_at is not None:
            age = now - state.last_started_at
            if age > timedelta(hours=3):
                yield Finding(
                    False, f"{state.lane}: {state.holder} has been at work for {span(age.total_seconds())}",
                    "Look at that run in the UI; terminate it there if it no longer moves. Its lane frees itself.",
                )  # fmt: skip
                continue
        if state.last_outcome == "failed":
            yield Finding(
                False, f"{state.lane}: its last run failed: {state.last_problem}",
                "The next tick tries again and misses nothing; `orders-sync log --grep` tells more.",
            )  # fmt: skip
            continue
        last_tick = settings.last_tick(state.lane.sync_type, now)
        late = state.last_started_at is None or state.last_started_at < last_tick - timedelta(minutes=1)
        if late and now - last_tick > timedelta(minutes=30) and state.holder is None:
            yield Finding(
                False, f"{state.lane}: did not run at its last tick, {last_tick.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
                "See the schedule's ticks in the UI for the reason, or `orders-sync schedule run` now.",
            )  # fmt: skip
            continue
        lag = f", {span(state.lag(now))} behind" if state.lag(now) is not None else ""
        yield Finding(True, f"{state.lane}: {state.last_outcome or 'has not run yet'}{lag}")


def _rate_limits() -> Iterator[Finding]:
    from orders_sync.database.engine import connect

    with connect() as connection:
        blocked = connection.execute(
            "SELECT DISTINCT account, blocked_until FROM rate_limits WHERE blocked_until > now()"
        ).fetchall()
        hits = connection.execute(
            "SELECT account, sum((summary->>'too_many_requests')::int) FROM lane_runs "
            "WHERE started_at > now() - interval '1 day' GROUP BY account "
            "HAVING sum((summary->>'too_many_requests')::int) > 0"
        ).fetchall()
    for account, until in blocked:
        yield Finding(
            False, f"{account} is blocked by its marketplace until {until:%H:%M:%S}",
            "Wait; if it happens often, lower limits.share in the account's file.",
        )  # fmt: skip
    for account, count in hits:
        yield Finding(
            False, f"{account} was told to slow down {count} times in the last day",
            "Lower limits.share in the account's file, or let other programs use the API less.",
        )  # fmt: skip
    if not blocked and not hits:
        yield Finding(True, "no marketplace told us to slow down in the last day")


def _records() -> Iterator[Finding]:
    from orders_sync.database.engine import connect

    queries: list[tuple[str, str, str]] = [
        (
            "SELECT count(*) FROM rejected_records WHERE resolved_at IS NULL",
            "{} rejected records", "`orders-sync rejected list` tells why; `orders-sync rejected retry` tries again.",
        ),
        (
            "SELECT count(*) FROM order_events "
            "WHERE applied_at IS NULL AND recorded_at < now() - interval '10 minutes'",
            "{} order events wait for the stock job for more than 10 minutes",
            "Is the daemon alive? `orders-sync stock apply` applies them now.",
        ),
        (
            "SELECT count(*) FROM stock_locks WHERE state = 'short'",
            "{} items whose stock can't be locked", "`orders-sync stock levels --short`; import the right levels.",
        ),
        (
            "SELECT count(*) FROM (SELECT 1 FROM acceptances WHERE state <> 'accepted' AND state <> 'left' "
            "GROUP BY account, order_id, sku HAVING count(*) >= 5) stuck",
            "{} orderlines could not be accepted in five requests", "Accept them by hand in the back office.",
        ),
    ]  # fmt: skip
    with connect() as connection:
        for query, text, remedy in queries:
            row = connection.execute(query).fetchone()  # pyright: ignore[reportArgumentType,reportCallIssue]
            count = int(row[0]) if row else 0
            yield Finding(count == 0, text.format(count or "no"), remedy)


EXAMINATIONS: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
    ("database", _database),
    ("accounts", _accounts),
    ("daemon", _daemon),
    ("schedules", _schedules),
    ("lanes", _lanes),
    ("rate limits", _rate_limits),
    ("records", _records),
]
