"""Writing orders of which some may be stored: copied into staging tables, and merged from there.

What a record leaves out keeps its stored value, an older version changes nothing, and each change of a status becomes
an event.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from psycopg import Cursor

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.kept_fields import KeptFields
from orders_sync.marketplaces.kit.made_skus import MadeSku
from orders_sync.model.records import Order
from orders_sync.model.statuses import Status
from orders_sync.privacy.erased import erased_records
from orders_sync.sync import care_links, documents, order_changes, staging
from orders_sync.sync.batch import Batch, BatchResult, DecodedOrder, Origin
from orders_sync.sync.check_records import item_conflict
from orders_sync.sync.copy_columns import EventRow, changed_row, created_row
from orders_sync.sync.stored_orders import Comparison, StoredVersion
from orders_sync.sync.validate import GONE
from orders_sync.sync.write_new import copy_orders_and_items

_Cursor = Cursor[tuple[Any, ...]]


def write_changed(
    connection: Connection, batch: Batch, origin: Origin, comparison: Comparison, kept: KeptFields
) -> BatchResult:
    """Merges a batch: creates the orders that are not stored yet, and changes those that are, all or nothing.

    `origin`: what the changes are stored by. `kept`: what stays of the record of an order whose buyer's data is
    blanked: what came of its buyer reaches temporary tables only.

    An item that two orders list is with the order that changed last. Raises DataError if PostgreSQL can't store one of
    the records.
    """
    account = batch.account
    decoded = {one.order.order_id: one for one in batch.checked}
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(staging.OPEN_STAGING)
        copy_orders_and_items(cursor, batch, "stage_orders", "stage_items")
        _leave_out_made_skus(cursor, batch)
        erased = erased_records(connection, account, "order", decoded)
        _blank_staged(cursor, [decoded[order_id] for order_id in sorted(erased)], kept)
        created = _insert_orders(cursor)
        if created:
            cursor.execute(staging.FORGET_EVENTS, [account, created])
        if again := [order_id for order_id in created if order_id in erased]:
            cursor.execute(staging.NOTE_BLANKED, [account, again])
        stored = _lock_orders(cursor, account, decoded.keys() - set(created))
        blanked = [decoded[order_id] for order_id, one in stored.items() if one.is_blanked and order_id not in erased]
        _blank_staged(cursor, blanked, kept)
        covered = [
            order_id for order_id, found in stored.items() if found.version.covers(decoded[order_id].record, comparison)
        ]
        _unstage(cursor, covered)
        taken, contested = _unstage_taken_items(cursor, comparison)
        moved = [_MovedItem(*row) for row in cursor.execute(staging.MOVED_ITEMS)]
        equal = [] if comparison is Comparison.FINGERPRINTS else _equal_orders(cursor, decoded, comparison)
        _unstage(cursor, equal)
        changed = sorted(stored.keys() - {*covered, *equal})
        order_changes.insert_changes(
            cursor,
            account,
            origin,
            changed=changed,
            is_moving=bool(moved),
            losing_items=[item.order_id for item in moved if not item.is_staged],
            whole=[order_id for order_id in changed if _lists_all_items(decoded[order_id].order)],
        )
        updated = _update_orders(cursor, changed)
        events = [
            *(created_row(account, _without(decoded[order_id].order, taken)) for order_id in created),
            *_order_events(account, stored, updated),
            *_moved_events(account, moved, {**updated, **_bump_revisions(cursor, account, moved)}),
            *_merge_items(cursor, account, [decoded[order_id] for order_id in changed], updated),
        ]
        order_changes.insert_events(cursor, events)
        cursor.execute("TRUNCATE stage_orders, stage_items")
        written = [decoded[order_id].order for order_id in (*created, *changed)]
        care_links.link_items(connection, account, written)
        document_flaws = (
            [] if comparison is Comparison.STORED_RECORDS else documents.store_listed(connection, account, written)
        )
    return BatchResult(
        created=created,
        changed=changed,
        equal=equal,
        unchanged=len(covered) + len(equal),
        events=len(events),
        conflicts=[
            *((order_id, item_conflict(item_id, owner)) for (order_id, item_id), owner in contested.items()),
            *(
                (item.order_id, item_conflict(item.item_id, item.new_owner))
                for item in moved
                if item.is_live and not item.is_staged
            ),
            *document_flaws,
        ],
    )


class _StoredOrder(NamedTuple):
    status: str
    version: StoredVersion
    is_blanked: bool
    """Whether the buyer's data is blanked."""


class _Updated(NamedTuple):
    status: str
    revision: int


class _MovedItem(NamedTuple):
    """A stored item that moves to another order."""

    order_id: str
    """The order that it belonged to."""
    item_id: str
    new_owner: str
    status: str
    is_staged: bool
    """Whether that order is staged as well: its record does not list the item any more."""
    is_live: bool
    """Whether the order that it belonged to lists it as one that is still to be shipped, or was."""


_Owners = Mapping[tuple[str, str], str]
"""(order id, item id) → the id of the order that has the item."""


def _unstage_taken_items(cursor: _Cursor, comparison: Comparison) -> tuple[_Owners, _Owners]:
    """Removes the staged items that belong to another order; returns all of them, and those that both orders claim."""
    as_stored = comparison is Comparison.STORED_RECORDS
    rows = cursor.execute(staging.TAKEN_ITEMS_AS_STORED if as_stored else staging.TAKEN_ITEMS).fetchall()
    taken = {(order_id, item_id): owner for order_id, item_id, owner, _ in rows}
    if taken:
        cursor.execute(staging.UNSTAGE_ITEMS, [list(column) for column in zip(*taken, strict=True)])
    return taken, {(order_id, item_id): owner for order_id, item_id, owner, is_live in rows if is_live}


def _without(order: Order, taken: _Owners) -> Order:
    items = [item for item in order.items or [] if (order.order_id, item.item_id) not in taken]
    return order if order.items is None or len(items) == len(order.items) else replace(order, items=items)


def _bump_revisions(cursor: _Cursor, account: str, moved: Iterable[_MovedItem]) -> dict[str, "_Updated"]:
    """A new revision for each order that loses an item and is not staged: an event needs one of its own."""
    order_ids = sorted({item.order_id for item in moved if not item.is_staged})
    rows = cursor.execute(staging.BUMP_REVISIONS, [account, order_ids]) if order_ids else ()
    return {order_id: _Updated(status, revision) for order_id, status, revision in rows}


def _moved_events(account: str, moved: Iterable[_MovedItem], updated: Mapping[str, "_Updated"]) -> list[EventRow]:
    """For the order that an item leaves, the item is removed. `updated`: the new revisions of these orders."""
    return [
        changed_row(
            account, item.order_id, item.item_id, updated[item.order_id].revision, item.status,
            Status.REMOVED,
        )
        for item in moved
    ]  # fmt: skip


def _blank_staged(cursor: _Cursor, orders: Sequence[DecodedOrder], kept: KeptFields) -> None:
    """Leaves the buyer's data out of staged orders."""
    if orders:
        parts = [(kept.part_of("order", one.raw).decode(), one.order.order_id) for one in orders]
        cursor.executemany(staging.BLANK_STAGED, parts)
        cursor.execute(staging.BLANK_STAGED_ITEMS, [[order_id for _, order_id in parts]])


def _unstage(cursor: _Cursor, order_ids: Iterable[str]) -> None:
    if ids := list(order_ids):
        cursor.execute("DELETE FROM stage_orders WHERE order_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM stage_items WHERE order_id = ANY(%s)", [ids])


def _equal_orders(cursor: _Cursor, decoded: Mapping[str, DecodedOrder], comparison: Comparison) -> list[str]:
    """The staged orders that are stored with the same fingerprint and the same values; items included.

    A stored record does not replace the URLs of documents, which `incomplete` may have read since.
    """
    if comparison is Comparison.STORED_RECORDS:
        cursor.execute(staging.KEEP_DOCUMENTS)
    with_items = [order_id for order_id, one in decoded.items() if _lists_all_items(one.order)]
    return sorted(order_id for (order_id,) in cursor.execute(staging.EQUAL_ORDERS, [with_items]))


def _lists_all_items(order: Order) -> bool:
    """Whether the stored items that the record does not list are to be removed."""
    return order.items is not None and order.lists_all_items


def _leave_out_made_skus(cursor: _Cursor, batch: Batch) -> None:
    """Leaves out the SKUs that an adapter made where the item's own one is stored, so that it stays."""
    made = [
        (item.item_id, item.sku.prefix)
        for decoded in batch.checked
        for item in decoded.order.items or ()
        if isinstance(item.sku, MadeSku)
    ]
    if made:
        cursor.execute(staging.LEAVE_OUT_MADE_SKUS, [list(column) for column in zip(*made, strict=True)])


def _insert_orders(cursor: _Cursor) -> list[str]:
    """Inserts the staged orders that are not stored yet; returns their ids, sorted."""
    return sorted(order_id for (order_id,) in cursor.execute(staging.INSERT_ORDERS))


def _lock_orders(cursor: _Cursor, account: str, order_ids: Iterable[str]) -> dict[str, _StoredOrder]:
    """Locks the rows that may be changed, and returns them by id. All writers lock in the same order."""
    rows = cursor.execute(staging.LOCK_ORDERS, [account, list(order_ids)])
    return {
        order_id: _StoredOrder(status, StoredVersion(fingerprint, modified_at), is_blanked)
        for order_id, status, modified_at, fingerprint, is_blanked in rows
    }


def _update_orders(cursor: _Cursor, order_ids: Sequence[str]) -> dict[str, _Updated]:
    rows = cursor.execute(staging.UPDATE_ORDERS, [order_ids])
    return {order_id: _Updated(status, revision) for order_id, status, revision in rows}


def _order_events(account: str, stored: Mapping[str, _StoredOrder], updated: Mapping[str, _Updated]) -> list[EventRow]:
    return [
        changed_row(account, order_id, "", now.revision, stored[order_id].status, now.status)
        for order_id, now in updated.items()
        if now.status != stored[order_id].status
    ]


def _merge_items(
    cursor: _Cursor,
    account: str,
    orders: Iterable[DecodedOrder],
    updated: Mapping[str, _Updated],
) -> list[EventRow]:
    """Merges the staged items of all orders; returns the events of the items of changed orders.

    The items of a created order have no events of their own: the order's OrderCreated has their statuses.
    """
    orders = list(orders)
    with_items = [one.order.order_id for one in orders if one.order.items is not None]
    whole = [one.order.order_id for one in orders if _lists_all_items(one.order)]
    rows = cursor.execute(staging.ITEM_STATUSES, [account, with_items])
    before: dict[tuple[str, str], str] = {(order_id, item_id): status for order_id, item_id, status in rows}
    merged = [
        *cursor.execute(staging.UPDATE_ITEMS).fetchall(),
        *cursor.execute(staging.INSERT_ITEMS).fetchall(),
    ]
    removed = cursor.execute(staging.REMOVE_ITEMS, [Status.REMOVED, account, whole, Status.REMOVED]).fetchall()
    added = [row[:2] for row in merged if row[0] in updated and row[:2] not in before]
    if added:  # an order may get back an item that it lost to another one
        lost = cursor.execute(staging.LOST_ITEMS, [*map(list, zip(*added, strict=True)), account])
        before |= {(order_id, item_id): str(Status.REMOVED) for order_id, item_id in lost}
    silent = [row[1] for row in merged if row[0] in updated and before.get(row[:2]) == row[2]]
    if silent:
        cursor.execute(staging.RECHECK_STOCK, [account, silent])
    given_up = [row[:2] for row in (*merged, *removed) if row[2] in GONE]
    if given_up:
        found = [item_conflict(item_id, order_id).found for order_id, item_id in given_up]
        cursor.execute(staging.READ_ANEW, [account, found])
    return [
        changed_row(account, order_id, item_id, updated[order_id].revision, before.get((order_id, item_id)), status)
        for order_id, item_id, status in sorted((*merged, *removed))
        if order_id in updated and before.get((order_id, item_id)) != status
    ]
