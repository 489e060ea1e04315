"""Held pieces: their item was cancelled once it had a label, so they may be in a parcel that has left.

They stay reserved until the marketplace reports them as shipped, its label is cancelled, or a person says where they
are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, note_act
from orders_sync.marketplaces.kit.accounts import accounts_that_release_at_once
from orders_sync.stock.by_hand import NO_OVERSELL, StockActError, catch_up, item_of, on_item, record_decision
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Lock, has_lock, held_pieces, pieces_left
from orders_sync.stock.input import check_id, check_pieces
from orders_sync.stock.labels import released_before_label
from orders_sync.stock.needs import Decision, ItemFacts, ItemKey, need_of, parts_of, unreported_now
from orders_sync.stock.reconcile import StockResult, reconcile
from orders_sync.stock.store import load, note_unreported

IF_RELEASED = (
    "its label was stored after its pieces were released: look for the parcel; if it has left, take the pieces away "
    "with `orders-sync stock adjust`; then run `orders-sync stock release`"
)
NEXT_STEP = "look for the parcel, then run `orders-sync stock held still-here` or `has-left`"


class HeldPieces(NamedTuple):
    """Pieces of a SKU that may have left though their item was cancelled."""

    account: str
    order_id: str
    item_id: str
    sku: str
    held: int
    """0: they were released before the label was known, and are not available any more."""
    status: str
    """The item's status."""
    since: datetime | None
    next_step: str = NEXT_STEP


class Settlement(NamedTuple):
    """What a person said about held pieces."""

    pieces: int
    """Of the item."""
    applied: StockResult


def held(stock: StockConnection) -> list[HeldPieces]:
    """All held pieces, those that are held longest first; then those that can't be held, since others have them by now.

    The latter are on the list until a person decides about their item.
    """
    return [HeldPieces(*row) for row in stock.execute(_HELD)] + _released_before_label(stock)


def _released_before_label(stock: StockConnection) -> list[HeldPieces]:
    at_once = accounts_that_release_at_once()
    released = released_before_label(stock).items()
    keys = [(*key, sku) for key, skus in released if key[0] not in at_once for sku in skus]
    if not keys:
        return []
    rows = stock.execute(_RELEASED, [list(column) for column in zip(*keys, strict=True)])
    return [HeldPieces(*row)._replace(next_step=IF_RELEASED) for row in rows]


def still_here(
    stock: StockConnection, key: ItemKey, pieces: int | None, by: By, oversell: frozenset[str] = NO_OVERSELL
) -> Settlement:
    """Releases held pieces of an item, since they are in the warehouse. `pieces`: None for all that are held.

    Raises StockActError where there is no such item, or where fewer pieces are held.
    """
    with stock.changing():
        count, *_, applied = _look_at(stock, key, pieces, oversell)
        record_decision(stock, key, Decision.STILL_HERE, by)
        note_act(stock.connection, by, Act.HELD_STILL_HERE, on_item(key), f"{count} pieces")
        cause = Cause(f"{count} held pieces are still here, by {by.user}: {by.reason}", by=by)
        return Settlement(count, applied + reconcile(stock, {key: cause}, oversell, still_here={key: count}))


def has_left(
    stock: StockConnection,
    key: ItemKey,
    pieces: int | None,
    by: By,
    left_at: datetime | None = None,
    oversell: frozenset[str] = NO_OVERSELL,
) -> Settlement:
    """Takes held pieces of an item from the pieces on hand, since they have left. `pieces`: None for all that are held.

    `left_at`: when they left; None: now. If the shelf was counted since then, they are not subtracted once more. The
    marketplace may still report them as shipped: they are taken once. Raises StockActError where there is no such item,
    or where fewer pieces are held.
    """
    with stock.changing():
        count, item, locks, applied = _look_at(stock, key, pieces, oversell)
        is_active, left = has_lock(locks), pieces_left(locks)
        need = need_of(item, has_lock=is_active, left=left)
        unreported = unreported_now(item, has_lock=is_active, left=left).pieces
        record_decision(stock, key, Decision.HAS_LEFT, by)
        note_act(stock.connection, by, Act.HELD_HAS_LEFT, on_item(key), f"{count} pieces")
        text = f"{count} held pieces have left, by {by.user}: {by.reason}"
        cause = Cause(text, by=by, left_at=left_at or datetime.now(UTC))
        applied += reconcile(stock, {key: cause}, oversell, has_left={key: count})
        note_unreported(stock, item, unreported + count, need.gone - unreported + need.hold)
        return Settlement(count, applied)


class _HeldItem(NamedTuple):
    pieces: int
    """That a person means."""
    item: ItemFacts
    locks: Sequence[Lock]
    applied: StockResult
    """What was stored about the item, and waited to be applied."""


def _look_at(stock: StockConnection, key: ItemKey, pieces: int | None, oversell: frozenset[str]) -> _HeldItem:
    """The held pieces that a person means, once the item's lock is what is stored about the item."""
    check_id(key[0], "account")
    check_id(key[1], "the item's id")
    if pieces is not None:
        check_pieces(pieces, "the number of pieces", lowest=1)
    item_of(stock, key)
    applied = catch_up(stock, [key], oversell)
    loaded = load(stock, [key])
    item = loaded.items[0]
    locks = loaded.locks.get(key, ())
    are_held = held_pieces(item, locks, parts_of(item.account, item.sku, loaded.stock_skus))
    if not are_held:
        raise StockActError(
            f"No piece of the item {key[1]} is held. `orders-sync stock held` lists all that are; `orders-sync stock "
            f"explain {key[1]}` shows what became of its lock."
        )
    if pieces is not None and pieces > are_held:
        raise StockActError(f"Of the item {key[1]}, {are_held} pieces are held: {pieces} are more than that.")
    return _HeldItem(are_held if pieces is None else pieces, item, locks, applied)


_RELEASED = """
SELECT account, lock.order_id, item_id, lock.sku, 0, item.status, lock.since
FROM unnest(%s::text[], %s::text[], %s::text[]) AS requested (account, item_id, sku)
JOIN stock_locks lock USING (account, item_id, sku) JOIN order_items item USING (account, item_id)
ORDER BY lock.since, account, item_id, lock.sku
"""
# Held since the last change before which none was.
_HELD = """
SELECT lock.account, lock.order_id, lock.item_id, lock.sku, lock.held, coalesce(item.status, '') AS status, (
  SELECT min(entry.at) FROM stock_lock_history entry
  WHERE (entry.account, entry.item_id, entry.sku) = (lock.account, lock.item_id, lock.sku)
    AND entry.entry_id > coalesce((
      SELECT max(none.entry_id) FROM stock_lock_history none
      WHERE (none.account, none.item_id, none.sku) = (lock.account, lock.item_id, lock.sku)
        AND none.held = 0), 0)) AS since
FROM stock_locks lock LEFT JOIN order_items item USING (account, item_id)
WHERE {active} AND lock.held > 0
ORDER BY since, lock.account, lock.item_id, lock.sku
"""
