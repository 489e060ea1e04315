"""The published rate limits, enforced as strictly as their words allow, penalty included."""

from collections import deque
from collections.abc import Callable


class Window:
    """At most `calls` in any `seconds`; beyond it every call is refused for `penalty` seconds."""

    def __init__(self, calls: int, seconds: float, penalty: float, clock: Callable[[], float]) -> None:
        self.calls = calls
        self.seconds = seconds
        self.penalty = penalty
        self.clock = clock
        self._times: deque[float] = deque()
        self._closed_until = 0.0

    def admits(self) -> bool:
        """Counts a call; False when it is too many."""
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


class Limits:
    """All limits of Back Market's contract that the sandbox's endpoints fall under (real seconds, not sandbox time)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.edge = Window(200, 10.0, 10.0, clock)
        self.care_list = [Window(520, 60.0, 10.0, clock), Window(4_000, 86_400.0, 10.0, clock)]
        self.care_detail = [Window(600, 60.0, 10.0, clock), Window(40_000, 86_400.0, 10.0, clock)]

    def admits(self, path: str) -> bool:
        windows = [self.edge]
        if path.rstrip("/") == "/ws/sav":
            windows += self.care_list
        elif path.startswith("/ws/sav/"):
            windows += self.care_detail
        return all(window.admits() for window in windows)
