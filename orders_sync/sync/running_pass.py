"""A pass that is running: its request, connection and adapter, and what it has done so far."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.marketplaces.kit.errors import place_of
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.lane import Lane, SyncType
from orders_sync.model.pass_summary import PassSummary
from orders_sync.sync.batch import Origin
from orders_sync.sync.contract_drift import ContractSample
from orders_sync.sync.pass_request import PassRequest

log = logging.getLogger("orders_sync.sync")


@dataclass
class RunningPass:
    """A pass that is running: what the four syncs work with."""

    request: PassRequest
    lane: Lane
    adapter: Adapter
    connection: Connection
    summary: PassSummary
    """What the pass did so far. Change it by `add` and `note_progress` only."""
    sample: ContractSample
    """The records of the pass that are compared with what the adapter knows."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the pass began, by our own clock."""

    @classmethod
    def open(
        cls, request: PassRequest, lane: Lane, adapter: Adapter, connection: Connection, summary: PassSummary
    ) -> "RunningPass":
        """A pass that begins now."""
        if lane.sync_type is SyncType.CARE:
            sample = ContractSample("care", adapter.care_struct)
        else:
            sample = ContractSample("order", adapter.order_struct)
        return cls(request, lane, adapter, connection, summary, sample)

    @property
    def origin(self) -> Origin:
        """What the changes of this pass are stored by."""
        return Origin(self.lane.sync_type, self.request.run_id)

    @property
    def kept_fields(self) -> KeptFields:
        """What stays of a record whose buyer's data is blanked."""
        return find_marketplace(self.request.account.settings.marketplace).kept_fields

    def add(self, part: PassSummary) -> None:
        """Adds what a part of the pass did to its summary."""
        self.summary.add(part)

    def note_progress(self) -> None:
        """Updates the summary's figures of API calls, and reports the summary to whoever requested the pass."""
        metrics = self._metrics()
        if metrics is not None:
            calls, retries, too_many = (int(metrics[name]) for name in ("calls", "retries", "too_many_requests"))
            self.summary.api_calls, self.summary.retries = calls, retries
            self.summary.too_many_requests, self.summary.throttled_seconds = too_many, metrics["throttled_seconds"]
        self.request.progress(self.summary)

    def work_done(self) -> object:
        """What the pass has done so far: it differs from what it was before once the pass has made progress.

        Any thread may call it.
        """
        return self._metrics(), self.summary.numbers()

    def _metrics(self) -> Mapping[str, float] | None:
        """The adapter's figures of its calls; None if it can't count them, which fails no pass."""
        names = ("calls", "retries", "too_many_requests", "throttled_seconds")
        try:
            metrics = self.adapter.metrics()
            return {name: float(metrics[name]) for name in names}
        except Exception as error:
            log.warning("%s: the adapter's metrics() raised %s%s", self.lane, type(error).__name__, place_of(error))
            return None
