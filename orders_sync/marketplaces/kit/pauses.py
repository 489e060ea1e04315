"""The pauses that a marketplace requests by a 429 or 503: its Retry-After, or the penalty that it publishes."""

import threading
import time
from datetime import datetime

import httpx

from orders_sync.marketplaces.kit.clock import MarketplaceClock, http_date
from orders_sync.marketplaces.kit.retries import MAX_BACKOFF_SECONDS

MIN_PAUSE_SECONDS = 1.0
"""The least pause where a Retry-After names none (0, or a moment in the past); twice as long for each one in a row."""
MAX_RETRY_AFTER_SECONDS = 3_600.0
"""A longer Retry-After counts as this one: it may be a mistake (milliseconds, a wrong date), and nobody but the
marketplace could correct it. One call an hour shows whether the marketplace still requests a pause."""


class RequestedPauses:
    """The pauses that the answers to one client request. Several threads may use it at once."""

    def __init__(self, clock: MarketplaceClock, penalty_seconds: float) -> None:
        """`penalty_seconds`: the pause after a 429 without Retry-After, from the published contract."""
        self._clock = clock
        self._penalty_seconds = penalty_seconds
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._last_ends = 0.0
        """By time.monotonic()."""

    def after(self, response: httpx.Response) -> float | None:
        """The pause that an answer requests, in seconds; None if it requests none.

        At least MIN_PAUSE_SECONDS, and longer if the last such pause was followed by no answer but this one.
        """
        named = retry_after(response.headers.get("Retry-After"), self._clock.time_of(response))
        if named is None and response.status_code == 429:
            named = self._penalty_seconds
        if named is None:
            return None
        with self._lock:
            now = time.monotonic()
            if now >= self._last_ends:  # answers to other connections in the meantime mean the same pause
                self._in_a_row += 1
            pause = max(named, min(MAX_BACKOFF_SECONDS, MIN_PAUSE_SECONDS * 2 ** min(self._in_a_row - 1, 10)))
            self._last_ends = now + pause
        return pause

    def reset(self) -> None:
        """An answer came that is none of an outage: the next pause is the first one in a row."""
        self._in_a_row = 0


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds to wait by a Retry-After header, which holds seconds or an HTTP date (RFC 9110, 10.2.3).

    None if it holds neither. `now`: the time by the marketplace's clock.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    at = http_date(text)
    return None if at is None else min(max(0.0, (at - now).total_seconds()), MAX_RETRY_AFTER_SECONDS)
