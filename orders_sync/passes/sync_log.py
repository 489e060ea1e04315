"""One log file for all syncs of a machine, however they were launched: `orders-sync log --follow` shows it."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler

from orders_sync.config.environment import EnvironmentVariableError, sync_log_file
from orders_sync.config.log_files import begin_anew_if_full
from orders_sync.model.control_characters import LogFormatter

LOGGER = logging.getLogger("orders_sync")
IN_FAILURE = "in_failure"
"""A record with this attribute says what the error that is raised says, too."""


class _SyncLog(WatchedFileHandler):
    """Says once, in one line, that it can't be written, e.g. since the disk is full: no sync stops because of that."""

    _has_said = False

    def handleError(self, record: logging.LogRecord) -> None:
        problem = sys.exc_info()[1]
        if not self._has_said and isinstance(problem, OSError):
            self._has_said = True
            sys.stderr.write(f"The sync log {self.baseFilename} can't be written: {problem.strerror}.\n")
        elif not isinstance(problem, OSError):
            super().handleError(record)

    def close(self) -> None:
        try:
            super().close()
        except OSError:  # what could not be written before can't be flushed either
            self.stream = None


@contextmanager
def log_to_file() -> Generator[None]:
    """Appends what the core logs to the sync log for the length of the block. The lines contain no buyers' data.

    What a marketplace sent is shown, not obeyed: a text begins no line of its own, and controls no terminal. A log that
    is full gets a number first; other processes then go on in the new one, too. What is wrong with the log's size stops
    nobody.
    """
    problem = _begin_anew_if_full()
    handler = _SyncLog(sync_log_file(), encoding="utf-8")
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s OrderSync %(message)s"))
    LOGGER.addHandler(handler)
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)
    if problem is not None:
        LOGGER.error("The sync log is not kept small: %s", problem)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        handler.close()


def _begin_anew_if_full() -> str | None:
    """Returns what is wrong."""
    try:
        begin_anew_if_full(sync_log_file())
    except EnvironmentVariableError as problem:
        return str(problem)
    except OSError as error:
        return f"{sync_log_file()}: {error.strerror}"
    return None
