"""Whether a difference between V1 and V2 counts yet: one side may not have had the time to see what the other has.

A difference is in flight only until both sides have looked after the later of the two changes: V2 has had a pass, V1
its cadence. A deadline ends it in any case, so that a lane that stands still, or a clock that is off, hides nothing.
"""

from datetime import datetime, timedelta
from typing import NamedTuple


class Sight(NamedTuple):
    """When each side changed what differs, and up to when V2 has looked since. Times are UTC; None: not known."""

    v1_changed_at: datetime | None
    """When V1 last wrote it."""
    v2_changed_at: datetime | None
    """When it last changed at the marketplace, as V2 has it."""
    v2_looked_until: datetime | None
    """The watermark of the lane that brings it; None: the lane has had no complete pass."""
    first_found_at: datetime | None = None
    """When an earlier comparison found the same difference; None: none has."""


class Patience(NamedTuple):
    """How long a difference may be in flight."""

    now: datetime
    v1_cadence: timedelta
    """How long V1 takes to see a change, at most."""
    deadline: timedelta
    """After this time a difference counts, whatever either side has done."""

    def is_in_flight(self, sight: Sight) -> bool:
        """Whether the difference does not count yet."""
        v1_changed_at = _not_after(sight.v1_changed_at, self.now)
        v2_changed_at = _not_after(sight.v2_changed_at, self.now)
        since = min(filter(None, (max_known(v1_changed_at, v2_changed_at), sight.first_found_at)), default=None)
        if since is None or self.now - since > self.deadline:
            return False
        v2_has_not_looked = v1_changed_at is not None and (
            sight.v2_looked_until is None or sight.v2_looked_until < v1_changed_at
        )
        v1_has_not_looked = v2_changed_at is not None and self.now - v2_changed_at < self.v1_cadence
        return v2_has_not_looked or v1_has_not_looked


def max_known(*moments: datetime | None) -> datetime | None:
    """The latest of the moments that are known; None: none is."""
    return max(filter(None, moments), default=None)


def _not_after(moment: datetime | None, now: datetime) -> datetime | None:
    """A time in the future is that of a clock that is ahead."""
    return None if moment is None else min(moment, now)
