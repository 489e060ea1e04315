"""One request of the HTTP client, and what it means when no usable answer comes."""

from collections.abc import Sequence
from typing import NamedTuple

import httpx

from orders_sync.marketplaces.kit.errors import BadAnswerError
from orders_sync.marketplaces.kit.rate_limits import RateLimit
from orders_sync.marketplaces.kit.retries import TransientError
from orders_sync.marketplaces.kit.transport import BrokenCodingError
from orders_sync.model.shown_ids import shown_path

READ_TIMEOUT_SECONDS = 30.0
"""Seconds for one read of an answer."""


class Call(NamedTuple):
    """One request to the account's own host."""

    method: str
    url: httpx.URL
    path: str
    """As the adapter gave it. It may have come from the marketplace."""
    limits: Sequence[RateLimit]
    content: bytes | None = None
    is_document: bool = False
    """Whether the answer is a document, and not JSON."""

    @property
    def name(self) -> str:
        """What messages call it. The URL of a document may hold a signature or the buyer's name, in its path too."""
        return "the URL of a document" if self.is_document else shown_path(self.path)


def no_answer(
    error: httpx.TransportError | BrokenCodingError, host: str, call: Call, answer_seconds: float
) -> TransientError:
    """What a request without a usable answer means. `host`: the account's own; `answer_seconds`: for the whole one."""
    if isinstance(error, BrokenCodingError):
        return TransientError(f"{host} answers {call.name} {error}", final=BadAnswerError)
    if isinstance(error, httpx.ReadTimeout):
        seconds = f"within {answer_seconds:.0f} s, or sends nothing for {READ_TIMEOUT_SECONDS:.0f} s"
        return TransientError(f"{host} does not answer {call.method} {call.name} {seconds}")
    reason = str(error).strip()
    if not reason or "bytearray" in reason:  # h11 quotes the line that broke the protocol
        reason = type(error).__name__
    no_server = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    port = call.url.port or (443 if call.url.scheme == "https" else 80)
    address = f"{host}:{port}" if no_server else host
    return TransientError(
        f"{address} does not answer {call.method} {call.name}: {reason}",
        certainly_not_done=no_server,
        no_server=no_server,
    )
