"""`orders-sync schedule`: what `php artisan schedule:list` and `schedule:run` were."""

import sys
import uuid
from datetime import UTC, datetime

import click

from orders_sync.cli.output import console, moment, table
from orders_sync.model.lane import Lane, SyncType


@click.group()
def schedule() -> None:
    """When the syncs run, and running what is due."""


@schedule.command("list")
def list_schedules() -> None:
    """List the schedules with their next ticks and each lane's last run."""
    from orders_sync.config.schedules import load_schedules
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import load_accounts

    upgrade_schema()
    settings = load_schedules()
    accounts, _ = load_accounts()
    now = datetime.now(UTC)
    with connect() as connection:
        by_lane = {state.lane: state for state in lane_states(connection, list(accounts))}
    shown = table(
        f"Schedules (crons in {settings.timezone}, times in UTC)",
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
            state = by_lane.get(Lane(name, sync_type))
            started = state.last_started_at if state else None
            shown.add_row(*head, name, moment(started), (state and state.last_outcome) or "never ran")
            head = [""] * 4
    console.print(shown)
    if settings.frequent_new:
        console.print(f"Further passes of new: {settings.frequent_new} ({settings.frequent_cost()}).")


@schedule.command("run")
@click.option("--dry-run", is_flag=True, help="Only say what is due.")
def run_due(dry_run: bool) -> None:
    """Run what is due now: each lane that did not start since its schedule's last tick.

    For machines without the Dagster daemon. Beside a running daemon it does no harm: lanes guard themselves.
    """
    from orders_sync.cli.sync import run_with_progress
    from orders_sync.config.schedules import load_schedules
    from orders_sync.database.engine import connect
    from orders_sync.database.schema import upgrade_schema
    from orders_sync.lanes.history import lane_states
    from orders_sync.marketplaces.kit.accounts import load_accounts
    from orders_sync.passes.sync_log import log_to_file
    from orders_sync.sync.pass_request import PassRequest

    upgrade_schema()
    settings = load_schedules()
    accounts, _ = load_accounts()
    now = datetime.now(UTC)
    with connect() as connection:
        known = lane_states(connection, list(accounts))
    due = [
        state.lane
        for state in known
        if state.last_started_at is None or state.last_started_at < settings.last_tick(state.lane.sync_type, now)
    ]
    if not due:
        console.print("Nothing is due.")
        return
    console.print("Due: " + ", ".join(map(str, due)))
    if dry_run:
        return
    exit_code = 0
    with log_to_file():
        for lane in due:
            run_id = f"cli-{uuid.uuid4().hex[:8]}"
            code, summary = run_with_progress(PassRequest(accounts[lane.account], lane.sync_type, run_id))
            exit_code = exit_code or code
            if summary is not None:
                console.print(f"{lane}: {summary.created} created, {summary.changed} changed")
    sys.exit(exit_code)
