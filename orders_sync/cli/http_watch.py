"""Notices that a process that serves HTTP hangs: it lives, and answers nothing."""

import ssl
import time

import httpx

LOOK_SECONDS = 10.0
"""How often the process is looked at, however often the watch is called."""
LONGEST_GAP_SECONDS = 30.0
"""Two looks that are further apart are not in a row."""
ANSWER_SECONDS = 5.0
"""How long an answer may take."""
SILENT_SECONDS = 60.0
"""A process that has answered nothing for so long hangs."""
START_SECONDS = 180.0
"""How long it may take until the first answer after a start."""
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For URLs of this machine, by plain HTTP. httpx would read all certificates of the system with each look."""


class HttpWatch:
    """Looks again and again whether a URL is answered. Measures with a clock that never jumps."""

    def __init__(self, url: str) -> None:
        """`url`: what a GET asks for."""
        self._url = url
        self._look_at = time.monotonic()
        self._answered_at: float | None = None
        self._failed_at = 0.0
        """The last look that failed."""
        self._failing_since: float | None = None
        """The first of the looks that have failed in a row."""

    def succeeds(self) -> bool:
        """Whether the URL is answered with success."""
        response = self._get()
        return response is not None and response.is_success

    def look(self, started_at: float) -> str | None:
        """What there is to report when nothing was answered for too long. An answer may be an error.

        `started_at`: by `time.monotonic`, when the process was started last.
        """
        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_SECONDS
        if self._get() is not None:
            self._answered_at, self._failing_since = time.monotonic(), None
            return None
        if self._failing_since is None or now - self._failed_at > LONGEST_GAP_SECONDS:
            # While nobody looked, everything may have stood still, as on a laptop that is closed.
            self._failing_since = now
        self._failed_at = now
        if self._answered_at is None or self._answered_at < started_at:
            silent, allowed = now - max(started_at, self._failing_since), START_SECONDS
        else:
            silent, allowed = now - self._failing_since, SILENT_SECONDS
        return f"has not answered on {self._url} for {silent:.0f} s" if silent >= allowed else None

    def _get(self) -> httpx.Response | None:
        try:
            return httpx.get(self._url, timeout=ANSWER_SECONDS, trust_env=False, verify=_NO_CERTIFICATES)
        except httpx.HTTPError:
            return None
