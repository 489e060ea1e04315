"""Passes of the command line, on whatever machine, shown in Dagster like those of its own runs."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple

import dagster as dg

from orders_sync.config.schedules import ScheduleSettings
from orders_sync.dagster_instance.lane_assets import days, is_partitioned, lane_key, passes_key
from orders_sync.dagster_support.days_of_passes import days_of_outside_pass, figures_of_days, shown
from orders_sync.dagster_support.order_rules import broken_rules
from orders_sync.dagster_support.pass_events import point_of_pass
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType

SETTLED = timedelta(minutes=1)
"""A row of lane_runs that began so long ago is visible to everybody: none with a lower number appears any more."""
MAX_SHOWN = 20
"""A tick shows so many passes; Dagster ends one after a minute."""
_LOOKED_AT = 50
"""So many of the latest events of an asset are looked at, to see whether one stands for a pass already."""


class OutsidePass(NamedTuple):
    """A pass of the command line that succeeded."""

    lane: Lane
    run_id: str
    started_at: datetime
    finished_at: datetime
    summary: Mapping[str, Any]
    """As it is stored in lane_runs."""


def passes_to_show(connection: Connection, cursor: str | None) -> tuple[list[OutsidePass], str]:
    """The passes that have succeeded since the last look, in the order in which they began; and the next cursor.

    The cursor: `after`, the number in lane_runs up to which all passes are settled and were shown, and `shown`, those
    beyond it that were. Without a cursor, passes that ended before are left alone.
    """
    stored: dict[str, Any] | None = json.loads(cursor) if cursor else None
    if stored is None:
        row = connection.execute("SELECT coalesce(max(lane_run_id), 0) FROM lane_runs").fetchone()
        return [], json.dumps({"after": int(row[0]) if row else 0, "shown": []})
    after, done = int(stored["after"]), set[int](stored["shown"])
    found: list[OutsidePass] = []
    is_settled_so_far = True
    for number, account, sync_type, run_id, outcome, started_at, finished_at, summary, is_old in connection.execute(
        _PASSES, [SETTLED, after]
    ):
        is_settled_so_far = is_settled_so_far and is_old and outcome != "running"
        if outcome in ("succeeded", "partial") and number not in done:
            if len(found) == MAX_SHOWN:
                break
            found.append(OutsidePass(Lane(account, SyncType(sync_type)), run_id, started_at, finished_at, summary))
        if outcome != "running":
            done.add(number)
        if is_settled_so_far:
            after = number
    return found, json.dumps({"after": after, "shown": sorted(number for number in done if number > after)})


def is_shown(instance: dg.DagsterInstance, made: OutsidePass) -> bool:
    """Whether an event stands for the pass already: a tick before may have died before it stored its cursor."""
    records = instance.fetch_materializations(passes_key(made.lane), limit=_LOOKED_AT).records
    events = (record.asset_materialization for record in records)
    return any(event is not None and _text(event.metadata.get("run")) == made.run_id for event in events)


def _text(value: object) -> str | None:
    return value.text if isinstance(value, dg.TextMetadataValue) else None


def show(instance: dg.DagsterInstance, connection: Connection, made: OutsidePass, schedules: ScheduleSettings) -> None:
    """Reports a pass: the days that it covers, what it broke, and last of all the event that stands for it."""
    description = f"`orders-sync sync`, run {made.run_id}"
    if is_partitioned(made.lane.sync_type):
        for day, numbers in _days(instance, connection, made, schedules):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    lane_key(made.lane), partition=day, metadata=dict(numbers), description=description
                )
            )
        if made.lane.sync_type is not SyncType.CARE and made.summary.get("created", 0) + made.summary.get("changed", 0):
            for evaluation in broken_rules(connection, made.lane, made.run_id, made.started_at, made.finished_at):
                instance.report_runless_asset_event(evaluation)
    instance.report_runless_asset_event(
        point_of_pass(made.lane, made.run_id, made.summary, made.finished_at, description)
    )


def _days(
    instance: dg.DagsterInstance, connection: Connection, made: OutsidePass, schedules: ScheduleSettings
) -> Iterator[tuple[str, Mapping[str, int]]]:
    begin, end = made.summary.get("range_start"), made.summary.get("range_end")
    if begin is None or end is None:
        return
    window = (datetime.fromisoformat(begin), datetime.fromisoformat(end))
    key, partitions = lane_key(made.lane), days(schedules)
    covered = instance.get_materialized_partitions(key)
    keys = partitions.get_partition_keys()
    statuses = instance.get_status_by_partition(key, keys, partitions) or {}  # None: nothing is known of the asset
    up_to_date = {day for day, status in statuses.items() if status is not None and status.value == "MATERIALIZED"}
    first, last = (moment.date().isoformat() for moment in window)
    of_days = figures_of_days(connection, made.lane, made.run_id, first, last)
    for day in days_of_outside_pass(window, made.finished_at, schedules, covered, up_to_date, of_days):
        if day in keys:
            yield day, shown(of_days, made.lane, day)


_PASSES: LiteralString = """
SELECT lane_run_id, account, sync_type, run_id, outcome, started_at, finished_at, summary,
  started_at < now() - %s::interval
FROM lane_runs WHERE lane_run_id > %s AND run_id LIKE 'cli-%%' ORDER BY lane_run_id
"""
