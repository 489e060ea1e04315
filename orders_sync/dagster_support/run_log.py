"""What the core logs during a run, in the log of that run: the UI shows it on the run's page."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from orders_sync.model.control_characters import safe_text
from orders_sync.passes.sync_log import IN_FAILURE, LOGGER

MAX_LINES = 200
"""So many lines of a run are kept in Dagster's database; the sync log has all."""


@contextmanager
def log_to_run(log: dg.DagsterLogManager | None) -> Generator[None]:
    """Passes what the core logs to the log of a run for the length of the block, as `log_to_file` does to the file."""
    if log is None:
        yield
        return
    handler = _ToRun(log)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


class _ToRun(logging.Handler):
    """A handler that logs in the run: no credential, no control character, and not without end.

    What the failure of the run says as well is left out: the run's log has it once.
    """

    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += 1
        if getattr(record, IN_FAILURE, False) or self._lines > MAX_LINES:
            return
        try:
            self._log.log(record.levelno, safe_text(record.getMessage(), in_one_line=True))
            if self._lines == MAX_LINES:
                self._log.info("The further lines of this run are in the sync log only: `orders-sync log`.")
        except Exception:  # the log of a run is not worth a pass
            self.handleError(record)
