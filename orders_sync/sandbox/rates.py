"""Back Market's published rate limits, enforced as strictly as their wording allows, penalty included."""

from collections import deque
from collections.abc import Callable


class RateWindow:
    """At most `calls` in any `seconds`. After one call too many, it rejects every call for `penalty` seconds."""

    def __init__(self, calls: int, seconds: float, penalty: float, clock: Callable[[], float]) -> None:
        """`clock` returns seconds that never go back, e.g. `time.monotonic`."""
        self.calls = calls
        self.seconds = seconds
        self.penalty = penalty
        self.clock = clock
        self._times: deque[float] = deque()
        self._closed_until = 0.0

    def admits(self) -> bool:
        """Counts a call; False if it exceeds the limit."""
        now = self.clock()
        if now < self._closed_until:
            return False
        while self._times and self._times[0] <= now - self.seconds:
            self._times.popleft()
        if len(self._times) >= self.calls:
            self._closed_until = now + self.penalty
            return False
        self._times.append(now)
        return True


class PublishedLimits:
    """All limits of Back Market's contract that apply to the sandbox's endpoints (real seconds, not sandbox time)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.edge = RateWindow(200, 10.0, 10.0, clock)
        self.care_list = [RateWindow(520, 60.0, 10.0, clock), RateWindow(4_000, 86_400.0, 10.0, clock)]
        self.care_detail = [RateWindow(600, 60.0, 10.0, clock), RateWindow(40_000, 86_400.0, 10.0, clock)]

    def admits(self, path: str) -> bool:
        """Counts a call to `path` in every window that applies to it; False if one of them is exceeded."""
        windows = [self.edge]
        if path.rstrip("/") == "/ws/sav":
            windows += self.care_list
        elif path.startswith("/ws/sav/"):
            windows += self.care_detail
        return all(window.admits() for window in windows)
