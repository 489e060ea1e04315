"""What a lane does now, in words: for `status`, `doctor` and the operator's pages."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from orders_sync.config.environment import stalled_pass_seconds
from orders_sync.lanes.history import LaneState
from orders_sync.lanes.pauses import AccountPause, Pause

QUIET = timedelta(minutes=1)
"""A pass that made progress within this time is not said to be silent."""


class ActivityKind(StrEnum):
    """What a lane does now."""

    IDLE = "idle"
    RUNNING = "running"
    WAITING = "waiting"
    """A pass is running, and waits for something until a time that is known."""
    STALLED = "stalled"
    """A pass or a command holds the lane, but has made no progress for too long."""
    PAUSED = "paused"
    """No run is requested, since a person has paused the account."""
    REFUSED = "refused"
    """No run is requested, since the account's credential is refused."""
    DIED = "died"
    """A pass ended without a word; the lane is free."""


class Activity(NamedTuple):
    """What a lane does now."""

    kind: ActivityKind
    text: str

    @property
    def is_wrong(self) -> bool:
        """Whether the lane does not work as it should."""
        return self.kind in (ActivityKind.STALLED, ActivityKind.DIED, ActivityKind.REFUSED)


def activity(state: LaneState, now: datetime, pause: Pause | None = None) -> Activity:
    """What a lane does at a moment, e.g. `run 1a2b, waits for the marketplace's pause, until 12:03:10 UTC`.

    `pause`: why the lane pauses. Raises EnvironmentVariableError if the time without progress can't be used.
    """
    silence = state.silence(now)
    if silence >= timedelta(seconds=stalled_pass_seconds()):
        return Activity(ActivityKind.STALLED, f"{state.holder}: no progress for {_minutes(silence)}")
    if state.has_died:
        text = f"run {state.last_run_id} died"
        return Activity(ActivityKind.DIED, text if state.holder is None else f"{text}; {state.holder} works on it")
    if not state.is_running:
        if state.holder is not None:
            return _running(state.holder, silence)
        if pause is not None:
            kind = ActivityKind.PAUSED if isinstance(pause, AccountPause) else ActivityKind.REFUSED
            return Activity(kind, str(pause))
        return Activity(ActivityKind.IDLE, "idle")
    if state.waits is not None and now < state.waits.until:
        until = f"{state.waits.until.astimezone(UTC):%H:%M:%S} UTC"
        return Activity(ActivityKind.WAITING, f"{state.holder}, waits for {state.waits.what}, until {until}")
    return _running(str(state.holder), silence)


def _running(holder: str, silence: timedelta) -> Activity:
    quiet = f", last progress {_minutes(silence)} ago" if silence >= QUIET else ""
    return Activity(ActivityKind.RUNNING, f"{holder}{quiet}")


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() // 60:.0f} min"
