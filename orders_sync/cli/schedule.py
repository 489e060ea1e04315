"""`orders-sync schedule`: V1's `php artisan schedule:list` and `schedule:run`."""

import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import click

from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, print_beside, print_error, print_warning
from orders_sync.cli.rows import json_option, print_json
from orders_sync.cli.tables import FittingTable, table
from orders_sync.config.account import SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.opened import orders_database
from orders_sync.lanes.history import LaneState
from orders_sync.lanes.next_try import next_try
from orders_sync.model.lane import Lane, SyncType

APPLICATION = "orders_sync schedule"


@click.group()
def schedule() -> None:
    """List the schedules, and run the syncs that are due."""


@schedule.command("list")
@json_option
def list_schedules(as_json: bool) -> None:
    """List the schedules, and what they cost.

    Of each schedule its ticks, of each lane its last run and its API calls per day: the ticks of a day
    times the median of the lane's passes in the last 7 days.

    Exit code 1 if the file of the schedules can't be used: those in force are listed.
    """
    from orders_sync.config.schedules import schedules_in_force
    from orders_sync.lanes.api_calls import calls_per_pass
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    settings, problem = schedules_in_force()
    accounts, _ = load_accounts()
    with orders_database(APPLICATION) as connection:
        states = {state.lane: state for state in lane_states(connection, lanes_on(accounts))}
        calls = calls_per_pass(connection)
    ticks = list(_ticks_of(settings, accounts, datetime.now(UTC)))
    lanes = [
        _row_of_lane(account, sync_type, settings, states, calls)
        for account in accounts.values()
        for sync_type in SyncType
    ]
    if as_json:
        print_json({"timezone": settings.timezone, "schedules": ticks, "lanes": lanes})
    else:
        title = f"Schedules (crons in {settings.timezone}, times in UTC)"
        console.print(_table(title, SCHEDULE_COLUMNS, ticks))
        console.print(_table("Lanes (times in UTC)", LANE_COLUMNS, lanes))
    if problem is not None:
        print_beside(str(problem), "red")
        sys.exit(EXIT_FAILED)


SCHEDULE_COLUMNS = ("schedule", "crons", "per_day", "last_tick", "next_tick")
LANE_COLUMNS = ("lane", "last_run", "outcome", "calls_per_day")


def _ticks_of(
    settings: ScheduleSettings, accounts: Mapping[str, SellerAccount], now: datetime
) -> Iterator[dict[str, Any]]:
    """Each schedule: those of all accounts, then those of single ones."""
    kinds = [*((each, False) for each in SyncType), (SyncType.NEW, True)]
    for account in (None, *accounts.values()):
        for sync_type, frequent in kinds:
            crons = (
                settings.crons(sync_type, frequent=frequent)
                if account is None
                else account.settings.schedules.of(sync_type, frequent=frequent)
            )
            if not crons or (account is not None and not account.has_on(sync_type)):
                continue
            yield {
                "schedule": f"{account.name + '/' if account else ''}{sync_type}{' (frequent)' if frequent else ''}",
                "crons": list(crons),
                "per_day": settings.ticks_per_day(crons),
                "last_tick": settings.last_of(crons, now),
                "next_tick": settings.next_of(crons, now),
            }


def _row_of_lane(
    account: SellerAccount,
    sync_type: SyncType,
    settings: ScheduleSettings,
    states: Mapping[Lane, LaneState],
    calls: Mapping[Lane, float],
) -> dict[str, Any]:
    lane = Lane(account.name, sync_type)
    state, is_on = states.get(lane), account.has_on(sync_type)
    own = settings.for_account(account.settings.schedules)
    crons = [*own.crons(sync_type), *(own.crons(sync_type, frequent=True) if sync_type is SyncType.NEW else ())]
    return {
        "lane": str(lane),
        "last_run": state.last_started_at if state else None,
        "outcome": ((state and state.last_outcome) or "never ran") if is_on else "switched off",
        "calls_per_day": round(calls[lane] * own.ticks_per_day(crons)) if is_on and lane in calls else None,
    }


def _table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> FittingTable:
    shown = table(title, *(column.replace("_", " ") for column in columns))
    for row in rows:
        shown.add_row(*(_cell(row[column]) for column in columns))
    return shown


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        case list():
            return "\n".join(cast(list[str], value))
        case _:
            return str(value)


@schedule.command("run")
@click.option("--dry-run", is_flag=True, help="Show what is due, and run nothing.")
def run_due(dry_run: bool) -> None:
    """Run the syncs and the housekeeping that are due.

    A lane is due when it did not start since the last tick of its schedule, and 1, 5, 15, then 60 minutes after each
    failure in a row. A lane whose credential is refused pauses until that is corrected: exit code 1. An account that a
    person has paused is left out.

    Then order events are applied to the stock locks and sent to the receivers of webhooks, the examinations of
    `orders-sync doctor` are evaluated and alerts sent, and the retention of buyers' data and the pruning of old history
    run, each once a night. What needs Dagster, such as reports and checks in the UI, is left out.

    For machines without the Dagster daemon. Safe beside a running daemon: a lane never runs over itself.
    """
    from orders_sync.cli import housekeeping
    from orders_sync.config.schedules import schedules_in_force

    settings, problem = schedules_in_force()
    if problem is not None:
        print_error(problem)
    now = datetime.now(UTC)
    accounts, due, is_refused = _due_lanes(settings, now)
    nightly = list(housekeeping.due_tonight(now))
    failed = problem is not None or is_refused
    if dry_run:
        events = housekeeping.waiting_events()
        webhooks = [f"webhook {name}" for name in housekeeping.waiting_webhooks()]
        named = [*map(str, due), *(["order events"] if events else []), *webhooks, *nightly]
        console.print(f"Due: {', '.join(named)}" if named else "Nothing is due.", markup=False)
        sys.exit(EXIT_FAILED if failed else EXIT_DONE)
    if due:
        console.print("Due: " + ", ".join(map(str, due)), markup=False)
    exit_code = _run_lanes([(accounts[lane.account], lane) for lane in due])
    is_idle = not due and not nightly
    if housekeeping.waiting_events():
        is_idle = False
        failed = not housekeeping.attempt(housekeeping.apply_waiting_events) or failed
    if housekeeping.waiting_webhooks():
        is_idle = False
    failed = not housekeeping.attempt(housekeeping.send_webhooks) or failed
    for name in nightly:
        failed = not housekeeping.attempt(partial(housekeeping.do_tonight, name, now)) or failed
    failed = not housekeeping.attempt(housekeeping.evaluate_alerts) or failed
    if is_idle:
        console.print("Nothing is due.")
    sys.exit(EXIT_FAILED if failed else exit_code)


def _due_lanes(settings: ScheduleSettings, now: datetime) -> tuple[Mapping[str, SellerAccount], Sequence[Lane], bool]:
    """The accounts, their lanes that are due and do not pause, and whether a credential is refused."""
    from orders_sync.lanes.history import lane_states
    from orders_sync.lanes.pauses import AccountPause, pause_of
    from orders_sync.lanes.progress import failures_in_row
    from orders_sync.lanes.refusals import Refusal
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    accounts, _ = load_accounts()
    of_account = {name: settings.for_account(each.settings.schedules) for name, each in accounts.items()}
    with orders_database(APPLICATION) as connection:
        states = lane_states(connection, lanes_on(accounts))
        failures = failures_in_row(connection, [state.lane for state in states])
        due = [
            state.lane
            for state in states
            if _is_due(state, failures.get(state.lane, 0), of_account[state.lane.account], now)
        ]
        found = {lane: pause_of(connection, accounts[lane.account], lane.sync_type) for lane in due}
    pauses = {lane: pause for lane, pause in found.items() if pause is not None}
    for text, is_chosen in {str(pause): isinstance(pause, AccountPause) for pause in pauses.values()}.items():
        (print_warning if is_chosen else print_error)(text)
    is_refused = any(isinstance(pause, Refusal) for pause in pauses.values())
    return accounts, [lane for lane in due if lane not in pauses], is_refused


def _run_lanes(lanes: Sequence[tuple[SellerAccount, Lane]]) -> int:
    """Runs a pass of each lane. Returns the exit code: that of the first one that did not succeed."""
    from orders_sync.cli.sync import partial_warning, run_with_progress
    from orders_sync.passes.sync_log import log_to_file
    from orders_sync.sync.pass_request import PassRequest

    exit_code = EXIT_DONE
    with log_to_file():
        for account, lane in lanes:
            run_id = f"cli-{uuid.uuid4().hex[:8]}"
            code, summary = run_with_progress(PassRequest(account, lane.sync_type, run_id))
            exit_code = exit_code or code
            if summary is not None:
                console.print(f"{lane}: {summary.created} created, {summary.changed} changed", markup=False)
                if summary.is_partial:
                    print_warning(partial_warning(str(lane), summary))
    return exit_code


def _is_due(state: LaneState, failures: int, settings: ScheduleSettings, now: datetime) -> bool:
    if state.last_started_at is None or state.last_started_at < settings.last_tick(state.lane.sync_type, now):
        return True
    if not failures or state.last_outcome != "failed":
        return False
    return now >= next_try(failures, state.last_finished_at or state.last_started_at)
