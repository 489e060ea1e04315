"""The sandbox's time."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Clock:
    """The world's time: real time from `started` on, `speed` times as fast, plus what was skipped."""

    started: datetime
    speed: float = 1.0
    real_start: float = field(default_factory=time.time)
    skipped: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.started + timedelta(seconds=(time.time() - self.real_start) * self.speed) + self.skipped

    def set_speed(self, speed: float) -> None:
        self.started, self.real_start, self.skipped = self.now(), time.time(), timedelta(0)
        self.speed = speed
