"""When the syncs run: defs/sync/defs.yaml, read in one way by Dagster's component and by the CLI."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from orders_sync.config.cron_ticks import latest_tick, ticks_after
from orders_sync.config.environment import last_valid_schedules_file, schedules_file
from orders_sync.config.field_types import CronExpressions, TimeZone
from orders_sync.config.private_files import private_file
from orders_sync.config.sync_crons import Crons, OwnCrons
from orders_sync.config.yaml_files import ConfigError, read_component, refuse_templates, validate
from orders_sync.model.lane import SyncType

COMPONENT_TYPE = "orders_sync.components.sync_schedules.SyncSchedules"

CALLS_PER_QUIET_PASS = {SyncType.NEW: 2, SyncType.MODIFIED: 1, SyncType.CARE: 1, SyncType.INCOMPLETE: 1}
"""API calls of a pass that finds little: one page. `new` asks for the waiting orders too (Back Market)."""


SOME_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
"""The start of a week in which no clock changes: figures about a schedule's week are the same at any time."""
_SECOND = timedelta(seconds=1)


class ScheduleConfigError(ConfigError):
    """The schedules can't be used as configured: which file, which key, what is wrong, what is allowed."""


class ScheduleSettings(BaseModel):
    """The settings of defs/sync/defs.yaml."""

    model_config = ConfigDict(extra="forbid")

    timezone: TimeZone = Field(default="UTC", description="IANA name of the time zone of the cron expressions.")
    partitions_start: date | None = Field(
        default=None, description="The first day of the partitions. Not set: 92 days before the first pass."
    )
    schedules: Crons = Field(
        default_factory=Crons, description="The cron expression of each sync type, or a list of them."
    )
    frequent_new: CronExpressions | None = Field(
        default=None,
        description="A cron expression, or a list of them, for further, cheap passes of `new`, to find orders sooner; "
        "none when not set.",
    )

    @field_validator("partitions_start")
    @classmethod
    def _has_begun(cls, value: date | None) -> date | None:
        today = datetime.now(UTC).date()
        if value is not None and value > today:
            raise ValueError(f"{value} is in the future; allowed are days up to today, {today}")
        return value

    def for_account(self, own: OwnCrons) -> "ScheduleSettings":
        """These settings with an account's own cron expressions in the place of those of all accounts."""
        crons = {each.value: found for each in SyncType if (found := own.of(each)) is not None}
        frequent = own.of(SyncType.NEW, frequent=True)
        schedules = self.schedules.model_copy(update=crons)
        changed = {} if frequent is None else {"frequent_new": frequent or None}
        return self.model_copy(update={"schedules": schedules, **changed})

    def crons(self, sync_type: SyncType, *, frequent: bool = False) -> tuple[str, ...]:
        """The cron expressions of one sync type, or of its further passes; empty when there are none."""
        if frequent:
            return self.frequent_new or ()
        return self.schedules.of(sync_type)

    def ticks_per_day(self, crons: Sequence[str]) -> int:
        """How many ticks some cron expressions have on the busiest day of a week."""
        midnight = SOME_MONDAY.replace(tzinfo=ZoneInfo(self.timezone))
        ticks = takewhile(lambda tick: tick < midnight + timedelta(days=7), self._ticks(crons, midnight - _SECOND))
        days = Counter(tick.astimezone(midnight.tzinfo).date() for tick in ticks)
        return max(days.values(), default=1)

    def cost(self, sync_type: SyncType, crons: Sequence[str]) -> str:
        """What the passes of some cron expressions cost at least, as text: ticks and API calls per day."""
        ticks = self.ticks_per_day(crons)
        calls = ticks * CALLS_PER_QUIET_PASS[sync_type]
        times, called = "tick" if ticks == 1 else "ticks", "API call" if calls == 1 else "API calls"
        return f"{ticks} {times} per day, at least {calls} {called} per day for each account"

    def _ticks(self, crons: Sequence[str], after: datetime) -> Iterator[datetime]:
        """The ticks of some cron expressions after a moment, in time order, in UTC, without end."""
        return ticks_after(crons, after, self.timezone)

    def ticks(self, sync_type: SyncType, after: datetime) -> Iterator[datetime]:
        """The ticks of one sync type after a moment, in time order, without end; without those of `frequent_new`."""
        return self._ticks(self.schedules.of(sync_type), after)

    def passes(self, sync_type: SyncType, after: datetime) -> Iterator[datetime]:
        """The ticks after a moment that request passes of one sync type, without end; with those of `frequent_new`."""
        frequent = self.frequent_new or () if sync_type is SyncType.NEW else ()
        return self._ticks((*self.schedules.of(sync_type), *frequent), after)

    def next_passes_of_new(self, after: datetime, count: int) -> list[datetime]:
        """The next ticks after a moment that request passes of `new`, in time order, those of `frequent_new` too."""
        return list(islice(self.passes(SyncType.NEW, after), count))

    def next_tick(self, sync_type: SyncType, after: datetime) -> datetime:
        """The first tick after a moment that requests a pass of one sync type, those of `frequent_new` included."""
        return next(self.passes(sync_type, after))

    def longest_gap(self, sync_type: SyncType, after: datetime) -> timedelta:
        """The longest time between two passes within the week after a moment; a longer gap counts as it is."""
        longest, before = timedelta(0), after
        for tick in self.passes(sync_type, after):
            longest, before = max(longest, tick - before), tick
            if before >= after + timedelta(days=7):
                break
        return longest

    def last_tick(self, sync_type: SyncType, before: datetime) -> datetime:
        """The latest tick of one sync type at or before a moment; without those of `frequent_new`."""
        return self.last_of(self.schedules.of(sync_type), before)

    def last_of(self, crons: Sequence[str], before: datetime) -> datetime:
        """The latest tick of some cron expressions at or before a moment."""
        return latest_tick(tuple(crons), before, self.timezone)

    def next_of(self, crons: Sequence[str], after: datetime) -> datetime:
        """The first tick of some cron expressions after a moment."""
        return next(self._ticks(crons, after))


def check_schedules(attributes: Any, file: str) -> ScheduleSettings:
    """The settings of one file's `attributes`. Raises ScheduleConfigError."""
    refuse_templates(attributes, file, ScheduleConfigError)
    return validate(attributes, ScheduleSettings, file, ScheduleConfigError)


def read_schedules(file: Path | None = None) -> ScheduleSettings:
    """The settings of a schedules file, by default the project's. Raises ScheduleConfigError."""
    path = file or schedules_file()
    return check_schedules(read_component(path, COMPONENT_TYPE, ScheduleConfigError), str(path))


def schedules_in_force() -> tuple[ScheduleSettings, ScheduleConfigError | None]:
    """The settings that are in force, and why the project's file can't be used; None if it can be used.

    While it can't be used, its last valid version stays in force; without one on this machine, the defaults are.
    """
    try:
        return read_schedules(), None
    except ScheduleConfigError as error:
        problem = error
    settings, instead = ScheduleSettings(), "the default schedules are"
    with suppress(ScheduleConfigError):
        settings, instead = read_schedules(last_valid_schedules_file()), "the last valid schedules stay"
    return settings, ScheduleConfigError(f"{problem}\nUntil it is right, {instead} in force.")


def load_schedules() -> ScheduleSettings:
    """The settings that are in force, as of `schedules_in_force`."""
    return schedules_in_force()[0]


def keep_valid_schedules() -> None:
    """Keeps the project's file, which is valid, in the state folder for the time when it is not."""
    with suppress(OSError):
        content = schedules_file().read_bytes()
        kept = last_valid_schedules_file()
        if kept.exists() and kept.read_bytes() == content:
            return
        new = kept.with_suffix(".new")
        with open(new, "wb", opener=private_file) as file:
            file.truncate()
            file.write(content)
        new.replace(kept)
