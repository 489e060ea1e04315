"""Times, amounts and missing values as the published contracts write them."""

from datetime import UTC, datetime
from typing import Any


def stamp(at: datetime) -> str:
    """A time in UTC with a `Z`, to the second: `2026-09-01T08:30:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(at: datetime) -> str:
    """A time in UTC with a numeric offset, to the second: `2026-09-01T08:30:00+00:00`."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def cents(amount: int) -> str:
    """An amount of cents as a decimal text: 12345 gives `123.45`."""
    return f"{amount // 100}.{amount % 100:02d}"


def known(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its fields that are None: the contracts leave out what is not known, or not the case."""
    return {key: value for key, value in record.items() if value is not None}
