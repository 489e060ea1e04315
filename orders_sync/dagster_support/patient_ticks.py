"""Ticks that look again and again for a while, in place of many ticks that find nothing.

A look is a query or two. A tick costs a hundred times as much: calls from the daemon through the code server, and rows
that Dagster's database writes several times. So a patient tick sees sooner what is due, and costs less.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import dagster as dg

from orders_sync.dagster_instance.tick_waits import ENDS_CHANNEL, PATIENT_SENSORS, WAIT_SECONDS
from orders_sync.database.engine import Connection

_MARGIN_SECONDS = 10.0
"""A tick ends so long before Dagster gives it up."""

Found = TypeVar("Found")


def look_until(
    context: dg.SensorEvaluationContext,
    connection: Connection,
    look: Callable[[], Found],
    is_enough: Callable[[Found], bool],
    every: float,
) -> Found:
    """Looks until what is found is enough, the time of a tick is over, or the daemon ends. Returns what it found last.

    `every`: seconds between two looks. `connection` is used between them.
    """
    until = time.monotonic() + _patience(context)
    found = look()
    if is_enough(found) or time.monotonic() + every > until:
        return found
    connection.execute(f"LISTEN {ENDS_CHANNEL}".encode())
    while not is_enough(found) and time.monotonic() + every <= until:
        if any(True for _ in connection.notifies(timeout=every, stop_after=1)):
            break
        found = look()
    return found


def _patience(context: dg.SensorEvaluationContext) -> float:
    """How many seconds a tick may take.

    None where somebody waits for it, as at a preview in the UI, which has no tick before it; where the daemon evaluates
    one sensor after the other, since its dagster.yaml does not let it use threads; and of a sensor of which the watch
    does not know that its ticks wait.
    """
    is_previewed = context.last_tick_completion_time is None
    if is_previewed or context.sensor_name not in PATIENT_SENSORS:
        return 0.0
    if not context.instance.get_sensor_settings().get("use_threads"):
        return 0.0
    try:
        given_up = float(os.environ.get("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", ""))
    except ValueError:
        return WAIT_SECONDS
    return min(WAIT_SECONDS, given_up - _MARGIN_SECONDS)
