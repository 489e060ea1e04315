"""Types of settings that more than one file has: a cron expression, a time zone."""

from typing import Annotated
from zoneinfo import available_timezones

from croniter import croniter
from pydantic import AfterValidator


def checked_cron(value: str) -> str:
    """The cron expression as given. Raises ValueError when it does not have the five usual fields."""
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is no cron expression; allowed are five fields, e.g. '0 6-22/2 * * *'")
    return value


def _checked_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone; allowed are IANA names, e.g. UTC or Europe/Berlin")
    return value


CronExpression = Annotated[str, AfterValidator(checked_cron)]
"""Five fields: minute, hour, day of month, month, day of week."""

TimeZone = Annotated[str, AfterValidator(_checked_zone)]
"""The IANA name of a time zone."""
