"""`orders-sync status`: the state of each lane."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from orders_sync.cli.output import console, print_error
from orders_sync.cli.rows import json_option, print_json
from orders_sync.cli.tables import table
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.lanes.activity import Activity, ActivityKind, activity
from orders_sync.lanes.history import LaneState
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.time_words import span


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the state of each lane.

    Columns: watermark, lag behind the present, last run with its outcome and counts, rejected records (orders in the
    account's first lane, care records in `care`), and what the lane does now: the run that works on it and what that
    waits for, or that it died or makes no progress.
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
        rejected = _rejected(connection, [state.lane for state, _ in states])
    if as_json:
        print_json([_as_json(state, rejected.get(state.lane, 0), doing) for state, doing in states])
    else:
        _print(states, rejected)
    for problem in problems.values():
        print_error(problem)


def _rejected(connection: Connection, lanes: Sequence[Lane]) -> Mapping[Lane, int]:
    """How many rejected records each lane has to show, so that each record counts once.

    Care records count in the lane `care`, and orders, which several syncs may reject, in the first lane of the account;
    each in the other one where its lane is off.
    """
    counts: dict[Lane, int] = {}
    for account, kind, count in connection.execute(
        "SELECT account, kind, count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL "
        "GROUP BY account, kind"
    ):
        own = [lane for lane in lanes if lane.account == account]
        shown = next((lane for lane in own if (lane.sync_type is SyncType.CARE) is (kind == "care")), None)
        if lane := shown or next(iter(own), None):
            counts[lane] = counts.get(lane, 0) + count
    return counts


def _print(states: Sequence[tuple[LaneState, Activity]], rejected: Mapping[Lane, int]) -> None:
    shown = table(
        "Lanes",
        "lane", "watermark (UTC)", "lag", "last run (UTC)", "outcome", "created", "changed", "rejected", "now",
        optional=("changed", "created", "watermark (UTC)"),
    )  # fmt: skip
    for state, doing in states:
        shown.add_row(
            str(state.lane),
            _minute(state.watermark),
            span(state.lag()),
            _minute(state.last_started_at),
            doing.kind.value if state.has_died else state.last_outcome or "never ran",
            str(state.last_summary.get("created", "-")),
            str(state.last_summary.get("changed", "-")),
            str(rejected.get(state.lane, 0)),
            doing.kind.value,
        )
    console.print(shown)
    for state, doing in states:
        if doing.kind not in (ActivityKind.IDLE, ActivityKind.PAUSED, ActivityKind.REFUSED):
            console.print(f"{state.lane}: {doing.text}", markup=False)
        elif state.last_problem is not None:
            console.print(f"{state.lane}: {state.last_problem}", markup=False)
    paused = {doing.text: None for _, doing in states if doing.kind in (ActivityKind.PAUSED, ActivityKind.REFUSED)}
    for text in paused:  # one line for all lanes of an account
        console.print(text, markup=False)


def _minute(at: datetime | None) -> str:
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _as_json(state: LaneState, rejected: int, doing: Activity) -> dict[str, Any]:
    return {
        "account": state.lane.account,
        "sync_type": state.lane.sync_type.value,
        "watermark": state.watermark,
        "lag_seconds": state.lag(),
        "last_started_at": state.last_started_at,
        "last_outcome": state.last_outcome,
        "last_problem": state.last_problem,
        "created": state.last_summary.get("created"),
        "changed": state.last_summary.get("changed"),
        "rejected": rejected,
        "busy_with": state.holder,
        "activity": doing.kind.value,
        "progressed_at": state.progressed_at,
        "waits_for": state.waits.what if state.waits else None,
        "waits_until": state.waits.until if state.waits else None,
    }
