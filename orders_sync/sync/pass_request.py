"""What a pass is requested to do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orders_sync.config.account import SellerAccount
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary


@dataclass
class PassRequest:
    """What to do: which lane, and what differs from the account's settings."""

    account: SellerAccount
    sync_type: SyncType
    run_id: str
    start: datetime | None = None
    """Fetch from here on at the latest; earlier if the watermark lies earlier. None: from the watermark."""
    end: datetime | None = None
    """Leave aside what was created (`modified`, `care`: modified) after this moment. None: up to now."""
    page_size: int | None = None
    days_back: int | None = None
    lane_wait_seconds: float = 0.0
    progress: Callable[[PassSummary], None] = field(default=lambda _: None)
    """Called after each batch."""
