"""What every fake marketplace does around its endpoints: rate limits, credentials, faults, the log of requests."""

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orders_sync.sandbox.clock import Clock
from orders_sync.sandbox.faults import Fault, altered, delivered, replacement
from orders_sync.sandbox.world import World


@dataclass
class SandboxControls:
    """What the marketplaces of one sandbox have in common, and what /sandbox/* reads and changes."""

    clock: Clock
    address: str = ""
    """Where it is served, e.g. http://127.0.0.1:8765: the beginning of the URLs of documents."""
    faults: list[Fault] = field(default_factory=list[Fault])
    """The faults that are switched on."""
    seen: Counter[str] = field(default_factory=Counter[str])
    """How many requests came, by method and path without numbers (`GET /ws/orders/…`), and how many responses left,
    by status (`200`)."""
    writes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Every request that set a state, oldest first, with `problem`: why it was not carried out, or None."""


class FakeMarketplace(ABC):
    """One marketplace's contract over a world of its own."""

    name: str
    """As in an account file's `marketplace`; also the name of its folder of saved state."""

    def __init__(
        self, world: World, controls: SandboxControls, *, token: str, limits: bool, actions_file: Path | None
    ) -> None:
        """`token`: the credential that requests must carry. `limits`: whether to enforce the published rate limits.
        `actions_file`: where to save what the merchant does; None: nowhere."""
        self.world = world
        self.controls = controls
        self.clock = controls.clock
        self.token = token
        self.enforces_limits = limits
        self.actions_file = actions_file

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The contract's endpoints."""

    @abstractmethod
    def listed(self) -> list[dict[str, Any]]:
        """All orders in the contract's form, those that tests put in included."""

    @abstractmethod
    def precheck(self, request: Request) -> Response | None:
        """The marketplace's error for a request that exceeds the rate limit, lacks a header or carries a wrong
        credential; None: the request is fine."""

    def headers(self) -> dict[str, str]:
        """Headers of every response."""
        return {}

    def guarded(self, endpoint: Any, *, is_open: bool = False) -> Any:
        """An endpoint behind rate limits, credentials and faults. `endpoint` returns a document or a response.

        `is_open`: a file that anybody with its URL may read; behind faults only.
        """

        async def respond(request: Request) -> Response:
            self.world.advance(self.clock.now())
            self.controls.seen[f"{request.method} {_without_numbers(request.url.path)}"] += 1
            response = await self._respond(endpoint, request, is_open=is_open)
            self.controls.seen[str(response.status_code)] += 1
            response.headers["Date"] = format_datetime(self.clock.now().replace(microsecond=0), usegmt=True)
            response.headers.update(self.headers())
            return response

        return respond

    async def _respond(self, endpoint: Any, request: Request, *, is_open: bool) -> Response:
        error = self.precheck(request)
        if error is not None and not is_open:
            return error
        fault = next((f for f in self.controls.faults if f.kind != "no_filter" and f.matches(request)), None)
        if fault is not None:
            if fault.kind == "delay":
                await asyncio.sleep(float(fault.details.get("seconds", 1)))
            response = replacement(fault)
            if response is not None:
                return response
        document = await endpoint(request)
        if isinstance(document, Response):
            return delivered(fault, b"") if fault is not None and fault.kind == "lose_answer" else document
        if fault is None:
            return Response(_encoded(document), media_type="application/json")
        content = _encoded(altered(fault, document, request))
        if fault.kind == "arrive":
            self.world.arrive_paid(self.clock.now())
        elif fault.kind == "time":
            self.clock.skipped += timedelta(minutes=float(fault.details.get("minutes", 60)))
        return delivered(fault, content)

    def has_fault(self, kind: str, request: Request) -> bool:
        """Whether a fault of this kind affects this request. Counts the request, as Fault.matches does."""
        return any(fault.kind == kind and fault.matches(request) for fault in self.controls.faults)

    def save_actions(self) -> None:
        """Saves what the merchant did, so that the next start can replay it."""
        if self.actions_file is not None:
            self.world.save_actions(self.actions_file)


def parse_time(text: str | None) -> datetime | None:
    """A time from a query; a time without a zone is taken as UTC. Raises ValueError."""
    return None if text is None else _aware(datetime.fromisoformat(text.replace(" ", "+")))


def at_or_after(text: Any, since: datetime) -> bool:
    """Whether a record's time is `since` or later. True for a time that can't be read: such records stay listed."""
    try:
        return _aware(datetime.fromisoformat(text)) >= since
    except (TypeError, ValueError):
        return True


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _encoded(document: dict[str, Any]) -> bytes:
    """The JSON of a document without its keys that only the sandbox uses (`_…`)."""
    return json.dumps({key: value for key, value in document.items() if not key.startswith("_")}).encode()


def _without_numbers(path: str) -> str:
    return re.sub(r"/\d+", "/…", path)
