"""What an adapter must answer, on one page.

An adapter is one file: it turns a marketplace's published contract into the calls below. Lists are read page by
page and may be read in any order; reading a list to its end means that every record of it was seen, or it raises
IncompleteListError. Everything else (limits, retries, storing, events, stock) is not the adapter's business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from orders_sync.config.account import AccountSettings
from orders_sync.marketplaces.kit.errors import (
    IncompleteListError,
    RequestRefusedError,
)
from orders_sync.model.records import CareRecord, Documents, Order
from orders_sync.model.statuses import Status


class RawRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of a list, not decoded yet but for what tells whether it is new."""

    record_id: str
    """The marketplace's id; empty when the record has none that can be used."""
    raw: bytes
    """The record's JSON as it came."""
    fingerprint: bytes
    """A hash of the record without its volatile parts."""
    created_at: datetime | None = None
    modified_at: datetime | None = None


class AcceptanceAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the marketplace answered to a request to accept orderlines."""

    status: int
    order: RawRecord | None
    """The order as it is now, if the answer carries it."""


class MissingDocuments(NamedTuple):
    """An order, and which of its papers are looked for."""

    order_id: str
    delivery_note: bool
    label: bool


class AcceptanceTarget(NamedTuple):
    """What one request accepts: all waiting lines of an order, those of one SKU, or one item."""

    order_id: str
    sku: str = ""
    item_id: str = ""

    def __str__(self) -> str:
        sku = f", SKU {self.sku}" if self.sku else ""
        return f"order {self.order_id}{sku}" + (f", item {self.item_id}" if self.item_id else "")


#: How a list of orders is asked for: by what time, and from when on (None: what waits for the merchant).
OrderListing = Literal["created", "modified", "waiting"]


class Adapter(Protocol):
    """One marketplace account, ready to be asked."""

    new_order_listings: Sequence[OrderListing]
    """The lists that `new` reads, in this order: `waiting` too where the one by creation leaves some orders out."""
    acceptance_unit: Literal["sku", "item", "order"] | None
    """How waiting lines are accepted; None where the published contract has no way."""

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        """All orders created or modified at or after `since`, or all that wait for the merchant; in pages."""
        ...

    def order(self, order_id: str) -> RawRecord | None:
        """One order as it is now; None if the marketplace does not know it."""
        ...

    def decode_order(self, raw: bytes) -> Order:
        """The canonical order of a raw record. Raises Rejected with reasons, where the record is unusable."""
        ...

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        """All care records changed at or after `since`, in pages."""
        ...

    def care_record(self, record: RawRecord) -> bytes:
        """The whole of one care record of the list (a further call where the list is not whole)."""
        ...

    def decode_care_record(self, raw: bytes) -> CareRecord:
        """The canonical care record. Raises Rejected with reasons."""
        ...

    def documents(self, lacking: Sequence[MissingDocuments]) -> Iterator[tuple[str, Documents | RequestRefusedError]]:
        """The papers of these orders as far as they exist now, or why an order could not be asked for.

        Asks only for what is wanted, for as many orders with one call as the contract allows.
        """
        ...

    def accept(self, waiting: AcceptanceTarget) -> AcceptanceAnswer:
        """Accepts what waits: the only write. Raises Refused, or AnswerLostError."""
        ...

    def probes(self) -> Mapping[str, Callable[[], object]]:
        """One cheap call for each endpoint that the syncs use, by the endpoint's name in the contract."""
        ...

    def now(self) -> datetime:
        """The marketplace's own clock, as its answers tell it; our clock before the first answer."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """calls, throttled_seconds, retries, too_many_requests and received_bytes so far."""
        ...

    def close(self) -> None:
        """Closes connections."""
        ...


@dataclass(frozen=True)
class Marketplace:
    """What a marketplace is to the rest of the project: the `MARKETPLACE` of its module."""

    title: str
    settings: type[AccountSettings]
    open: Callable[[Any, int | None], Adapter]
    """The adapter of an account, with a page size of one's own or that of the account."""
    states: Mapping[str, Mapping[Any, Status]]
    """The tables of the marketplace's states, each by what it is of (`order`, `item`), onto ours."""
    buyer_keys: frozenset[str]
    """The keys of its JSON records, at any depth, whose values are about the buyer: what a retention blanks."""
    notes: str = ""
    """What docs/states.md has to say of them."""


#: How much earlier than asked a record may lie: marketplaces cut fractions of a second off what they are asked.
FILTER_TOLERANCE = timedelta(seconds=1)


def check_filter(
    records: list[RawRecord], listing: OrderListing, since: datetime | None, tolerance: timedelta = FILTER_TOLERANCE
) -> None:
    """Raises IncompleteListError when a list holds records that were not asked for: its filter was ignored."""
    if since is None:
        return
    floor = since - tolerance
    for record in records:
        at = record.created_at if listing == "created" else record.modified_at
        if at is not None and at.tzinfo is not None and at < floor:
            raise IncompleteListError(
                f"The marketplace was asked for records {listing} since {since.isoformat()} and listed "
                f"{record.record_id} of {at.isoformat()}: it ignores the filter."
            )
