"""The error answers of one client, to be kept as evidence: messages report their published codes only."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from orders_sync.lanes.error_answers import ErrorAnswer
from orders_sync.marketplaces.kit.calls import Call
from orders_sync.model.keys import with_valid_characters
from orders_sync.model.known_credentials import masked, masked_bytes

MAX_ANSWERS = 20
"""So many different error answers of a client are held; then the oldest one goes."""
BODY_BYTES = 32 * 1024
"""Bytes that are kept of a body. An error answer has some hundred; a firewall's page some ten thousand."""
MAX_PATH = 500
MAX_HEADER = 500
"""Characters of a path and of a header's value."""
HEADERS = (
    "content-type", "content-length", "date", "retry-after", "location", "www-authenticate", "server", "via", "cf-ray",
    "x-request-id", "x-correlation-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
)  # fmt: skip
"""The headers that are kept: those that a marketplace's support asks for, or that explain a pause. No cookies."""


class ErrorAnswers:
    """The error answers since they were last taken. Several threads may use it at once."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], ErrorAnswer] = {}
        self._lock = threading.Lock()

    def note(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Notes an answer, without known credentials. The same request with the same status is one, however often."""
        # Masked before it is cut: the beginning of a credential is one, too.
        path = call.name if call.is_document else masked(call.path.partition("?")[0])[:MAX_PATH]
        key = (call.method, with_valid_characters(path), status)
        kept = {name: _shown_header(name, headers[name]) for name in HEADERS if name in headers}
        content = masked_bytes(body[: 2 * BODY_BYTES])[:BODY_BYTES]
        with self._lock:
            before = self._answers.pop(key, None)
            times = 1 if before is None else before.times + 1
            self._answers[key] = ErrorAnswer(*key, kept, content, len(body), times, datetime.now(UTC))
            if len(self._answers) > MAX_ANSWERS:
                del self._answers[next(iter(self._answers))]

    def take(self) -> list[ErrorAnswer]:
        """The answers, the newest one last. They are not held any longer."""
        with self._lock:
            taken, self._answers = list(self._answers.values()), {}
        return taken


def _shown_header(name: str, value: str) -> str:
    if name == "location":
        value = value.partition("?")[0]  # the query may hold a session or a signature
    return with_valid_characters(masked(value)[:MAX_HEADER])
