"""A batch of orders on its way into the tables: what is written together, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from orders_sync.database.copy import append_bytes_columns, to_copy_text
from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.records import Order
from orders_sync.sync.columnar import OrderColumns
from orders_sync.sync.copy_columns import created_row, event_columns, item_columns, order_columns
from orders_sync.sync.rejected_records import RejectedRecord


class CheckedOrder(msgspec.Struct, frozen=True, gc=False):
    """A record that passed the check, with its raw form."""

    order: Order
    record: RawRecord


class Batch:
    """Accepted records that are written together, and what is copied for them (put together when first asked for)."""

    def __init__(self, account: str, accepted: Sequence[CheckedOrder]) -> None:
        self.account = account
        # One order of locks for all writers.
        self.accepted = sorted(accepted, key=lambda one: one.order.order_id)

    def halves(self) -> "tuple[Batch, Batch]":
        middle = len(self.accepted) // 2
        return Batch(self.account, self.accepted[:middle]), Batch(self.account, self.accepted[middle:])

    @cached_property
    def fields(self) -> OrderColumns:
        return OrderColumns([one.order for one in self.accepted])

    @cached_property
    def orders(self) -> bytes:
        content = to_copy_text(order_columns(self.account, self.fields))
        return append_bytes_columns(content, ((one.record.raw, one.record.fingerprint) for one in self.accepted))

    @cached_property
    def items(self) -> str:
        return to_copy_text(item_columns(self.account, self.fields))

    @cached_property
    def created_events(self) -> str:
        return to_copy_text(event_columns([created_row(self.account, one.order) for one in self.accepted]))


@dataclass
class Prepared:
    """A batch of records that was looked up, decoded and checked, and waits to be written."""

    new: Batch
    changed: Batch
    fetched: int = 0
    unchanged: int = 0
    rejected: list[RejectedRecord] = field(default_factory=list[RejectedRecord])


@dataclass
class BatchResult:
    """What became of a batch."""

    created: list[CheckedOrder] = field(default_factory=list[CheckedOrder])
    changed: list[CheckedOrder] = field(default_factory=list[CheckedOrder])
    unchanged: int = 0
    rejected: list[RejectedRecord] = field(default_factory=list[RejectedRecord])
    events: int = 0
