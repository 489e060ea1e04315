"""Orders and their items as columns, one for each field: a batch is checked and written fastest in this form."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any

import msgspec
from msgspec.structs import astuple

from orders_sync.model.records import Order, OrderItem
from orders_sync.sync.record_types import check_column_types, plain

Fields = Mapping[str, Sequence[Any]]
"""For each field's name its values in all records, in the order of the records."""

ORDER_TIMES = ("created_at", "modified_at", "paid_at", "shipped_at", "dispatch_due_at")
ORDER_AMOUNTS = ("items_total", "shipping_total", "sales_taxes")
ITEM_AMOUNTS = ("price", "shipping_price", "fee")

texts_of = partial(msgspec.to_builtins, enc_hook=plain)
"""A sequence of amounts or times as texts that PostgreSQL can read; None stays None."""


def by_field(kind: type[msgspec.Struct], records: Sequence[msgspec.Struct]) -> dict[str, Sequence[Any]]:
    """The values of each field of records of the class `kind`; a class of an adapter's own may have further fields."""
    names = kind.__struct_fields__
    if not records:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*map(astuple, records), strict=False), strict=False))


class OrderColumns:
    """A batch of orders and all their items as columns, amounts as texts."""

    def __init__(self, orders: Sequence[Order]) -> None:
        """Raises TypeError, AttributeError or ValueError if a value may have another type than its field."""
        columns = by_field(Order, orders)
        check_column_types(Order, columns)
        items = [item for order in orders for item in order.items or ()]
        columns_of_items = by_field(OrderItem, items)
        check_column_types(OrderItem, columns_of_items)
        self.orders = _with_amounts_as_texts(columns, ORDER_AMOUNTS)
        self.items = _with_amounts_as_texts(columns_of_items, ITEM_AMOUNTS)
        self.order_id_of_items = [order.order_id for order in orders for _ in order.items or ()]

    @cached_property
    def order_position_of_items(self) -> Sequence[int]:
        """For each item, the position of its order in the batch."""
        return [position for position, items in enumerate(self.orders["items"]) for _ in items or ()]

    def with_changed(self, orders: Sequence[Order], positions: Collection[int]) -> "OrderColumns":
        """The columns of `orders`: the same orders in the same sequence, but for the values of those at `positions`.

        Only columns with other values are built anew, which is much faster for a few changed orders. Each order must
        have as many items as before.
        """
        changed = copy(self)
        changed.orders = _with_rows(self.orders, {at: orders[at] for at in positions}, ORDER_AMOUNTS)
        rows = [row for row, at in enumerate(self.order_position_of_items) if at in positions]
        items = [item for at in sorted(positions) for item in orders[at].items or ()]
        changed.items = _with_rows(self.items, dict(zip(rows, items, strict=True)), ITEM_AMOUNTS)
        return changed


def _with_rows(fields: Fields, rows: Mapping[int, msgspec.Struct], amounts: Sequence[str]) -> Fields:
    """Columns with other records in some rows."""
    replaced = dict(fields)
    for name, column in fields.items():
        values = {row: getattr(record, name) for row, record in rows.items()}
        if name in amounts:
            values = {row: texts_of(value) for row, value in values.items()}
        if any(column[row] is not value for row, value in values.items()):
            values_of_all = list(column)
            for row, value in values.items():
                values_of_all[row] = value
            replaced[name] = values_of_all
    return replaced


def _with_amounts_as_texts(fields: dict[str, Sequence[Any]], amounts: Sequence[str]) -> Fields:
    return fields | {name: texts_of(fields[name]) for name in amounts}
