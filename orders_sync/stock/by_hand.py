"""What a person does to stock: each act has a reason and is on record, in the movements or in the history of a lock."""

from collections.abc import Mapping
from typing import NamedTuple

from orders_sync.model.errors import UserFacingError
from orders_sync.model.statuses import Status
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Lock, Movement, Settled
from orders_sync.stock.needs import Decision, ItemKey
from orders_sync.stock.reconcile import StockResult, finish, move, reconcile
from orders_sync.stock.returns import consumed_locks, returned_pieces
from orders_sync.stock.store import load, load_levels, stored_sku_case

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
        sku = stored_sku_case(stock).form(sku)
        before = load_levels(stock, [sku])
        on_hand = (before[sku].on_hand or 0) + pieces
        if on_hand < 0:
            raise StockActError(f"SKU {sku} has {before[sku].on_hand or 0} pieces on hand; {-pieces} can't be taken.")
        movement = Movement(sku, "adjusted", pieces, on_hand, "", "", by.reason, by.user)
        if before[sku].counted_at is None:
            stock.execute("UPDATE {levels} SET counted_at = now() WHERE sku = %s", [sku])
        return move(stock, before, [movement], Cause(f"stock adjusted by {by.user}: {by.reason}"), oversell)


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
    stock: StockConnection,
    returned: Mapping[ItemKey, int],
    by: By,
    oversell: frozenset[str] = NO_OVERSELL,
    *,
    care_id: str | None = None,
) -> StockResult:
    """Books pieces of items that came back as pieces on hand again. `returned`: item → its pieces.

    `care_id`: the care record by which they came back; the stock job does not book its pieces again. Raises
    StockActError where an item has fewer consumed pieces than come back with what came back before, or where the care
    record is not about the item or says that fewer come back.
    """
    with stock.changing():
        if care_id is not None:
            by = by._replace(reason=f"care record {care_id}: {by.reason}")
            for key, pieces in returned.items():
                _note_care_record(stock, care_id, key, pieces)
        loaded = load(stock, returned.keys())
        movements: list[Movement] = []
        levels = dict(loaded.levels)
        for item in loaded.items:
            before = returned_pieces(stock, item.key)
            for lock, per_piece in consumed_locks(item, loaded):
                pieces = returned[item.key] * per_piece
                _check_return(lock, pieces, before.get(lock.sku, 0))
                on_hand = (levels[lock.sku].on_hand or 0) + pieces
                levels[lock.sku] = levels[lock.sku]._replace(on_hand=on_hand)
                movements.append(Movement(lock.sku, "returned", pieces, on_hand, *item.key, by.reason, by.user))
        if missing := sorted(item_id for _, item_id in returned.keys() - {(m.account, m.item_id) for m in movements}):
            raise StockActError(f"No piece of the items {', '.join(missing)} has left the stock: none can come back.")
        return move(stock, loaded.levels, movements, Cause(f"returned to stock by {by.user}: {by.reason}"), oversell)


def pieces_to_return(
    stock: StockConnection, account: str, item_id: str | None, pieces: int | None, care_id: str | None
) -> dict[ItemKey, int]:
    """What a person means, for `return_to_stock`: the pieces of an item, else all of a care record that are not booked.

    Raises StockActError where neither an item with its pieces nor a care record is named, or where the care record does
    not say what comes back.
    """
    if item_id is not None and pieces is not None:
        return {(account, item_id): pieces}
    if item_id is not None or pieces is not None or care_id is None:
        raise StockActError("Name the item and its pieces, the care record, or all three.")
    return _pieces_of_care_record(stock, account, care_id)


def _pieces_of_care_record(stock: StockConnection, account: str, care_id: str) -> dict[ItemKey, int]:
    rows = stock.execute(_OF_CARE_RECORD, [account, care_id]).fetchall()
    if not rows:
        raise StockActError(f"There is no care record {care_id} in the account {account}.")
    if unknown := [item_id for item_id, said, _ in rows if said is None]:
        raise StockActError(
            f"Care record {care_id} does not say how many pieces of the items {', '.join(unknown)} come back: name the "
            "item and its pieces as well."
        )
    left = {(account, item_id): said - booked for item_id, said, booked in rows if said > booked}
    if not left:
        raise StockActError(f"All pieces of care record {care_id} were booked already.")
    return left


def _note_care_record(stock: StockConnection, care_id: str, key: ItemKey, pieces: int) -> None:
    """Notes that these pieces came back by the care record. Raises StockActError if it says that fewer do."""
    account, item_id = key
    rows = stock.execute(_OF_CARE_RECORD, [account, care_id]).fetchall()
    found = {item: (said, booked) for item, said, booked in rows}
    if item_id not in found:
        raise StockActError(f"The account {account} has no care record {care_id} about an item {item_id}.")
    said, booked = found[item_id]
    if said is not None and booked + pieces > said:
        raise StockActError(
            f"By care record {care_id}, {said} pieces of the item {item_id} come back, and {booked} were booked "
            f"already: {pieces} more can't be booked."
        )
    stock.execute(_NOTE_CARE_RECORD, [account, care_id, item_id, said, pieces])


def _check_return(lock: Lock, pieces: int, before: int) -> None:
    """Raises StockActError if more pieces of the lock would come back than have left. `before`: that came back."""
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


_DECIDE = """
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by)
SELECT account, item_id, %s, status, %s, %s FROM order_items WHERE account = %s AND item_id = %s
ON CONFLICT (account, item_id) DO UPDATE SET decision = excluded.decision, item_status = excluded.item_status,
  reason = excluded.reason, made_by = excluded.made_by, made_at = now()
"""
_OF_CARE_RECORD = """
SELECT about.item_id, about.quantity, coalesce(back.booked + back.booked_before + back.counted, 0)
FROM care_record_items about LEFT JOIN stock_returns back USING (account, care_id, item_id)
WHERE about.account = %s AND about.care_id = %s ORDER BY about.item_id
"""
# What a person books is not pending any more, also if the stock job was about to book it.
_NOTE_CARE_RECORD = """
INSERT INTO stock_returns AS back (account, care_id, item_id, pieces, booked, handled_at)
VALUES (%s, %s, %s, %s, %s, now())
ON CONFLICT (account, care_id, item_id) DO UPDATE SET booked = back.booked + excluded.booked, handled_at = now()
"""
# The undone shipment has its shipment's time: to a count between the two, neither has happened.
_TAKEN = """
SELECT -coalesce(sum(pieces), 0)::int, max(coalesce(moved_at, at)) FILTER (WHERE kind = 'shipped') FROM {movements}
WHERE sku = %s AND account = %s AND item_id = %s AND kind IN ('shipped', 'not_shipped', 'returned')
  AND coalesce(moved_at, at) > coalesce(%s, '-infinity'::timestamptz)
"""
