"""When the syncs run: defs/sync/defs.yaml, read the same way by Dagster's component and by the CLI."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo, available_timezones

import yaml
from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orders_sync.model.errors import UserFacingError
from orders_sync.model.lane import SyncType

COMPONENT_TYPE = "orders_sync.components.sync_schedules.SyncSchedules"
SCHEDULES_FILE = Path(__file__).resolve().parent.parent / "defs" / "sync" / "defs.yaml"


class ScheduleConfigError(UserFacingError):
    """A schedule setting that can't be used: file, key, what is wrong, what is allowed."""


CALLS_OF_A_QUIET_PASS = 2
"""API calls of a pass of `new` that finds little: what waits, and what was created (Back Market)."""


def _checked_cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is no cron expression; allowed are five fields, e.g. '0 6-22/2 * * *'")
    return value


class Crons(BaseModel):
    """One cron window for each sync type."""

    model_config = ConfigDict(extra="forbid")

    new: str = Field(default="0 6-22/2 * * *", description="New orders.")
    modified: str = Field(default="0 2 * * *", description="Orders modified in the last three months.")
    care: str = Field(default="0 4 * * *", description="Care records.")
    incomplete: str = Field(default="0 */4 * * *", description="Missing delivery notes and labels.")

    @field_validator("new", "modified", "care", "incomplete")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        return _checked_cron(value)

    def of(self, sync_type: SyncType) -> str:
        """The cron of one sync type."""
        return str(getattr(self, sync_type.value))


class ScheduleSettings(BaseModel):
    """The settings of defs/sync/defs.yaml."""

    model_config = ConfigDict(extra="forbid")

    timezone: str = Field(default="UTC", description="IANA name of the time zone that the crons are read in.")
    partitions_start: date = Field(default=date(2025, 1, 1), description="The first day of the partitions.")
    schedules: Crons = Field(default_factory=Crons, description="One cron window for each sync type.")
    frequent_new: str | None = Field(
        default=None, description="A cron for further, cheap passes of `new`, so that orders are seen sooner; or none."
    )

    @field_validator("frequent_new")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        return None if value is None else _checked_cron(value)

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone; allowed are IANA names, e.g. UTC or Europe/Berlin")
        return value

    def frequent_cost(self) -> str:
        """What the further passes of `new` cost, in words; empty where there are none."""
        if self.frequent_new is None:
            return ""
        midnight = datetime(2026, 1, 5, tzinfo=ZoneInfo(self.timezone))
        cron, count = croniter(self.frequent_new, midnight - timedelta(seconds=1)), 0
        while cron.get_next(datetime) < midnight + timedelta(days=1):
            count += 1
        calls = count * CALLS_OF_A_QUIET_PASS
        return f"{count} ticks a day, some {calls} API calls a day for each account while little is new"

    def ticks(self, sync_type: SyncType, after: datetime) -> Iterator[datetime]:
        """The ticks of one sync type after a moment, in time order, without end."""
        zone = ZoneInfo(self.timezone)
        cron = croniter(self.schedules.of(sync_type), after.astimezone(zone))
        while True:
            yield cron.get_next(datetime)

    def last_tick(self, sync_type: SyncType, before: datetime) -> datetime:
        """The latest tick of one sync type at or before a moment."""
        zone = ZoneInfo(self.timezone)
        return croniter(self.schedules.of(sync_type), before.astimezone(zone) + timedelta(seconds=1)).get_prev(datetime)


def check_schedules(attributes: Any, file: str) -> ScheduleSettings:
    """The settings of one file's attributes. Raises ScheduleConfigError with file, key, reason and what is allowed."""
    try:
        return ScheduleSettings.model_validate(attributes or {})
    except ValidationError as error:
        lines: list[str] = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                names = Crons.model_fields if key.startswith("schedules.") else ScheduleSettings.model_fields
                lines.append(f"{file}: {key}: no such setting; allowed are {', '.join(names)}")
            else:
                lines.append(f"{file}: {key}: {problem['msg'].removeprefix('Value error, ')}")
        raise ScheduleConfigError("\n".join(lines)) from None


def load_schedules(path: Path = SCHEDULES_FILE) -> ScheduleSettings:
    """The settings of the schedules file. Raises ScheduleConfigError."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ScheduleConfigError(f"{path}: is not readable YAML: {error}") from None
    attributes = cast(dict[str, Any], document if isinstance(document, dict) else {})
    if attributes.get("type") != COMPONENT_TYPE:
        raise ScheduleConfigError(f"{path}: type: must be {COMPONENT_TYPE}")
    return check_schedules(attributes.get("attributes"), str(path))
