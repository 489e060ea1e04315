"""What a pass works with: what was asked for, the lane's connection, the adapter, and what was done so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orders_sync.account_settings import Account
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.base import Adapter
from orders_sync.sync.lanes import Lane, SyncType
from orders_sync.sync.summary import Summary

BATCH = 2000
"""Records merged in one transaction: enough to be set-based, few enough to keep memory flat."""


@dataclass
class PassRequest:
    """What to do: which lane, and what differs from the account's settings."""

    account: Account
    sync_type: SyncType
    run_id: str
    start: datetime | None = None
    """Fetch from here on at the latest; earlier if the watermark lies earlier. None: from the watermark."""
    end: datetime | None = None
    """Leave aside what was created (`modified`, `care`: modified) after this moment. None: up to now."""
    page_size: int | None = None
    days_back: int | None = None
    lane_wait_seconds: float = 0.0
    progress: Callable[[Summary], None] = field(default=lambda _: None)
    """Called after each batch."""


@dataclass
class Pass:
    """A pass under way: what the four syncs work with."""

    request: PassRequest
    lane: Lane
    adapter: Adapter
    connection: Connection
    summary: Summary
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    """By our own clock."""

    def note_progress(self) -> None:
        metrics = self.adapter.metrics()
        self.summary.api_calls = int(metrics["calls"])
        self.summary.retries = int(metrics["retries"])
        self.summary.too_many_requests = int(metrics["too_many_requests"])
        self.summary.throttled_seconds = metrics["throttled_seconds"]
        self.request.progress(self.summary)
