"""What stands before each endpoint of the sandbox, whatever contract it speaks: its world, limits, faults, its log."""

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
from orders_sync.sandbox.faults import Fault, change_document, deliver, instead
from orders_sync.sandbox.world import World


@dataclass
class Shared:
    """What all contracts of one sandbox share: the clock, the faults that are switched on, the log of requests."""

    clock: Clock
    faults: list[Fault] = field(default_factory=list[Fault])
    seen: Counter[str] = field(default_factory=Counter[str])
    writes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Front(ABC):
    """One marketplace's contract over a world of its own."""

    name: str
    """That of its memory, and of the world in the sandbox's own endpoints."""

    def __init__(self, world: World, shared: Shared, *, token: str, limits: bool, memory: Path | None) -> None:
        self.world = world
        self.shared = shared
        self.clock = shared.clock
        self.token = token
        self.enforces_limits = limits
        self.memory = memory

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The contract's endpoints."""

    @abstractmethod
    def refused(self, request: Request) -> Response | None:
        """What the marketplace answers before it looks at what was asked: limits, headers, credentials."""

    def headers(self) -> dict[str, str]:
        """Headers of every answer."""
        return {}

    def guarded(self, endpoint: Any) -> Any:
        """An endpoint behind limits, credentials and faults."""

        async def answer(request: Request) -> Response:
            self.world.advance(self.clock.now())
            self.shared.seen[f"{request.method} {_shape(request.url.path)}"] += 1
            response = await self._answer(endpoint, request)
            self.shared.seen[str(response.status_code)] += 1
            response.headers["Date"] = format_datetime(self.clock.now().replace(microsecond=0), usegmt=True)
            response.headers.update(self.headers())
            return response

        return answer

    async def _answer(self, endpoint: Any, request: Request) -> Response:
        refused = self.refused(request)
        if refused is not None:
            return refused
        fault = next((f for f in self.shared.faults if f.kind != "no_filter" and f.strikes(request)), None)
        if fault is not None:
            if fault.kind == "delay":
                await asyncio.sleep(float(fault.details.get("seconds", 1)))
            response = instead(fault)
            if response is not None:
                return response
        answer = await endpoint(request)
        if isinstance(answer, Response):
            return answer
        if fault is not None:
            change_document(fault, answer, request)
        content = json.dumps({key: value for key, value in answer.items() if not key.startswith("_")}).encode()
        if fault is not None:
            if fault.kind == "arrive":
                self.world.arrive_paid(self.clock.now())
            elif fault.kind == "time":
                self.clock.skipped += timedelta(minutes=float(fault.details.get("minutes", 60)))
            return await deliver(fault, content)
        return Response(content, media_type="application/json")

    def struck(self, request: Request, kind: str) -> bool:
        """Whether a fault of this kind is switched on for this request."""
        return any(fault.kind == kind and fault.strikes(request) for fault in self.shared.faults)

    def remember(self) -> None:
        """Keeps what the merchant did, for the next start."""
        if self.memory is not None:
            self.world.remember(self.memory / "deeds.jsonl")


def moment(text: str | None) -> datetime | None:
    """A time of a query; without a zone it is read as UTC. Raises ValueError."""
    if text is None:
        return None
    told = datetime.fromisoformat(text.replace(" ", "+"))
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def at_or_after(text: Any, since: datetime) -> bool:
    """Whether a record's time lies at or after a moment; a time that can't be read counts as if it did."""
    try:
        told = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return True
    return (told if told.tzinfo else told.replace(tzinfo=UTC)) >= since


def _shape(path: str) -> str:
    return re.sub(r"/\d+", "/…", path)
