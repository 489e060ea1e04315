"""What a person does to stock: each act has a reason and is on record, in the movements or in the history of a lock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from orders_sync.model.errors import UserFacingError
from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Lock, Movement, Settled, StockLevel
from orders_sync.stock.needs import Decision, ItemKey, parts_of
from orders_sync.stock.reconcile import StockResult, finish, reconcile
from orders_sync.stock.store import load, load_levels

NO_OVERSELL: frozenset[str] = frozenset()


class StockActError(UserFacingError):
    """An act by hand is not possible; the message says why, and what is."""


class By(NamedTuple):
    """Who acts, and why."""

    user: str
    """user@machine"""
    reason: str


def adjust(
    stock: StockConnection, sku: str, pieces: int, by: By, oversell: frozenset[str] = NO_OVERSELL
) -> StockResult:
    """Adds pieces to a SKU's pieces on hand, or takes some away (negative).

    A SKU that is not in the stock list gets into it. Raises StockActError if more pieces would be taken than there are.
    """
    with stock.changing():
        before = load_levels(stock, [sku])
        on_hand = (before[sku].on_hand or 0) + pieces
        if on_hand < 0:
            raise StockActError(f"SKU {sku} has {before[sku].on_hand or 0} pieces on hand; {-pieces} can't be taken.")
        movement = Movement(sku, "adjusted", pieces, on_hand, "", "", by.reason, by.user)
        if before[sku].counted_at is None:
            stock.execute("UPDATE {levels} SET counted_at = now() WHERE sku = %s", [sku])
        return _move(stock, before, [movement], Cause(f"stock adjusted by {by.user}: {by.reason}"), oversell)


def decide(
    stock: StockConnection, key: ItemKey, decision: Decision, by: By, oversell: frozenset[str] = NO_OVERSELL
) -> StockResult:
    """Locks or releases an item by hand, or undoes its shipment. It holds until the item's status changes.

    A decision that says what the item's status says anyway changes nothing. Raises StockActError where there is no such
    item, or where nothing is to be released since it has left.
    """
    verbs = {
        Decision.LOCK: "locked", Decision.RELEASE: "released", Decision.SHIPPED: "set to shipped",
        Decision.NOT_SHIPPED: "shipment undone",
    }  # fmt: skip
    cause = Cause(f"{verbs[decision]} by {by.user}: {by.reason}")
    with stock.changing():
        if decision is Decision.RELEASE:
            _check_release(stock, key)
        if stock.execute(_DECIDE, [decision, by.reason, by.user, *key]).rowcount == 0:
            raise StockActError(f"There is no order item {key[1]} in the account {key[0]}.")
        undone = _undo_shipment(stock, key, cause, by) if decision is Decision.NOT_SHIPPED else StockResult()
        return undone + reconcile(stock, {key: cause}, oversell)


def return_to_stock(
    stock: StockConnection, returned: Mapping[ItemKey, int], by: By, oversell: frozenset[str] = NO_OVERSELL
) -> StockResult:
    """Books pieces of items that came back as pieces on hand again. `returned`: item → its pieces.

    Raises StockActError where an item has fewer consumed pieces than come back with what came back before.
    """
    with stock.changing():
        loaded = load(stock, returned.keys())
        movements: list[Movement] = []
        levels = dict(loaded.levels)
        for item in loaded.items:
            parts = {part.sku: part.pieces for part in parts_of(item.account, item.sku, loaded.stock_skus)}
            gone = [lock for lock in loaded.locks.get(item.key, ()) if lock.consumed]
            # What left under a former SKU comes back as that one, if nothing left under the present one.
            for lock in [lock for lock in gone if lock.sku in parts] or gone:
                pieces = returned[item.key] * parts.get(lock.sku, 1)
                _check_return(stock, lock, pieces)
                on_hand = (levels[lock.sku].on_hand or 0) + pieces
                levels[lock.sku] = levels[lock.sku]._replace(on_hand=on_hand)
                movements.append(Movement(lock.sku, "returned", pieces, on_hand, *item.key, by.reason, by.user))
        if missing := sorted(item_id for _, item_id in returned.keys() - {(m.account, m.item_id) for m in movements}):
            raise StockActError(f"No piece of the items {', '.join(missing)} has left the stock: none can come back.")
        return _move(stock, loaded.levels, movements, Cause(f"returned to stock by {by.user}: {by.reason}"), oversell)


def _check_return(stock: StockConnection, lock: Lock, pieces: int) -> None:
    """Raises StockActError if more pieces of the lock would come back than have left."""
    row = stock.execute(_RETURNED, [lock.sku, lock.account, lock.item_id]).fetchone()
    before = int(row[0]) if row else 0
    if before + pieces > lock.consumed:
        raise StockActError(
            f"Of the item {lock.item_id}, {lock.consumed} pieces of SKU {lock.sku} have left, and {before} came back "
            f"already: {pieces} more can't come back."
        )


def _check_release(stock: StockConnection, key: ItemKey) -> None:
    """Raises StockActError if the item has left, unless a person decided otherwise."""
    for item in load(stock, [key]).items:
        status = item.order_status if item.status == Status.UNKNOWN else item.status
        if item.decision is None and LOCK_ACTIONS[Status(status)].action is LockAction.CONSUME:
            raise StockActError(
                f"The item {item.item_id} is {status}: its pieces have left, and none is held. If they have not left, "
                "undo the shipment."
            )


def _undo_shipment(stock: StockConnection, key: ItemKey, cause: Cause, by: By) -> StockResult:
    """Puts consumed pieces of an item back.

    But not those that were not taken from the pieces on hand, came back already, or were on the shelf when it was
    counted after their supposed shipment.
    """
    loaded = load(stock, [key])
    locks = [lock for lock in loaded.locks.get(key, ()) if lock.consumed]
    if not locks:
        raise StockActError(f"No piece of the item {key[1]} has left the stock: there is no shipment to undo.")
    levels, movements = dict(loaded.levels), list[Movement]()
    for lock in locks:
        row = stock.execute(_TAKEN, [lock.sku, *key, levels[lock.sku].counted_at]).fetchone()
        taken, moved_at = row or (0, None)
        if taken > 0:
            on_hand = (levels[lock.sku].on_hand or 0) + taken
            levels[lock.sku] = levels[lock.sku]._replace(on_hand=on_hand)
            movements.append(Movement(lock.sku, "not_shipped", taken, on_hand, *key, by.reason, by.user, moved_at))
    after = {lock.key: lock._replace(consumed=0, problem=None) for lock in locks}
    settled = Settled(after, levels, movements, dict.fromkeys(after, cause), set())
    return finish(stock, locks, loaded.levels, settled)


def _move(
    stock: StockConnection,
    before: Mapping[str, StockLevel],
    movements: list[Movement],
    cause: Cause,
    oversell: frozenset[str],
) -> StockResult:
    """Stores movements of pieces on hand, and shares out what they make available or take away."""
    after = dict(before)
    for movement in movements:
        after[movement.sku] = after[movement.sku]._replace(
            on_hand=movement.on_hand, counted_at=after[movement.sku].counted_at or datetime.now(UTC)
        )
    overdrawn = {movement.sku for movement in movements if after[movement.sku].available() < 0}
    return finish(stock, (), before, Settled({}, after, movements, {}, overdrawn), oversell, cause)


_DECIDE = """
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by)
SELECT account, item_id, %s, status, %s, %s FROM order_items WHERE account = %s AND item_id = %s
ON CONFLICT (account, item_id) DO UPDATE SET decision = excluded.decision, item_status = excluded.item_status,
  reason = excluded.reason, made_by = excluded.made_by, made_at = now()
"""
_RETURNED = """
SELECT coalesce(sum(pieces), 0) FROM {movements}
WHERE sku = %s AND account = %s AND item_id = %s AND kind = 'returned'
"""
# The undone shipment has its shipment's time: to a count between the two, neither has happened.
_TAKEN = """
SELECT -coalesce(sum(pieces), 0)::int, max(coalesce(moved_at, at)) FILTER (WHERE kind = 'shipped') FROM {movements}
WHERE sku = %s AND account = %s AND item_id = %s AND kind IN ('shipped', 'not_shipped', 'returned')
  AND coalesce(moved_at, at) > coalesce(%s, '-infinity'::timestamptz)
"""
