"""How often Dagster's daemon and web server look at the code server while nothing happens, and how the daemon ends.

At rest, a daemon with three accounts spent most of its time on this. Not in `internals`: what it imports takes seconds.
"""

from types import TracebackType

from dagster._daemon import controller
from dagster._grpc import server_watcher

from orders_sync.dagster_instance.tick_waits import end_waiting_ticks

WATCH_SECONDS = 5
"""How often a process asks the code server whether it was loaded again. Dagster's own: 1."""
REFRESH_SECONDS = 300
"""How often the daemon reads all definitions again, though the code server has not changed. Dagster's own: 60."""
TOLERANCE_SECONDS = 600
"""For so long the daemon goes on with the definitions that it has while they can't be read again."""

_end = controller.DagsterDaemonController.__exit__


def look_less_often() -> None:
    """Sets this for the process. Call it before daemon or web server start in it."""
    server_watcher.WATCH_INTERVAL = WATCH_SECONDS
    controller.RELOAD_WORKSPACE_INTERVAL = REFRESH_SECONDS
    controller.DEFAULT_WORKSPACE_FRESHNESS_TOLERANCE = TOLERANCE_SECONDS


def end_at_once() -> None:
    """Lets the daemon of this process end the ticks that wait before it ends. Else it would wait for them."""
    controller.DagsterDaemonController.__exit__ = _end_with_ticks


def _end_with_ticks(
    self: controller.DagsterDaemonController,
    exception_type: type[BaseException],
    exception_value: Exception,
    traceback: TracebackType,
) -> None:
    self._daemon_shutdown_event.set()  # else the next ones would begin meanwhile
    end_waiting_ticks()
    _end(self, exception_type, exception_value, traceback)
