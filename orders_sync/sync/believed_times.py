"""The modified time of a record is believed only as far as the later one of the two clocks, ours and the marketplace's.

A record that claims to be of the future would count as newer than all later ones, and those would be ignored.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from orders_sync.marketplaces.kit.clock import CLOCK_TRUST
from orders_sync.marketplaces.kit.lenient import Decoded
from orders_sync.model.records import CareRecord, Flaw, Order

AnyRecord = TypeVar("AnyRecord", Order, CareRecord)
IN_THE_FUTURE = "lies in the future"
"""What is found in a modified time that is not believed: of its flaw."""
_IN_THE_FUTURE = Flaw("modified_at", IN_THE_FUTURE, "unknown, or as it was stored before")


class BelievedTimes:
    """Leaves out modified times that lie more than CLOCK_TRUST ahead of a clock.

    The clock's own time would be no better: a later version that was modified a moment before it would be ignored.
    """

    def __init__(self, latest: Callable[[], datetime]) -> None:
        """`latest`: of the adapter, the latest time in UTC that it can be.

        By the earlier clock, the true times of records would lie in the future while the other clock is right, and an
        older copy would count as new.
        """
        self._latest = latest
        self._limit = latest() + CLOCK_TRUST

    def checked(self, decoded: Decoded[AnyRecord]) -> Decoded[AnyRecord]:
        """The record, without its modified time and with a flaw if that is not to be believed.

        A creation time in the future is a flaw as well. It stays: an order needs one.
        """
        record = decoded.value
        began = record.created_at if isinstance(record, Order) else record.opened_at
        at, limit = record.modified_at, self._limit
        if began is not None and began.tzinfo and began <= limit and at is not None and at.tzinfo and at <= limit:
            return decoded  # nearly all: a call less for each time
        if began is not None and self._is_ahead(began):
            name = "created_at" if isinstance(record, Order) else "opened_at"
            decoded = Decoded(record, decoded.raw, (*decoded.flaws, Flaw(name, IN_THE_FUTURE, "the time as it is")))
        if at is None or not self._is_ahead(at):
            return decoded
        value = msgspec.structs.replace(decoded.value, modified_at=None)
        return Decoded(value, decoded.raw, (*decoded.flaws, _IN_THE_FUTURE))

    def believed(self, at: datetime | None) -> datetime | None:
        """A modified time; None if it is not to be believed."""
        return None if at is None or self._is_ahead(at) else at

    def _is_ahead(self, at: datetime) -> bool:
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        if at <= self._limit:  # nearly all: the clock is read only for what it may decide
            return False
        self._limit = self._latest() + CLOCK_TRUST
        return at > self._limit
