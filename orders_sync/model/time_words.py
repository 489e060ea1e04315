"""Times and durations as people read them."""

from datetime import UTC, datetime


def moment(at: datetime | None) -> str:
    """A time to the second, in UTC; a dash for None."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at is not None else "-"


def span(seconds: float | None) -> str:
    """A duration in its largest unit; a dash for None."""
    if seconds is None:
        return "-"
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} days"
