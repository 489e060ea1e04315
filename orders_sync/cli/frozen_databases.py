"""Says that a database is frozen: it refuses nothing, and does not answer either."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

FROZEN_SECONDS = 30.0
"""After so long without an answer, the databases are reported as frozen."""


@contextmanager
def said_if_frozen(report: Callable[[str], None], report_end: Callable[[str], None]) -> Generator[None]:
    """Reports when the block, which waits for the databases, takes long, and when they have answered after all."""
    began, is_frozen = time.monotonic(), threading.Event()

    def say() -> None:
        is_frozen.set()
        report(f"the databases have not answered for {FROZEN_SECONDS:.0f} s; waiting until they do")

    timer = threading.Timer(FROZEN_SECONDS, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_frozen.is_set():
        report_end(f"the databases answer again after {time.monotonic() - began:.0f} s")
