"""The marketplace's clock, from the Date header of its answers."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx

CLOCK_TRUST = timedelta(minutes=5)
"""A marketplace's clock is believed if it differs from ours by no more."""

MAX_AHEAD = timedelta(days=1)
"""A time that lies further in the future is odd, whatever clock is right."""


class MarketplaceClock:
    """The clock of one host. Ours, before its first answer."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._offset = timedelta(0)
        self._odd_offset = timedelta(0)
        """The largest difference of the clocks that was not believed."""

    def now(self) -> datetime:
        """The time in UTC by the marketplace's clock.

        If it differs from ours by more than CLOCK_TRUST, nobody knows which one is right: the earlier of the two.
        """
        offset = self._offset
        return datetime.now(UTC) + (timedelta(0) if offset > CLOCK_TRUST else offset)

    def latest(self) -> datetime:
        """The latest time in UTC that it can be: by the later of the two clocks.

        A clock that is more than a day ahead of ours is not even wrong about its time zone: it counts as a day ahead.
        """
        return datetime.now(UTC) + min(max(self._offset, timedelta(0)), MAX_AHEAD)

    def time_of(self, response: httpx.Response) -> datetime:
        """When the marketplace gave an answer, in UTC, as it says; now, if it does not say."""
        return _date_of(response) or self.now()

    def problem(self) -> str | None:
        """What was wrong with the marketplace's clock, in one line; None if it could be believed."""
        if not self._odd_offset:
            return None
        direction = "ahead of" if self._odd_offset > timedelta(0) else "behind"
        return (
            f"the clock of {self.host} was {abs(self._odd_offset)} {direction} ours; where they differ by more than "
            f"{CLOCK_TRUST.total_seconds() / 60:.0f} minutes, the earlier one counts"
        )

    def read(self, response: httpx.Response) -> None:
        """Takes the time from an answer that has just come."""
        their_time = _date_of(response)
        if their_time is not None:
            offset = their_time - datetime.now(UTC)
            # The header has whole seconds: only what exceeds that is a difference of clocks.
            self._offset = offset if abs(offset) > timedelta(seconds=2) else timedelta(0)
            if abs(offset) > max(CLOCK_TRUST, abs(self._odd_offset)):
                self._odd_offset = timedelta(minutes=round(offset.total_seconds() / 60))


@lru_cache(maxsize=100)  # many answers come within a second, and to read a date takes ten microseconds
def http_date(text: str) -> datetime | None:
    """The time of a header, in any of the three forms of RFC 9110, 5.6.7; None if it is none of them.

    One without a zone, as the form of asctime has it, is in UTC.
    """
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _date_of(response: httpx.Response) -> datetime | None:
    """The time at which the marketplace answered, by its clock; None if it does not say."""
    return http_date(response.headers.get("Date", ""))
