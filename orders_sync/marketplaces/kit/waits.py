"""What the calls of this process wait for now, and how long at most: a pass that waits is not taken for stuck.

It is kept for the whole process: a process works on one pass at a time, and the rate limiter, the retries and the
client of its adapter wait in several threads.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

PAUSE = "the end of the pause that the marketplace requested"
NEXT_TRY = "the next try of a call that failed"
RATE_LIMIT = "its turn under the rate limit"

_NOTED_AFTER_SECONDS = 3.0
"""A wait is reported only if it has lasted so long: nearly every moment of a pass is a short wait for an answer."""


class _Waiting(NamedTuple):
    what: str
    began: float
    """By time.monotonic()."""
    ends: float


_waiting: dict[object, _Waiting] = {}


@contextmanager
def waiting(what: str, seconds: float) -> Generator[None]:
    """Notes for the length of the block what this thread waits for, and that it takes at most so many seconds."""
    key = object()
    begin_waiting(key, what, seconds)
    try:
        yield
    finally:
        end_waiting(key)


def begin_waiting(key: object, what: str, seconds: float) -> None:
    """As `waiting`, until `end_waiting` with the same key."""
    now = time.monotonic()
    _waiting[key] = _Waiting(what, now, now + seconds)


def end_waiting(key: object) -> None:
    """Ends a wait; nothing if there is none."""
    _waiting.pop(key, None)


def longest_wait() -> tuple[str, float] | None:
    """What a thread of this process waits for, and for how many seconds more at most; None if none waits for long.

    Of several, the wait that ends last.
    """
    now = time.monotonic()
    noted = [each for each in list(_waiting.values()) if each.began + _NOTED_AFTER_SECONDS <= now < each.ends]
    longest = max(noted, key=lambda each: each.ends, default=None)
    return (longest.what, longest.ends - now) if longest is not None else None
