"""`orders-sync status`: the state of each lane."""

import json
from datetime import UTC, datetime

import click

from orders_sync.cli.output import console, print_error, table
from orders_sync.database.opened import orders_database
from orders_sync.lanes.activity import Activity, ActivityKind, activity
from orders_sync.lanes.history import LaneState
from orders_sync.model.time_words import moment, span


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def status(as_json: bool) -> None:
    """Show the state of each lane.

    Columns: watermark, lag behind the present, last run with its outcome and counts, rejected records of the account,
    and what the lane does now: the run that works on it and what that waits for, or that it died or makes no progress.
    """
    from orders_sync.lanes.history import lane_states
    from orders_sync.lanes.pauses import pause_of
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    accounts, problems = load_accounts()
    with orders_database("orders_sync status") as connection:
        now = datetime.now(UTC)
        states = [
            (state, activity(state, now, pause_of(connection, accounts[state.lane.account], state.lane.sync_type)))
            for state in lane_states(connection, lanes_on(accounts))
        ]
        rejected = dict(
            connection.execute(
                "SELECT account, count(*) FROM rejected_records "
                "WHERE resolved_at IS NULL AND dismissed_at IS NULL GROUP BY account"
            ).fetchall()
        )
    if as_json:
        lanes = [
            _as_json(state, rejected.get(state.lane.account, 0), doing) for state, doing in states
        ]  # fmt: skip
        click.echo(json.dumps(lanes, indent=2))
        return
    shown = table(
        "Lanes",
        "lane", "watermark (UTC)", "lag", "last run (UTC)", "outcome", "created", "changed", "rejected", "now",
    )  # fmt: skip
    for state, doing in states:
        shown.add_row(
            str(state.lane),
            moment(state.watermark),
            span(state.lag()),
            moment(state.last_started_at),
            doing.kind.value if state.has_died else state.last_problem or state.last_outcome or "never ran",
            str(state.last_summary.get("created", "-")),
            str(state.last_summary.get("changed", "-")),
            str(rejected.get(state.lane.account, 0)),
            doing.kind.value if doing.kind in (ActivityKind.PAUSED, ActivityKind.REFUSED) else doing.text,
        )
    console.print(shown)
    for problem in problems.values():
        print_error(problem)


def _as_json(state: LaneState, rejected: int, doing: Activity) -> dict[str, object]:
    return {
        "account": state.lane.account,
        "sync_type": state.lane.sync_type.value,
        "watermark": state.watermark.isoformat() if state.watermark else None,
        "lag_seconds": state.lag(),
        "last_outcome": state.last_outcome,
        "last_problem": state.last_problem,
        "rejected": rejected,
        "busy_with": state.holder,
        "activity": doing.kind.value,
        "progressed_at": state.progressed_at.isoformat() if state.progressed_at else None,
        "waits_for": state.waits.what if state.waits else None,
        "waits_until": state.waits.until.isoformat() if state.waits else None,
    }
