"""Turns raw records into checked orders, and into rejected records where they can't be stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.lenient import Decoded, decode_leniently
from orders_sync.model.records import CareRecord, Flaw, Order, Reason, RecordRejectedError
from orders_sync.sync.batch import Batch, DecodedOrder
from orders_sync.sync.rejected_records import RejectedRecord
from orders_sync.sync.stored_orders import is_newer
from orders_sync.sync.validate import GONE, as_found, flawed_orders, mend_order

Decode = Callable[[bytes], Decoded[Order]]
"""Decodes a raw record leniently: `order_decoder` of an adapter."""

Record = TypeVar("Record", Order, CareRecord)

_NO_ID = Reason("order_id", "is missing or can't be read", "the marketplace's id")
_NO_ITEMS = Reason("items", "are missing, and the order is not stored yet", "one item or more")


def order_decoder(adapter: Adapter) -> Decode:
    """The lenient decoder of an adapter's orders."""
    return partial(decode_leniently, adapter.decode_order, adapter.order_struct)


def newest_of_each(records: Sequence[RawRecord]) -> tuple[dict[str, RawRecord], list[RejectedRecord]]:
    """The newest version of each record, by its id, and the records that have no usable id.

    Of versions that are equally new it is the last one.
    """
    newest: dict[str, RawRecord] = {}
    rejected: list[RejectedRecord] = []
    for record in records:
        if not record.record_id or "\x00" in record.record_id:
            rejected.append(RejectedRecord("order", "", record.raw, [_NO_ID], record.fingerprint))
            continue
        other = newest.get(record.record_id)
        if other is None or not is_newer(other.modified_at, record.modified_at):
            newest[record.record_id] = record
    return newest, rejected


def decode_records(decode: Decode, records: Iterable[RawRecord]) -> tuple[list[DecodedOrder], list[RejectedRecord]]:
    """The orders of raw records, and the records that can't be decoded."""
    orders: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for record in records:
        try:
            decoded = decode(record.raw)
        except RecordRejectedError as problem:
            rejected.append(RejectedRecord("order", record.record_id, record.raw, problem.reasons, record.fingerprint))
        else:
            order = without_odd_times(decoded.value, record)
            orders.append(DecodedOrder(order, record, decoded.raw, (*decoded.flaws, *record.flaws)))
    return orders, rejected


def without_odd_times(decoded: Record, record: RawRecord) -> Record:
    """A decoded record without a modified time that its list excludes: it would count as an older version."""
    is_odd = any(flaw.field == "modified_at" for flaw in record.flaws)
    return msgspec.structs.replace(decoded, modified_at=None) if is_odd else decoded


def check_orders(
    account: str, orders: Sequence[DecodedOrder], *, are_new: bool
) -> tuple[Batch, Sequence[RejectedRecord]]:
    """A batch of the orders that can be stored, flaws mended, and the others, rejected.

    A new order needs its items; a change may leave them out.
    """
    batch = Batch(account, orders)
    flawed = flawed_orders(batch.fields, max((len(decoded.raw) for decoded in orders), default=0))
    if are_new:
        flawed |= {position for position, items in enumerate(batch.fields.orders["items"]) if not items}
    if not flawed:
        return batch, ()
    mended: dict[int, DecodedOrder] = {}
    rejected: dict[int, RejectedRecord] = {}
    for position in sorted(flawed):
        decoded = batch.checked[position]
        try:
            mended[position] = _mended(decoded, is_new=are_new)
        except RecordRejectedError as problem:
            record = decoded.record
            rejected[position] = RejectedRecord(
                "order", record.record_id, record.raw, problem.reasons, record.fingerprint
            )
    item_ids = batch.fields.items["item_id"]
    if not rejected and len(set(item_ids)) == len(item_ids):
        return batch.with_mended(mended), ()
    checked = [
        mended.get(position, decoded) for position, decoded in enumerate(batch.checked) if position not in rejected
    ]
    return Batch(account, _without_shared_items(checked) if are_new else checked), list(rejected.values())


def _mended(decoded: DecodedOrder, *, is_new: bool) -> DecodedOrder:
    order, flaws = mend_order(decoded.order, decoded.flaws)
    if is_new and not order.items:
        raise RecordRejectedError(as_found([_NO_ITEMS], decoded.flaws))
    return DecodedOrder(order, decoded.record, decoded.raw, (*decoded.flaws, *flaws))


def item_conflict(item_id: str, owner: str) -> Flaw:
    """The flaw of an order that lists an item of another order, `owner`, whose record is newer."""
    return Flaw(
        f"items[{item_id}]", f"item {item_id} is listed by order {owner} as well", f"the item with order {owner}"
    )


def _without_shared_items(orders: Sequence[DecodedOrder]) -> list[DecodedOrder]:
    """The orders, each item with one order alone: one that lists it live, and of those the one that changed last."""
    owner: dict[str, tuple[DecodedOrder, bool]] = {}
    shared = False
    for decoded in orders:
        for item in decoded.order.items or ():
            mine = (decoded, item.status not in GONE)
            other, other_is_live = owner.setdefault(item.item_id, mine)
            if other is decoded:
                continue
            shared = True
            is_older = is_newer(other.order.modified_at, decoded.order.modified_at)
            if mine[1] > other_is_live or (mine[1] == other_is_live and not is_older):
                owner[item.item_id] = mine
    owners = {item_id: decoded for item_id, (decoded, _) in owner.items()}
    return [_with_own_items(decoded, owners) for decoded in orders] if shared else list(orders)


def _with_own_items(decoded: DecodedOrder, owner: Mapping[str, DecodedOrder]) -> DecodedOrder:
    items = decoded.order.items or []
    own = [item for item in items if owner[item.item_id] is decoded]
    if len(own) == len(items):
        return decoded
    flaws = [
        item_conflict(item.item_id, owner[item.item_id].order.order_id)
        for item in items
        if owner[item.item_id] is not decoded and item.status not in GONE
    ]
    order = msgspec.structs.replace(decoded.order, items=own)
    return DecodedOrder(order, decoded.record, decoded.raw, (*decoded.flaws, *flaws))
