"""One log file for all syncs of a machine, however they were launched: `orders-sync log --follow` shows it."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler

from orders_sync.config.environment import sync_log_file

LOGGER = logging.getLogger("orders_sync")


@contextmanager
def log_to_file() -> Generator[None]:
    """Appends what the core logs to the sync log for the length of the block. The lines contain no buyers' data."""
    handler = WatchedFileHandler(sync_log_file(), encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s OrderSync %(message)s"))
    LOGGER.addHandler(handler)
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        handler.close()
