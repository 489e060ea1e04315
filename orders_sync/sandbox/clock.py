"""The sandbox's clock."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Clock:
    """The time in the sandbox: it starts at `started`, runs `speed` times as fast as real time, and can skip ahead."""

    started: datetime
    """The sandbox's time at `real_start` (aware, UTC)."""
    speed: float = 1.0
    real_start: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    skipped: timedelta = timedelta(0)
    """Time added on top; increase it to move the clock forward at once."""

    def now(self) -> datetime:
        """The sandbox's current time (aware, UTC)."""
        return self.started + timedelta(seconds=(time.time() - self.real_start) * self.speed) + self.skipped

    def set_speed(self, speed: float) -> None:
        """Changes the speed from now on; the current time stays the same."""
        self.started, self.real_start, self.skipped = self.now(), time.time(), timedelta(0)
        self.speed = speed
