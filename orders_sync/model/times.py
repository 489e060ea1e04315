"""Which times a record can have."""

from datetime import UTC, datetime

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
ALLOWED = "a time from 2000 to 2099"
ALLOWED_PAST = f"a time (UTC) from {EARLIEST:%Y-%m-%d} up to now"


def why_out_of_range(at: datetime, now: datetime) -> str | None:
    """Why a time can't be one up to which a lane has seen everything, or from which it fetches; None if it can."""
    if at < EARLIEST:
        return f"lies before {EARLIEST:%Y-%m-%d}"
    return "lies in the future" if at > now else None


def in_range(at: datetime) -> bool:
    """Whether a time can be that of a record. One without a zone is compared as a time in UTC.

    Others are what programs write for no time, such as year 1, or for never, such as year 9999. They can't even be
    converted to UTC: Python raises OverflowError.
    """
    if EARLIEST.year < at.year < LATEST.year - 1:  # in any time zone; a comparison takes longer
        return True
    return EARLIEST <= (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) < LATEST
