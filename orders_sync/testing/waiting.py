"""Waiting for something that another process does, with limits that fit the machine's speed."""

import time
from collections.abc import Callable
from typing import TypeVar

from orders_sync.testing.machine_speed import slowness

T = TypeVar("T")


def limit(seconds: float) -> float:
    """A time limit for this machine, in seconds, from one that is generous on the reference machine.

    Use it for every time limit that a slow machine could miss: waits, subprocesses, the browser, pytest.
    """
    return seconds * slowness()


def wait_for(
    condition: Callable[[], T], *, seconds: float = 30.0, what: str = "the condition", every: float | None = None
) -> T:
    """Waits until `condition` returns something true, and returns that.

    `seconds`: the limit on the reference machine. `every`: seconds between two looks; None: the longer it lasts, up to
    a second, since looking costs time that what is waited for needs.
    Raises AssertionError, which names `what`, when the limit has passed.
    """
    allowed = limit(seconds)
    began = time.monotonic()
    while True:
        result = condition()
        if result:
            return result
        waited = time.monotonic() - began
        if waited > allowed:
            raise AssertionError(f"{what} did not come true within {allowed:.0f} s")
        time.sleep(min(1.0, 0.05 + waited / 20) if every is None else every)
