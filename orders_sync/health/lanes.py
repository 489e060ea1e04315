"""Whether each lane runs when it should, and succeeds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from orders_sync.config.pages import LANES_PAGE
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level
from orders_sync.lanes.activity import ActivityKind, activity
from orders_sync.lanes.history import LaneState
from orders_sync.lanes.pauses import AccountPause, Pause
from orders_sync.lanes.refusals import Refusal
from orders_sync.lanes.watermark import remedy
from orders_sync.model.time_words import span
from orders_sync.model.times import EARLIEST

LONG_PASS = timedelta(hours=3)
"""A pass that runs for longer needs a look."""
LATE_START = timedelta(minutes=30)
"""A lane that did not start so long after its tick is reported."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""A watermark may lie ahead of this machine's clock by so much: it follows the database server's."""
FAILURES_BEFORE_ALERT = 3
"""How many passes in a row fail until somebody is alerted: most failures pass by themselves within minutes."""
_REMEDY_OF_REFUSAL = (
    "Correct the account's file, or set the credential where the daemon is started, too, and restart the daemon: one "
    "that runs sees no new variable."
)
_REMEDIES_OF_WRONG = {
    ActivityKind.DIED: "Nothing, if the daemon is alive: its sensor `dead_runs` fails the run, and the next run misses "
    "nothing. `orders-sync sync` runs the lane now.",
    ActivityKind.STALLED: "Nothing, if the daemon is alive: its sensor `dead_runs` ends the pass or command, and the "
    "next run misses nothing. Without it, terminate the run in the UI, or end its process.",
}


class _Problem(NamedTuple):
    """What is wrong with a lane."""

    what: str
    to_do: str
    kind: str
    level: Level = Level.ERROR


def examine_lanes() -> Iterator[Finding]:
    """Each lane whose sync is on."""
    from orders_sync.config.schedules import load_schedules
    from orders_sync.lanes.history import lane_states
    from orders_sync.lanes.pauses import pause_of
    from orders_sync.lanes.progress import failures_in_row
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    settings = load_schedules()
    with orders_database(APPLICATION) as connection:
        accounts, _ = load_accounts()
        states = lane_states(connection, lanes_on(accounts))
        pauses = [pause_of(connection, accounts[each.lane.account], each.lane.sync_type) for each in states]
        failures = failures_in_row(connection, [each.lane for each in states])
    now = datetime.now(UTC)
    for state, pause in zip(states, pauses, strict=True):
        account = accounts[state.lane.account]
        own = settings.for_account(account.settings.schedules)
        yield examine_lane(state, own, now, pause, failures.get(state.lane, 0), _written_at(Path(account.file)))


def _written_at(file: Path) -> datetime:
    """When a file was written; long ago if that can't be read."""
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError:
        return EARLIEST


def examine_lane(
    state: LaneState,
    settings: ScheduleSettings,
    now: datetime,
    pause: Pause | None = None,
    failures: int = 0,
    written_at: datetime = EARLIEST,
) -> Finding:
    """Whether a lane runs too long, died, failed, pauses, missed its last tick, or has a watermark that can't be right.

    `pause`: why the lane pauses. `failures`: how many runs failed since the last success. `written_at`: when the
    account's file was written: a lane that has never run did not miss the ticks of before, and its first run takes a
    while.
    """
    lane = str(state.lane)
    problem = _problem_of(state, settings, now, pause, failures, written_at)
    if problem is not None:
        what, to_do, kind, level = problem
        return Finding(False, what, to_do, lane, kind=kind, level=level, page=LANES_PAGE)
    if isinstance(pause, AccountPause):
        return Finding(True, str(pause), about=lane, is_notable=True)
    if put_off := _put_off(state):
        what = f"its last pass was partial: {put_off} records or documents could not be fetched, and are tried again"
        return Finding(
            True, what, "See `orders-sync rejected`.", lane, True, "partial pass", level=Level.WARNING, page=LANES_PAGE
        )
    lag = f", {span(state.lag(now))} behind" if state.lag(now) is not None else ""
    return Finding(True, f"{state.last_outcome or 'has not run yet'}{lag}", about=lane)


def _put_off(state: LaneState) -> int:
    """How many records and documents the last pass put off."""
    counts = (state.last_summary.get(name) for name in ("put_off", "documents_put_off"))
    return sum(count for count in counts if isinstance(count, int))


def _problem_of(
    state: LaneState,
    settings: ScheduleSettings,
    now: datetime,
    pause: Pause | None,
    failures: int,
    written_at: datetime,
) -> _Problem | None:
    """What is wrong with a lane; None if nothing is."""
    if state.watermark is not None and state.watermark < EARLIEST:
        what = f"its watermark lies before {EARLIEST:%Y-%m-%d}, so that every pass fails"
        return _Problem(what, f"{remedy(state.lane)}.", "watermark")
    if state.watermark is not None and state.watermark > now + CLOCK_TOLERANCE:
        ahead = span((state.watermark - now).total_seconds())
        return _Problem(f"its watermark lies {ahead} ahead of our clock", f"{remedy(state.lane)}.", "watermark")
    doing = activity(state, now, pause)
    if isinstance(pause, Refusal) and doing.kind is ActivityKind.REFUSED:
        # Without the moment, which differs by a minute between the lanes of an account: they have one cause.
        return _Problem(f"pauses: {pause.problem}", _REMEDY_OF_REFUSAL, "refused")
    if doing.is_wrong:
        return _Problem(doing.text, _REMEDIES_OF_WRONG[doing.kind], doing.kind.value, Level.WARNING)
    if state.holder is not None and state.last_started_at is not None and now - state.last_started_at > LONG_PASS:
        return _Problem(
            f"{state.holder} has been running for {span((now - state.last_started_at).total_seconds())}",
            "Look at that run in the UI. If it makes no progress, terminate it there; its lane is then free.",
            "long pass",
            Level.WARNING,
        )
    if isinstance(pause, AccountPause):
        return None
    # While the next try is running, the lane has still failed.
    has_failed = state.last_outcome == "failed" or failures >= FAILURES_BEFORE_ALERT
    if has_failed:
        runs = f"its last {failures} runs" if failures > 1 else "its last run"
        return _Problem(
            f"{runs} failed: {state.last_problem or 'it is being tried again'}",
            "It is tried again 1, 5, 15, then 60 minutes after each failure in a row, and at each tick; nothing is "
            "missed. `orders-sync log --grep` shows more.",
            "failed" if failures >= FAILURES_BEFORE_ALERT else "",
        )
    is_new = state.last_started_at is None
    # A later tick may still begin. A lane that never ran has missed none of before.
    tick = settings.last_tick(state.lane.sync_type, now if is_new else now - LATE_START)
    missed = state.last_started_at is None or state.last_started_at < tick - timedelta(minutes=1)
    due = max(tick, written_at) if is_new else tick
    if missed and now - due >= LATE_START and state.holder is None:
        return _Problem(
            f"did not run at its last tick, {tick.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            "See the ticks of its schedule in the UI for the reason, or run it now: `orders-sync schedule run`.",
            "silent",
        )
    return None
