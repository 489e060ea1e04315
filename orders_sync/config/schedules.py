"""When the syncs run: defs/sync/defs.yaml, read in one way by Dagster's component and by the CLI."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from orders_sync.config import crons
from orders_sync.config.environment import last_valid_schedules_file, schedules_file
from orders_sync.config.field_types import CronExpression, TimeZone
from orders_sync.config.private_files import private_file
from orders_sync.config.yaml_files import ConfigError, read_component, refuse_templates, validate
from orders_sync.model.lane import SyncType

COMPONENT_TYPE = "orders_sync.components.sync_schedules.SyncSchedules"

CALLS_PER_QUIET_PASS = 2
"""API calls of a pass of `new` that finds few orders: the waiting orders, and those created since (Back Market)."""


class ScheduleConfigError(ConfigError):
    """The schedules can't be used as configured: which file, which key, what is wrong, what is allowed."""


class Crons(BaseModel):
    """One cron expression for each sync type."""

    model_config = ConfigDict(extra="forbid")

    new: CronExpression = Field(default=crons.SYNC_NEW, description="New orders.")
    modified: CronExpression = Field(
        default=crons.SYNC_MODIFIED, description="Orders modified in the last three months."
    )
    care: CronExpression = Field(default=crons.SYNC_CARE, description="Care records.")
    incomplete: CronExpression = Field(default=crons.SYNC_INCOMPLETE, description="Missing delivery notes and labels.")

    def of(self, sync_type: SyncType) -> str:
        """The cron expression of one sync type."""
        return str(getattr(self, sync_type.value))


class ScheduleSettings(BaseModel):
    """The settings of defs/sync/defs.yaml."""

    model_config = ConfigDict(extra="forbid")

    timezone: TimeZone = Field(default="UTC", description="IANA name of the time zone of the cron expressions.")
    partitions_start: date = Field(default=date(2025, 1, 1), description="The first day of the partitions.")
    schedules: Crons = Field(default_factory=Crons, description="One cron expression for each sync type.")
    frequent_new: CronExpression | None = Field(
        default=None,
        description="A cron expression for further, cheap passes of `new`, to find orders sooner; none when not set.",
    )

    @field_validator("partitions_start")
    @classmethod
    def _has_begun(cls, value: date) -> date:
        today = datetime.now(UTC).date()
        if value > today:
            raise ValueError(f"{value} is in the future; allowed are days up to today, {today}")
        return value

    def frequent_cost(self) -> str:
        """What the further passes of `new` cost, as text: ticks and API calls per day. Empty when there are none."""
        if self.frequent_new is None:
            return ""
        midnight = datetime(2026, 1, 5, tzinfo=ZoneInfo(self.timezone))
        cron, count = croniter(self.frequent_new, midnight - timedelta(seconds=1)), 0
        while cron.get_next(datetime) < midnight + timedelta(days=1):
            count += 1
        calls = count * CALLS_PER_QUIET_PASS
        return f"{count} ticks per day, about {calls} API calls per day for each account while few orders are new"

    def ticks(self, sync_type: SyncType, after: datetime) -> Iterator[datetime]:
        """The ticks of one sync type after a moment, in time order, without end."""
        zone = ZoneInfo(self.timezone)
        cron = croniter(self.schedules.of(sync_type), after.astimezone(zone))
        while True:
            yield cron.get_next(datetime)

    def next_passes_of_new(self, after: datetime, count: int) -> list[datetime]:
        """The next ticks after a moment that request passes of `new`, in time order, those of `frequent_new` too."""
        ticks = list(islice(self.ticks(SyncType.NEW, after), count))
        if self.frequent_new is not None:
            frequent = croniter(self.frequent_new, after.astimezone(ZoneInfo(self.timezone)))
            ticks += [frequent.get_next(datetime) for _ in range(count)]
        return sorted(set(ticks))[:count]

    def next_tick(self, sync_type: SyncType, after: datetime) -> datetime:
        """The first tick after a moment that requests a pass of one sync type, those of `frequent_new` included."""
        if sync_type is SyncType.NEW:
            return self.next_passes_of_new(after, 1)[0]
        return next(self.ticks(sync_type, after))

    def longest_gap_of_new(self, after: datetime) -> timedelta:
        """The longest time between two passes of `new` within the week after a moment; a longer gap counts as it is."""
        longest, before = timedelta(0), after
        while before < after + timedelta(days=7):
            (tick,) = self.next_passes_of_new(before, 1)
            longest, before = max(longest, tick - before), tick
        return longest

    def last_tick(self, sync_type: SyncType, before: datetime) -> datetime:
        """The latest tick of one sync type at or before a moment."""
        zone = ZoneInfo(self.timezone)
        return croniter(self.schedules.of(sync_type), before.astimezone(zone) + timedelta(seconds=1)).get_prev(datetime)


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
