"""The adapter protocol: what the rest of the project calls on a marketplace, on one page.

An adapter is one file that turns a marketplace's published contract into these calls. It reads lists page by page, in
any order of records. A list that is read to its end has yielded every record, or the iterator raises
IncompleteListError. An adapter does not store, validate, lock or retry: that happens elsewhere.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from orders_sync.config.account import AccountSettings
from orders_sync.marketplaces.kit.errors import (
    IncompleteListError,
    MarketplaceError,
)
from orders_sync.marketplaces.kit.kept_fields import NOTHING_KEPT, KeptFields
from orders_sync.marketplaces.kit.rate_limits import RateLimit
from orders_sync.model.records import CareRecord, Document, DocumentKind, Flaw, Order
from orders_sync.model.shown_ids import shown_id
from orders_sync.model.statuses import Status


class RawRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of a list. Only what shows whether it is new or changed is decoded."""

    record_id: str
    """The marketplace's id, without spaces around it; empty if the record has no usable one."""
    raw: bytes
    """The record's JSON, byte for byte as received."""
    fingerprint: bytes
    """A hash (16 bytes) of the record; equal fingerprints mean an unchanged record."""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    """None if the record has no such time, or one that can't be compared: without a zone, out of range, or odd."""
    flaws: tuple[Flaw, ...] = ()
    """What shows only in the list: a time that the list's filter excludes, see `check_filter`."""
    is_cut_off: bool = False
    """Whether `raw` is only the record's beginning: the answer with it is too large, see `kit.large_pages`."""


#: What one request to accept or refuse is about: the waiting lines of a SKU, one item, or those of a whole order.
AcceptanceUnit = Literal["sku", "item", "order"]


class AcceptanceAnswer(msgspec.Struct, frozen=True, gc=False):
    """The marketplace's answer to a request to accept or refuse orderlines."""

    status: int
    """The HTTP status, 200 to 299."""
    order: RawRecord | None
    """The order after the request, if the answer carries it."""


class MissingDocuments(NamedTuple):
    """An order, and which of its documents to read: they are missing, or their URLs expire."""

    order_id: str
    delivery_note: bool
    label: bool


class AcceptanceTarget(NamedTuple):
    """What one request accepts or refuses: all waiting lines of an order, those of one SKU, or one item."""

    order_id: str
    sku: str = ""
    item_id: str = ""

    def __str__(self) -> str:
        sku = f", SKU {self.sku}" if self.sku else ""
        return f"order {shown_id(self.order_id)}{sku}" + (f", item {shown_id(self.item_id)}" if self.item_id else "")


class OrderDocuments(msgspec.Struct, frozen=True, gc=False):
    """What could be read of an order's documents; `kit.documents` collects it."""

    found: Sequence[Document]
    flaws: Sequence[Flaw] = ()
    """What is wrong with documents that are found nevertheless."""
    problems: Sequence[MarketplaceError] = ()
    """Why others could not be read: those that are stored stay as they are, and the next pass tries again."""


DocumentsAnswer = tuple[str, Sequence[Document] | OrderDocuments | MarketplaceError]
"""The id of an order with its documents, with those that could be read, or with the reason why none could."""

#: A way to list orders: by the time of their creation or last change, or those that wait for the merchant.
OrderListing = Literal["created", "modified", "waiting"]


class Adapter(Protocol):
    """One marketplace account, ready for calls.

    Every method that calls the marketplace may raise a MarketplaceError; its text is one line without buyers' data.
    """

    new_order_listings: Sequence[OrderListing]
    """The lists that the sync `new` reads, in this order; `waiting` too if the list by creation leaves orders out."""
    order_struct: type[msgspec.Struct] | None
    """The contract's form of an order, as `decode_order` reads it; None if it reads the JSON in another way.

    A record that `decode_order` can't read is brought into this form (`kit.lenient`) and decoded again.
    """
    care_struct: type[msgspec.Struct] | None
    """Likewise of a care record, for `decode_care_record`."""

    def orders(self, listing: OrderListing, since: datetime | None) -> Iterator[list[RawRecord]]:
        """All orders created or modified at or after `since` (None: all), or all that wait for the merchant; in pages.

        An order may come more than once. Raises IncompleteListError if some may have been missed.
        """
        ...

    def order(self, order_id: str) -> RawRecord | None:
        """One order in its current version; None if the marketplace has no such order."""
        ...

    def decode_order(self, raw: bytes) -> Order:
        """The canonical order of a raw record. Raises RecordRejectedError, with reasons, if it can't be decoded."""
        ...

    def care_records(self, since: datetime) -> Iterator[list[RawRecord]]:
        """All care records changed at or after `since`, in pages. Raises IncompleteListError as `orders` does."""
        ...

    def care_record(self, record: RawRecord) -> bytes:
        """The complete JSON of one care record of the list; takes a call if the list has only a part of it."""
        ...

    def decode_care_record(self, raw: bytes) -> CareRecord:
        """The canonical care record of what `care_record` returned. Raises RecordRejectedError, with reasons."""
        ...

    def documents(self, missing: Sequence[MissingDocuments]) -> Iterator[DocumentsAnswer]:
        """For each order: its id, and its documents as far as they exist now, or why they could not be read.

        Requests only the documents that `missing` names, for as many orders with one call as the contract allows. All
        documents of a kind that the marketplace lists are in the answer, unless it names a problem. One order's error
        (`errors.OF_ONE_RECORD`) stops no other, and one document's none of its order's (`kit.documents`); `kit.halves`
        finds it in a call for many.
        """
        ...

    def download(self, url: str, hosts: Collection[str]) -> bytes:
        """The content at a URL of a document; `kit.http.HttpAdapter` has it for all marketplaces that speak HTTP.

        The credential goes to the account's own host only. `hosts`: the other hosts that are allowed.
        """
        ...

    def accept(self, target: AcceptanceTarget, item_ids: Sequence[str]) -> AcceptanceAnswer:
        """Accepts waiting lines at the marketplace. This and `refuse` are the only writes.

        Called only if the marketplace is registered with an `acceptance_unit` for the account's settings. `item_ids`:
        the ids of the target's items that wait, for a contract that requires a decision about each line.

        Raises RequestRefusedError if the marketplace refused, MarketplaceUnavailableError if the request was certainly
        not processed, and AnswerLostError if it may have been.
        """
        ...

    def refuse(
        self, target: AcceptanceTarget, item_ids: Sequence[str], accepted_ids: Sequence[str] = ()
    ) -> AcceptanceAnswer:
        """Refuses waiting lines at the marketplace, since they can't be shipped.

        Called only if the marketplace is registered with a `refusal_unit`, too. `accepted_ids`: the other items of the
        target that wait, which the same request accepts; none unless the unit is `order`.

        Raises the same errors as `accept`.
        """
        ...

    def probes(self) -> Mapping[str, Callable[[], object]]:
        """One cheap call for each endpoint that the syncs use, by the endpoint's name in the contract."""
        ...

    def now(self) -> datetime:
        """The current time in UTC by the marketplace's clock; by ours before the first answer.

        Where the two differ too much to be believed, the earlier of them.
        """
        ...

    def latest_time(self) -> datetime:
        """The latest time in UTC that it can be: by the later of the two clocks, if they differ."""
        ...

    def clock_problem(self) -> str | None:
        """Why the marketplace's clock was not believed, in one line; None if it was."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """calls, throttled_seconds, retries, too_many_requests and received_bytes since the adapter was opened."""
        ...

    def close(self) -> None:
        """Closes the adapter's connections."""
        ...


class DocumentAccess(NamedTuple):
    """What the URLs of a marketplace's documents of one kind need to open."""

    needs_credential: bool
    """Whether they open with the account's credential only: such a URL is never shown as a link."""
    source: str
    """Where the contract says it, in one sentence; or that it does not say it."""


@dataclass(frozen=True)
class RegisteredMarketplace:
    """What the rest of the project needs of a marketplace: the `MARKETPLACE` of its module."""

    title: str
    """The marketplace's name for people."""
    settings: type[AccountSettings]
    """The model that checks the settings of its accounts."""
    open: Callable[[Any, int | None], Adapter]
    """Opens the adapter of an account; the second argument replaces the account's page size, unless it is None."""
    status_tables: Mapping[str, Mapping[Any, Status]]
    """The marketplace's states onto our statuses; each table by what its states belong to (`order`, `item`)."""
    kept_fields: KeptFields = NOTHING_KEPT
    """What stays of its records once their buyers' data is blanked. Without it, nothing stays of them."""
    document_access: Mapping[DocumentKind, DocumentAccess] = field(default_factory=dict[DocumentKind, DocumentAccess])
    """What the URLs of its documents need to open, by the kinds that it has."""
    acceptance_unit: Callable[[Any], AcceptanceUnit | None] = lambda _: None
    """What one request of an account with these settings accepts; None if the published contract has no acceptance.

    Without one, passes refuse no line either: it could not be accepted if its stock came.
    """
    refusal_unit: AcceptanceUnit | None = None
    """What one request to refuse is about; None if the published contract has no refusal."""
    after_refusal: str | None = None
    """What a person has to do once a line is refused; None: nothing."""
    rate_limits: Sequence[RateLimit] = ()
    """The published limits of its calls. The operator's pages show what is left of them."""
    notes: str = ""
    """Markdown that docs/reference/states.md shows below the tables."""


#: How much earlier than `since` a record may lie: marketplaces cut the fraction of a second off a filter's time.
FILTER_TOLERANCE = timedelta(seconds=1)
MANY_TIMES = 20
"""So many different times that a list's filter excludes are no odd records: the filter was ignored."""


def check_filter(
    pages: Iterable[list[RawRecord]],
    listing: OrderListing,
    since: datetime | None,
    tolerance: timedelta = FILTER_TOLERANCE,
) -> Iterator[list[RawRecord]]:
    """The pages of a list that was requested with a filter by `since`.

    A record that is older than the filter allows has an odd time: it is listed nevertheless, with a flaw, and is
    compared with no other by that time. Raises IncompleteListError, after the records, if the filter was ignored: if
    all records of the list are older, or MANY_TIMES of them. Where most are, the list is not read on, since it may be
    the whole history. Equal times count once, since a default date may be that of many records.
    """
    if since is None:
        yield from pages
        return
    excluded = _Excluded(listing, since, tolerance)
    for page in pages:
        yield excluded.marked(page)
        excluded.check(at_end=False)
    excluded.check(at_end=True)


class _Excluded:
    """The records of a list that its filter excludes."""

    def __init__(self, listing: OrderListing, since: datetime, tolerance: timedelta) -> None:
        self._listing = listing
        self._since = since
        self._floor = since - tolerance
        self._known = self._older = 0
        """How many records have a time, and how many of them are older than the filter allows."""
        self._times: set[datetime] = set()
        """MANY_TIMES different times of those at most."""
        self._example = ""

    def marked(self, records: list[RawRecord]) -> list[RawRecord]:
        """The records of a page; those that are older than the filter allows without their time, and with a flaw."""
        name = "created_at" if self._listing == "created" else "modified_at"
        times = [record.created_at if self._listing == "created" else record.modified_at for record in records]
        self._known += len(times) - times.count(None)
        older = [(position, at) for position, at in enumerate(times) if at is not None and at < self._floor]
        if not older:
            return records
        self._older += len(older)
        listed = list(records)
        for position, at in older:
            listed[position] = msgspec.structs.replace(records[position], **{name: None}, flaws=(_EXCLUDED[name],))
            self._example = self._example or f"{shown_id(records[position].record_id)} of {at}"
            if len(self._times) < MANY_TIMES:
                self._times.add(at)
        return listed

    def check(self, *, at_end: bool) -> None:
        """Raises IncompleteListError if the records so far show that the filter was not obeyed."""
        are_many = len(self._times) >= MANY_TIMES and (at_end or 2 * self._older > self._known)
        are_all = at_end and self._older == self._known and len(self._times) > 1
        if are_many or are_all:
            raise IncompleteListError(
                f"The request was for records {self._listing} since {self._since.isoformat()}, and {self._older} of "
                f"{self._known} records are older, e.g. {self._example}: it ignores the filter. What was read is kept."
            )


EXCLUDED_BY_FILTER = "is earlier than the list was requested from"
"""What is found in a time that the list's filter excludes: of its flaw, which only the list shows."""
#: The flaws of such times. Without a creation time, the record would be rejected.
_EXCLUDED = {
    name: Flaw(name, EXCLUDED_BY_FILTER, stored)
    for name, stored in (("created_at", "the time as it is"), ("modified_at", "unknown, or as it was stored before"))
}
