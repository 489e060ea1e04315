"""`orders-sync schedule`: V1's `php artisan schedule:list` and `schedule:run`."""

import sys
import uuid
from datetime import UTC, datetime

import click

from orders_sync.cli.database import orders_database
from orders_sync.cli.output import EXIT_DONE, EXIT_FAILED, console, moment, print_error, print_warning, table
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.lanes.history import LaneState
from orders_sync.lanes.next_try import next_try
from orders_sync.model.lane import Lane, SyncType

APPLICATION = "orders_sync schedule"


@click.group()
def schedule() -> None:
    """List the schedules, and run the syncs that are due."""


@schedule.command("list")
def list_schedules() -> None:
    """List the schedules with their ticks and last runs.

    Exit code 1 if the file of the schedules can't be used: those in force are listed.
    """
    from orders_sync.config.schedules import schedules_in_force
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    settings, problem = schedules_in_force()
    accounts, _ = load_accounts()
    now = datetime.now(UTC)
    with orders_database(APPLICATION) as connection:
        states = {state.lane: state for state in lane_states(connection, lanes_on(accounts))}
    shown = table(
        f"Schedules (cron expressions in {settings.timezone}, times in UTC)",
        "sync", "cron", "next tick", "last tick", "account", "last run", "outcome",
    )  # fmt: skip
    for sync_type in SyncType:
        head = [
            sync_type.value,
            settings.schedules.of(sync_type),
            moment(next(settings.ticks(sync_type, now))),
            moment(settings.last_tick(sync_type, now)),
        ]
        for name in accounts or ["-"]:
            state = states.get(Lane(name, sync_type))
            started = state.last_started_at if state else None
            is_on = name not in accounts or accounts[name].has_on(sync_type)
            outcome = ((state and state.last_outcome) or "never ran") if is_on else "switched off"
            shown.add_row(*head, name, moment(started), outcome)
            head = [""] * 4
    console.print(shown)
    if settings.frequent_new:
        console.print(f"Further passes of new: {settings.frequent_new} ({settings.frequent_cost()}).", markup=False)
    if problem is not None:
        print_error(problem)
        sys.exit(EXIT_FAILED)


@schedule.command("run")
@click.option("--dry-run", is_flag=True, help="Show what is due, and run nothing.")
def run_due(dry_run: bool) -> None:
    """Run the syncs that are due.

    A lane is due when it did not start since the last tick of its schedule, and 1, 5, 15, then 60 minutes after each
    failure in a row. A lane whose credential is refused pauses until that is corrected: exit code 1. An account that a
    person has paused is left out. For machines without the Dagster daemon. Safe beside a running daemon: a lane never
    runs over itself.
    """
    from orders_sync.cli.sync import partial_warning, run_with_progress
    from orders_sync.config.schedules import load_schedules
    from orders_sync.lanes.history import lane_states
    from orders_sync.lanes.pauses import AccountPause, pause_of
    from orders_sync.lanes.progress import failures_in_row
    from orders_sync.lanes.refusals import Refusal
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts
    from orders_sync.passes.sync_log import log_to_file
    from orders_sync.sync.pass_request import PassRequest

    settings = load_schedules()
    accounts, _ = load_accounts()
    now = datetime.now(UTC)
    with orders_database(APPLICATION) as connection:
        states = lane_states(connection, lanes_on(accounts))
        failures = failures_in_row(connection, [state.lane for state in states])
        due = [state.lane for state in states if _is_due(state, failures.get(state.lane, 0), settings, now)]
        found = {lane: pause_of(connection, accounts[lane.account], lane.sync_type) for lane in due}
    pauses = {lane: pause for lane, pause in found.items() if pause is not None}
    for text, is_chosen in {str(pause): isinstance(pause, AccountPause) for pause in pauses.values()}.items():
        (print_warning if is_chosen else print_error)(text)
    due = [lane for lane in due if lane not in pauses]
    exit_code = EXIT_FAILED if any(isinstance(pause, Refusal) for pause in pauses.values()) else EXIT_DONE
    if not due and exit_code:
        sys.exit(exit_code)
    if not due:
        console.print("Nothing is due.")
        return
    console.print("Due: " + ", ".join(map(str, due)), markup=False)
    if dry_run:
        return
    with log_to_file():
        for lane in due:
            run_id = f"cli-{uuid.uuid4().hex[:8]}"
            code, summary = run_with_progress(PassRequest(accounts[lane.account], lane.sync_type, run_id))
            exit_code = exit_code or code
            if summary is not None:
                console.print(f"{lane}: {summary.created} created, {summary.changed} changed", markup=False)
                if summary.is_partial:
                    print_warning(partial_warning(str(lane), summary))
    sys.exit(exit_code)


def _is_due(state: LaneState, failures: int, settings: ScheduleSettings, now: datetime) -> bool:
    if state.last_started_at is None or state.last_started_at < settings.last_tick(state.lane.sync_type, now):
        return True
    if not failures or state.last_outcome != "failed":
        return False
    return now >= next_try(failures, state.last_finished_at or state.last_started_at)
