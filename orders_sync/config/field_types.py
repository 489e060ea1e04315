"""Types of settings that more than one file has: a cron expression, a time zone, a duration."""

import re
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Annotated, cast
from zoneinfo import available_timezones

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

CRON_NAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
"""Names that stand for cron expressions."""
ENVIRONMENT_NAME = r"^[A-Z][A-Z0-9_]*$"
"""The names of environment variables that settings may name."""
MAX_CRONS = 10
"""How many cron expressions a sync may have."""
DURATION = r"^[1-9]\d{0,3}[mhd]$"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def checked_cron(value: str) -> str:
    """The cron expression with its five fields. Raises ValueError when it is none, or has no tick."""
    fields = CRON_NAMES.get(value, value)
    if len(fields.split()) != 5 or not croniter.is_valid(fields):
        raise ValueError(
            f"{value!r} is no cron expression; allowed are five fields, e.g. '0 6-22/2 * * *', or one of "
            f"{', '.join(CRON_NAMES)}"
        )
    try:
        croniter(fields).get_next()
    except CroniterBadDateError:
        raise ValueError(f"{value!r} has no tick: there is no such day") from None
    return fields


def checked_crons(value: object) -> tuple[str, ...]:
    """One cron expression, or a list of them: a tick of any of them counts. Raises ValueError for a wrong one."""
    crons = list(cast(Sequence[object], value)) if isinstance(value, list | tuple) else [value]
    if not 1 <= len(crons) <= MAX_CRONS:
        raise ValueError(f"allowed are 1 to {MAX_CRONS} cron expressions, found are {len(crons)}")
    for cron in crons:
        if not isinstance(cron, str):
            raise ValueError(f"{cron!r} is no cron expression; write it in quotes, e.g. '0 6-22/2 * * *'")
    return tuple(dict.fromkeys(checked_cron(str(cron)) for cron in crons))


@cache  # it looks through folders, and each page and tick of a sensor reads the settings
def _zones() -> set[str]:
    return available_timezones()


def _checked_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError(f"{value!r} is no time zone; allowed are IANA names, e.g. UTC or Europe/Berlin")
    return value


def duration(value: object) -> timedelta:
    """A duration such as `20h`: a whole number of minutes (m), hours (h) or days (d). Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(DURATION, value):
        raise ValueError(f"{value!r} is no duration; allowed are minutes, hours or days, e.g. 90m, 20h or 2d")
    return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})


CronExpressions = Annotated[
    tuple[str, ...],
    BeforeValidator(checked_crons),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_CRONS},
            ]
        }
    ),
]
"""A cron expression, or a list of them whose ticks all count.

Each has five fields (minute, hour, day of month, month, day of week), or is a name such as @hourly.
"""

TimeZone = Annotated[str, AfterValidator(_checked_zone)]
"""The IANA name of a time zone."""

Duration = Annotated[timedelta, BeforeValidator(duration), WithJsonSchema({"type": "string", "pattern": DURATION})]
"""Minutes, hours or days, e.g. 90m, 20h or 2d."""
