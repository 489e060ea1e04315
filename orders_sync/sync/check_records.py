"""Turns raw records into checked orders, and into rejected records where they can't be stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import NamedTuple, TypeVar, cast

import msgspec

from orders_sync.marketplaces.kit.adapter import Adapter, RawRecord
from orders_sync.marketplaces.kit.lenient import LEFT_OUT, Decoded, decode_leniently
from orders_sync.model.records import CareRecord, Flaw, Order, Reason, RecordRejectedError
from orders_sync.model.shown_ids import shown_id
from orders_sync.sync.batch import Batch, DecodedOrder
from orders_sync.sync.believed_times import BelievedTimes
from orders_sync.sync.put_off import put_off_cut_off
from orders_sync.sync.record_types import check_types
from orders_sync.sync.rejected_records import RejectedRecord
from orders_sync.sync.stored_orders import is_newer
from orders_sync.sync.validate import GONE, as_found, flawed_orders, mend_order

Decode = Callable[[bytes], Decoded[Order]]
"""Decodes a raw record leniently: `order_decoder` of an adapter."""

Record = TypeVar("Record", Order, CareRecord)

_NO_ID = Reason("order_id", "is missing or can't be read", "the marketplace's id")
_NO_ITEMS = Reason("items", "are missing, and the order is not stored yet", "one item or more")


def order_decoder(adapter: Adapter) -> Decode:
    """The lenient decoder of an adapter's orders. A modified time ahead of both clocks is a flaw."""
    decode, struct = adapter.decode_order, adapter.order_struct
    believed = BelievedTimes(adapter.latest_time)

    def decode_order(raw: bytes) -> Decoded[Order]:
        decoded = decode_leniently(decode, struct, raw)
        order = decoded.value
        try:
            decoded = believed.checked(decoded)
            has_usable_id = isinstance(cast(object, order.order_id), str)
        except (AttributeError, TypeError):
            check_types(order, Order)
            raise
        if not has_usable_id:
            check_types(order, Order)
        if decoded.flaws and any(flaw.stored == LEFT_OUT for flaw in decoded.flaws):
            order = msgspec.structs.replace(decoded.value, lists_all_items=False)
            return Decoded(order, decoded.raw, decoded.flaws)
        return decoded

    return decode_order


class Listed(NamedTuple):
    """The records of a batch, by id."""

    alone: dict[str, RawRecord]
    """Those whose order came in one version."""
    versions: dict[str, list[RawRecord]]
    """The different versions of each other order, in the order in which they came."""
    without_id: list[RejectedRecord]
    cut_off: list[RejectedRecord]
    """Those that are too large to be fetched."""


def by_id(records: Iterable[RawRecord], dismissed: Mapping[str, bytes]) -> Listed:
    """The records by their ids. `dismissed`: fingerprints of the versions that a person dismissed, by id."""
    alone: dict[str, RawRecord] = {}
    versions: dict[str, list[RawRecord]] = {}
    without_id: list[RejectedRecord] = []
    cut_off: list[RejectedRecord] = []
    for record in records:
        record_id = record.record_id
        if not record_id:
            nameless = RejectedRecord("order", "", record.raw, [_NO_ID], record.fingerprint)
            without_id.append(put_off_cut_off("order", record) if record.is_cut_off else nameless)
        elif dismissed and dismissed.get(record_id) == record.fingerprint:
            continue
        elif record.is_cut_off:
            cut_off.append(put_off_cut_off("order", record))
        elif alone.setdefault(record_id, record) is not record:
            versions.setdefault(record_id, [alone[record_id]]).append(record)
    for record_id, copies in list(versions.items()):
        # The last of equal ones: they may come again after another version.
        different = {record.fingerprint: record for record in reversed(copies)}
        if len(different) == 1:
            del versions[record_id]
        else:
            versions[record_id] = list(reversed(different.values()))
            del alone[record_id]
    return Listed(alone, versions, without_id, cut_off)


def usable_versions(
    decode: Decode, versions: Sequence[RawRecord], known: Callable[[DecodedOrder], DecodedOrder] | None
) -> tuple[list[DecodedOrder], RejectedRecord | None]:
    """The versions of an order that can be stored, the newest first, and the newest of all if that one can't.

    Of versions that are equally new, the last one comes first. `known` puts stored values in the place of those that a
    version leaves out; None if the order is not stored.
    """
    usable: list[DecodedOrder] = []
    rejected: dict[bytes, RejectedRecord] = {}
    for record in versions:
        try:
            one = _decoded(decode, record)
            check_types(one.order, Order)
            one = one if known is None else known(one)
            _mended(one, is_new=known is None)
        except RecordRejectedError as problem:
            rejected[record.fingerprint] = _rejected(record, problem)
        else:
            usable.append(one)
    newest = _newest([(record.modified_at, record) for record in versions])
    newest_first: list[DecodedOrder] = []
    while usable:
        following = _newest([(one.order.modified_at, one) for one in usable])
        usable = [one for one in usable if one is not following]
        newest_first.append(following)
    return newest_first, rejected.get(newest.fingerprint)


_Version = TypeVar("_Version")
_Dated = tuple[datetime | None, _Version]


def _newest(versions: Sequence[_Dated[_Version]]) -> _Version:
    return reduce(_newer, versions)[1]


def _newer(one: _Dated[_Version], other: _Dated[_Version]) -> _Dated[_Version]:
    """The newer of two versions with their modified times; the second one if nothing shows that it is older."""
    return one if is_newer(one[0], other[0]) else other


def _rejected(record: RawRecord, problem: RecordRejectedError) -> RejectedRecord:
    return RejectedRecord.of("order", record, problem.reasons)


def decode_records(decode: Decode, records: Iterable[RawRecord]) -> tuple[list[DecodedOrder], list[RejectedRecord]]:
    """The orders of raw records, and the records that can't be decoded."""
    orders: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for record in records:
        try:
            orders.append(_decoded(decode, record))
        except RecordRejectedError as problem:
            rejected.append(_rejected(record, problem))
    return orders, rejected


def _decoded(decode: Decode, record: RawRecord) -> DecodedOrder:
    decoded = decode(record.raw)
    if not record.flaws:
        return DecodedOrder(decoded.value, record, decoded.raw, decoded.flaws)
    order = without_odd_times(decoded.value, record)
    return DecodedOrder(order, record, decoded.raw, (*decoded.flaws, *record.flaws))


def without_odd_times(decoded: Record, record: RawRecord) -> Record:
    """A decoded record without a modified time that its list excludes: it would count as an older version."""
    is_odd = any(flaw.field == "modified_at" for flaw in record.flaws)
    return msgspec.structs.replace(decoded, modified_at=None) if is_odd else decoded


def check_orders(
    account: str, orders: Sequence[DecodedOrder], *, are_new: bool
) -> tuple[Batch, Sequence[RejectedRecord]]:
    """A batch of the orders that can be stored, flaws mended, its content built, and the others, rejected.

    A new order needs its items; a change may leave them out.
    """
    try:
        batch, rejected = _checked(account, orders, are_new=are_new)
        batch.build()
    except (AttributeError, TypeError, ValueError):
        # To look at the type and the characters of each value beforehand takes as long as all other checks.
        usable, wrong = _of_right_types(orders)
        batch, rejected = _checked(account, usable, are_new=are_new, each_value=True)
        batch.build()
        return batch, [*wrong, *rejected]
    return batch, rejected


def _of_right_types(orders: Sequence[DecodedOrder]) -> tuple[list[DecodedOrder], list[RejectedRecord]]:
    """The orders whose values have the declared types, and the others, rejected: their adapter passed them on as they
    came."""
    usable: list[DecodedOrder] = []
    rejected: list[RejectedRecord] = []
    for decoded in orders:
        try:
            check_types(decoded.order, Order)
        except RecordRejectedError as problem:
            rejected.append(_rejected(decoded.record, problem))
        else:
            usable.append(decoded)
    return usable, rejected


def _checked(
    account: str, orders: Sequence[DecodedOrder], *, are_new: bool, each_value: bool = False
) -> tuple[Batch, Sequence[RejectedRecord]]:
    batch = Batch(account, orders)
    longest = max([len(decoded.raw) for decoded in orders], default=0)
    flawed = flawed_orders(batch.fields, longest, each_value=each_value)
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
            rejected[position] = _rejected(decoded.record, problem)
    item_ids = batch.fields.items["item_id"]
    has_same_ids = all(_ids_of(one) == _ids_of(batch.checked[position]) for position, one in mended.items())
    if not rejected and has_same_ids and len(set(item_ids)) == len(item_ids):
        return batch.with_mended(mended), ()
    checked = [
        mended.get(position, decoded) for position, decoded in enumerate(batch.checked) if position not in rejected
    ]
    return Batch(account, _without_shared_items(checked) if are_new else checked), list(rejected.values())


def _ids_of(decoded: DecodedOrder) -> list[str]:
    """The ids of an order and of its items; the check may trim them, and leave out items."""
    return [decoded.order.order_id, *(item.item_id for item in decoded.order.items or ())]


def _mended(decoded: DecodedOrder, *, is_new: bool) -> DecodedOrder:
    order, flaws = mend_order(decoded.order, decoded.flaws)
    if is_new and not order.items:
        raise RecordRejectedError(as_found([_NO_ITEMS], decoded.flaws))
    return DecodedOrder(order, decoded.record, decoded.raw, (*decoded.flaws, *flaws))


def item_conflict(item_id: str, owner: str) -> Flaw:
    """The flaw of an order that lists an item of another order, `owner`, whose record is newer."""
    return Flaw(
        f"items[{item_id}]",
        f"item {shown_id(item_id)} is listed by order {shown_id(owner)} as well",
        f"the item with order {shown_id(owner)}",
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
