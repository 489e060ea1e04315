"""Whether the daemon of this process can launch runs. Only the log of Dagster's queue says so.

Its code server may evaluate ticks, and yet start no run: no memory is left, or its Python was replaced. Such a daemon
would take run after run from the queue, and each would fail.
"""

import logging
import time

from orders_sync.model.time_words import span

QUEUE = "dagster.daemon.QueuedRunCoordinatorDaemon"
"""The logger of Dagster's queue (dagster/_daemon/run_coordinator)."""
FAILED, LAUNCHED = "Caught an error dequeuing run ", "Launched "
"""How its messages begin."""
MIN_FAILURES = 3
FAILING_SECONDS = 60.0
"""So many launches must have failed in a row, over so many seconds: one that was refused is tried again after 30."""


class LaunchLog(logging.Handler):
    """Counts the launches that fail, by what is logged. Add it to the root logger."""

    def __init__(self, seconds: float = FAILING_SECONDS) -> None:
        """`seconds`: how long launches must have failed."""
        super().__init__(logging.INFO)
        self._seconds = seconds
        self._failures = 0
        self._since = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != QUEUE:
            return
        message = record.getMessage()
        if message.startswith(LAUNCHED):
            self._failures = 0
        elif message.startswith(FAILED):
            if not self._failures:
                self._since = time.monotonic()
            self._failures += 1

    def problem(self) -> str | None:
        """What there is to report when launches fail, and have failed for too long. Else None."""
        lasted = time.monotonic() - self._since
        if self._failures < MIN_FAILURES or lasted < self._seconds:
            return None
        return f"The last {self._failures} runs could not be launched, since {span(lasted)}"
