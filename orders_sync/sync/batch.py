"""A batch of orders on its way into the tables: what is written together, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import msgspec

from orders_sync.database.copy import append_bytes_columns, to_copy_text
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.records import Flaw, Order
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.copy_columns import (
    ITEMS_EMPTY_IS_NULL,
    ORDERS_EMPTY_IS_NULL,
    created_row,
    event_columns,
    item_columns,
    order_columns,
)
from orders_sync.sync.rejected_records import RejectedRecord


class Origin(NamedTuple):
    """What stored a change of an order."""

    written_by: str
    """The sync type of the pass; `order` if the order was fetched alone, `redecode` if it was decoded again."""
    run_id: str


class DecodedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order, and the raw record that it was decoded from."""

    order: Order
    record: RawRecord
    raw: bytes
    """The record's JSON as it is stored: as received, or repaired."""
    flaws: Sequence[Flaw] = ()
    """What is wrong with the record, and what is stored instead."""


class Batch:
    """Checked orders that are written together, and the content that COPY writes for them.

    The content is built when it is first read, or by `build`.
    """

    def __init__(self, account: str, checked: Sequence[DecodedOrder]) -> None:
        self.account = account
        # All writers lock rows in the same order, so that they don't deadlock.
        self.checked = sorted(checked, key=lambda decoded: decoded.order.order_id)

    def with_mended(self, mended: Mapping[int, DecodedOrder]) -> "Batch":
        """The batch with some of its orders mended, by their positions; each keeps its id and has as many items."""
        checked = [mended.get(position, decoded) for position, decoded in enumerate(self.checked)]
        batch = Batch(self.account, checked)
        # Not by the cached property's own way, which would build all columns once more.
        batch.fields = self.fields.with_changed([decoded.order for decoded in batch.checked], mended.keys())
        return batch

    def flaws(self, order_ids: Collection[str]) -> dict[str, Sequence[Flaw]]:
        """The flaws of these orders, by order id; orders without flaws are left out."""
        return {
            decoded.order.order_id: decoded.flaws
            for decoded in self.checked
            if decoded.flaws and decoded.order.order_id in order_ids
        }

    def halves(self) -> "tuple[Batch, Batch]":
        middle = len(self.checked) // 2
        return Batch(self.account, self.checked[:middle]), Batch(self.account, self.checked[middle:])

    def build(self) -> None:
        """Builds all content now, so that a writer has nothing to do but wait for PostgreSQL.

        The columns are dropped afterwards: if they outlived the records, Python would free every value column by
        column, which costs a tenth of a first load.

        Raises ValueError if a text has a character that PostgreSQL can't store; TypeError, AttributeError or ValueError
        if a value has another type than its field.
        """
        _ = (self.orders, self.items, self.created_events)
        del self.fields

    @cached_property
    def fields(self) -> OrderColumns:
        return OrderColumns([decoded.order for decoded in self.checked])

    @cached_property
    def orders(self) -> bytes:
        """The rows of ORDER_COLUMNS."""
        content = to_copy_text(order_columns(self.account, self.fields), ORDERS_EMPTY_IS_NULL)
        return append_bytes_columns(content, ((decoded.raw, decoded.record.fingerprint) for decoded in self.checked))

    @cached_property
    def items(self) -> bytes:
        """The rows of ITEM_COLUMNS."""
        return to_copy_text(item_columns(self.account, self.fields), ITEMS_EMPTY_IS_NULL)

    @cached_property
    def created_events(self) -> bytes:
        """The rows of EVENT_COLUMNS: an OrderCreated for each order."""
        return to_copy_text(event_columns([created_row(self.account, decoded.order) for decoded in self.checked]))


@dataclass(frozen=True)
class PreparedBatch:
    """A batch of records that was looked up, decoded and checked, ready to be written."""

    new: Batch
    changed: Batch
    unchanged: int
    """How many records bring nothing new."""
    rejected: Sequence[RejectedRecord]
    older: Mapping[str, Sequence[DecodedOrder]] = field(default_factory=dict[str, Sequence[DecodedOrder]])
    """The older versions of orders that came in several, by order id: those that can be stored, the newest first."""
    listed_flaws: Sequence[tuple[str, Flaw]] = ()
    """Flaws that show only in the list, of orders that are stored in the listed version."""
    passed: Mapping[str, datetime | None] = field(default_factory=dict[str, datetime | None])
    """The orders that were rejected before, and now come in the version that is stored: its modified time, by id."""


@dataclass(frozen=True)
class BatchResult:
    """What became of the records of a batch, once it is committed. `+` combines the results of parts of a batch."""

    created: Sequence[str] = ()
    """The ids of the orders that were created."""
    changed: Sequence[str] = ()
    """The ids of the orders that were changed."""
    equal: Sequence[str] = ()
    """The ids of the orders that were compared value by value, and are stored as their records say."""
    unchanged: int = 0
    """How many records bring nothing new, those of the equal orders included."""
    rejected: Sequence[RejectedRecord] = ()
    events: int = 0
    flawed: int = 0
    """How many of the created and changed orders have flaws."""
    conflicts: Sequence[tuple[str, Flaw]] = ()
    """Orders with a flaw that was found while writing: an item of another order, or a document whose URL is wrong."""

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(
            created=(*self.created, *other.created),
            changed=(*self.changed, *other.changed),
            equal=(*self.equal, *other.equal),
            unchanged=self.unchanged + other.unchanged,
            rejected=(*self.rejected, *other.rejected),
            events=self.events + other.events,
            flawed=self.flawed + other.flawed,
            conflicts=(*self.conflicts, *other.conflicts),
        )

    @property
    def records(self) -> int:
        """How many records the batch had: each is counted once."""
        return len(self.created) + len(self.changed) + self.unchanged + len(self.rejected)
