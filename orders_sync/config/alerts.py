"""Whom to alert, and of what: defs/alerts/defs.yaml, read in one way by Dagster's component and by the CLI."""

import re
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from orders_sync.config.environment import defs_folder
from orders_sync.config.field_types import ENVIRONMENT_NAME, CronExpressions, TimeZone
from orders_sync.config.secret_values import address_of
from orders_sync.config.yaml_files import ConfigError, is_there, read_component, refuse_templates, validate

COMPONENT_TYPE = "orders_sync.components.alerts.Alerts"


class AlertConfigError(ConfigError):
    """The alerts can't be used as configured: which file, which key, what is wrong, what is allowed."""


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")


def _time_of_day(value: object) -> time:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f"{value!r} is no time of day; write it in quotes, e.g. '22:00'")
    return time.fromisoformat(value)


class QuietHours(BaseModel):
    """The hours in which warnings wait."""

    model_config = ConfigDict(extra="forbid")

    begin: str = Field(description="When they begin, e.g. '22:00'.")
    end: str = Field(description="When they end, e.g. '07:00'.")

    @field_validator("begin", "end")
    @classmethod
    def _times(cls, value: str) -> str:
        _time_of_day(value)
        return value

    def contain(self, at: time) -> bool:
        """Whether they contain a time of day; they may go past midnight."""
        begin, end = _time_of_day(self.begin), _time_of_day(self.end)
        return begin <= at < end if begin <= end else at >= begin or at < end


class Channel(BaseModel):
    """One way to reach people."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        pattern=ENVIRONMENT_NAME,
        examples=["ALERT_TEAM_URL"],
        description="NAME of the environment variable with Apprise's URL of the channel, e.g. mailtos://…, slack://…, "
        "msteams://…, pagerduty://…, jsons://…; never the URL itself.",
    )
    level: Literal["error", "warning"] = Field(
        default="warning",
        description="The least level that is sent: `warning` sends both, `error` only what keeps orders late.",
    )
    quiet_hours: QuietHours | None = Field(
        default=None,
        description="Hours of the day in which warnings wait until they end, e.g. {begin: '22:00', end: '07:00'}. "
        "Errors are sent at once.",
    )
    digest: CronExpressions | None = Field(
        default=None, description="When a summary of the last day is sent, e.g. '0 7 * * *'; never when not set."
    )

    def address(self, file: str, name: str) -> str:
        """Apprise's URL, from the environment. Raises AlertConfigError when it is not set."""
        value = address_of(self.url)
        if value is None:
            raise AlertConfigError(
                f"{file}: channels.{name}.url: the environment variable {self.url} is not set; set it to Apprise's URL "
                "of the channel, for the daemon and for `orders-sync watch`."
            )
        return value


class AlertSettings(BaseModel):
    """The settings of defs/alerts/defs.yaml."""

    model_config = ConfigDict(extra="forbid")

    timezone: TimeZone = Field(default="UTC", description="IANA name of the time zone of quiet hours and digests.")
    ui_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
        examples=["https://orders.example.com"],
        description="The address of the UI, for the links in alerts; alerts have none when not set.",
    )
    channels: dict[str, Channel] = Field(
        default_factory=dict[str, Channel], description="The channels by name; nobody is alerted without one."
    )
    heartbeat: str | None = Field(
        default=None,
        pattern=ENVIRONMENT_NAME,
        examples=["ALERT_HEARTBEAT_URL"],
        description="NAME of the environment variable with a URL that is called every five minutes while there is no "
        "error: a service there alerts once the calls stay away.",
    )

    @field_validator("channels")
    @classmethod
    def _names(cls, value: dict[str, Channel]) -> dict[str, Channel]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a channel; allowed are up to 50 letters, digits and underscores"
                )
        return value

    def note_addresses(self) -> None:
        """Notes all URLs as credentials, before a text about one channel is made for another."""
        for variable in (*(channel.url for channel in self.channels.values()), self.heartbeat):
            if variable is not None:
                address_of(variable)

    def local(self, at: datetime) -> datetime:
        """A moment in the time zone of the settings."""
        return at.astimezone(ZoneInfo(self.timezone))


def alerts_file() -> Path:
    """The project's file of the alerts; it may be missing."""
    return defs_folder() / "alerts" / "defs.yaml"


def read_alerts(file: Path | None = None) -> AlertSettings:
    """The settings of a file, by default the project's; none if there is no file. Raises AlertConfigError."""
    path = file or alerts_file()
    if not is_there(path, AlertConfigError):
        return AlertSettings()
    return check_alerts(read_component(path, COMPONENT_TYPE, AlertConfigError), str(path))


def check_alerts(attributes: Any, file: str) -> AlertSettings:
    """The settings of one file's `attributes`. Raises AlertConfigError."""
    refuse_templates(attributes, file, AlertConfigError)
    return validate(attributes, AlertSettings, file, AlertConfigError)
