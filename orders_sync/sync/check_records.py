"""Turns raw records into checked orders, and into rejected records where they can't be stored."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.model.records import Order, Reason, RecordRejectedError
from orders_sync.sync.batch import Batch, DecodedOrder
from orders_sync.sync.rejected_records import RejectedRecord
from orders_sync.sync.stored_orders import is_newer
from orders_sync.sync.validate import batch_is_valid, check_order

Decode = Callable[[bytes], Order]
"""An adapter's `decode_order`."""

_NO_ID = Reason("order_id", "is missing or can't be read", "the marketplace's id")
_NO_ITEMS = Reason("items", "are missing, and the order is not stored yet", "one item or more")


def newest_of_each(records: Sequence[RawRecord]) -> tuple[dict[str, RawRecord], list[RejectedRecord]]:
    """The newest version of each record, by its id, and the records that have no usable id.

    Of versions that are equally new it is the last one.
    """
    newest: dict[str, RawRecord] = {}
    rejected: list[RejectedRecord] = []
    for record in records:
        if not record.record_id or "\x00" in record.record_id:
            rejected.append(RejectedRecord("order", "", record.raw, [_NO_ID]))
            continue
        other = newest.get(record.record_id)
        if other is None or not is_newer(other.modified_at, record.modified_at):
            newest[record.record_id] = record
    return newest, rejected


def decode_record(decode: Decode, record: RawRecord) -> DecodedOrder:
    """The order of a raw record. Raises RecordRejectedError where it can't be decoded or PostgreSQL can't store it."""
    order = decode(record.raw)
    # A search for one byte is four times as fast, and most records have none.
    if b"\\" in record.raw and b"\\u0000" in record.raw and _contains_nul(msgspec.json.decode(record.raw)):
        raise RecordRejectedError([Reason("record", "a text contains the character NUL", "text without NUL")])
    if not record.raw.isascii():
        try:
            record.raw.decode()
        except UnicodeDecodeError:
            raise RecordRejectedError([Reason("record", "contains bytes that are not UTF-8", "UTF-8 text")]) from None
    return DecodedOrder(order, record)


def decode_records(decode: Decode, records: Iterable[RawRecord]) -> tuple[list[DecodedOrder], list[RejectedRecord]]:
    """The orders of raw records, and the records that can't be decoded."""
    decoded: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for record in records:
        try:
            decoded.append(decode_record(decode, record))
        except RecordRejectedError as problem:
            rejected.append(RejectedRecord("order", record.record_id, record.raw, problem.reasons))
    return decoded, rejected


def check_orders(
    account: str, orders: Sequence[DecodedOrder], *, are_new: bool
) -> tuple[Batch, Sequence[RejectedRecord]]:
    """A batch of the orders that satisfy every rule, and the others, rejected.

    A new order needs its items; a change may leave them out.
    """
    batch = Batch(account, orders)
    if batch_is_valid(batch.fields) and not (are_new and None in batch.fields.orders["items"]):
        return batch, ()
    checked: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for decoded in batch.checked:
        try:
            check_order(decoded.order)
            if are_new and decoded.order.items is None:
                raise RecordRejectedError([_NO_ITEMS])
        except RecordRejectedError as problem:
            record = decoded.record
            rejected.append(RejectedRecord("order", record.record_id, record.raw, problem.reasons))
        else:
            checked.append(decoded)
    if are_new:
        checked, sharing = _split_by_shared_items(checked)
        rejected += sharing
    return Batch(account, checked), rejected


def item_taken(decoded: DecodedOrder, item_id: str, owner: str) -> RejectedRecord:
    """Rejects an order because its item `item_id` belongs to the order `owner`."""
    reason = Reason("items", f"item {item_id} belongs to order {owner}", "an item of this order alone")
    return RejectedRecord("order", decoded.order.order_id, decoded.record.raw, [reason])


def _split_by_shared_items(orders: Sequence[DecodedOrder]) -> tuple[list[DecodedOrder], list[RejectedRecord]]:
    """The orders that have no item of an earlier one, and the others, rejected: an item belongs to one order."""
    owner: dict[str, str] = {}
    kept: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for decoded in orders:
        item_ids = [item.item_id for item in decoded.order.items or ()]
        taken = next((item_id for item_id in item_ids if item_id in owner), None)
        if taken is not None:
            rejected.append(item_taken(decoded, taken, owner[taken]))
            continue
        owner.update(dict.fromkeys(item_ids, decoded.order.order_id))
        kept.append(decoded)
    return kept, rejected


def _contains_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value)
        return any("\x00" in key or _contains_nul(part) for key, part in pairs.items())
    if isinstance(value, list):
        return any(_contains_nul(part) for part in cast(list[Any], value))
    return False
