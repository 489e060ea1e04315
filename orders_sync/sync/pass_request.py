"""What a pass is requested to do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orders_sync.acts.by import By
from orders_sync.config.account import SellerAccount
from orders_sync.model.lane import SyncType
from orders_sync.model.pass_summary import PassSummary


@dataclass
class PassRequest:
    """One pass of a lane, and where it differs from the account's settings."""

    account: SellerAccount
    sync_type: SyncType
    run_id: str
    start: datetime | None = None
    """Fetch what is dated from this moment on, or from the watermark if that is earlier. None: from the watermark."""
    end: datetime | None = None
    """Ignore records created (`modified`, `care`: modified) after this moment. None: none is ignored."""
    page_size: int | None = None
    """Records on a page. None: the account's setting."""
    days_back: int | None = None
    """How many days `incomplete` looks back. None: the account's setting."""
    reread: bool = False
    """Compare every record with the stored one, value by value, instead of by its fingerprint."""
    lane_wait_seconds: float = 0.0
    """How long to wait for a lane that another run holds."""
    by: By | None = None
    """The person who starts it by hand; None: nobody does."""
    progress: Callable[[PassSummary], None] = field(default=lambda _: None)
    """Called after each batch with the summary so far."""
    why_stopped: Callable[[], str | None] = field(default=lambda: None)
    """Called if the pass is stopped before its end: why, e.g. who did it; None: not known."""
