"""The labels of items: pieces that an item does not need any more may have left in a parcel if it has one."""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from orders_sync.database.copy import array_text
from orders_sync.marketplaces.kit.accounts import accounts_that_release_at_once
from orders_sync.stock.actions import LOCK_ACTIONS, LockAction
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Lock, LockState
from orders_sync.stock.needs import ItemFacts, ItemKey


def with_labels(
    stock: StockConnection, items: list[ItemFacts], locks: Mapping[ItemKey, Sequence[Lock]]
) -> list[ItemFacts]:
    """Sets what the labels of items say: `may_have_left`, and `released` where a label came after the release.

    The accounts' files are read only where an item has a label, and pieces that it may concern.
    """
    having = [key for key, found in locks.items() if any(lock.reserved() for lock in found)]
    labelled = set(stock.execute(_LABELLED, _columns(having)).fetchall()) if having else set[ItemKey]()
    empty = [key for key, found in locks.items() if all(lock.state is LockState.RELEASED for lock in found)]
    released = released_before_label(stock, empty) if empty else {}
    if not labelled and not released:
        return items
    at_once = accounts_that_release_at_once()
    return [
        item._replace(may_have_left=True, released=released.get(item.key, {}))
        if (item.key in labelled or item.key in released) and item.account not in at_once
        else item
        for item in items
    ]


def released_before_label(
    stock: StockConnection, keys: Sequence[ItemKey] | None = None
) -> dict[ItemKey, Mapping[str, int]]:
    """What items released although they may have had a label: by SKU, the pieces that their locks had before.

    They are items of which a label was stored after their locks were released, and none before. It was made before,
    unless it is for other items of the order. What a person has decided about is left out. `keys`: only these items.
    """
    found: dict[ItemKey, dict[str, int]] = {}
    parameters = {"releasing": _RELEASING}
    if keys is not None:
        parameters |= dict(zip(("accounts", "items"), _columns(keys), strict=True))
    statement = _RELEASED_BEFORE_LABEL if keys is None else _RELEASED_BEFORE_LABEL_OF_ITEMS
    for account, item_id, sku, pieces in stock.execute(statement, parameters):
        found.setdefault((account, item_id), {})[sku] = pieces
    return {**found}


def _columns(keys: Sequence[ItemKey]) -> list[str]:
    accounts, items = [account for account, _ in keys], [item_id for _, item_id in keys]
    return [array_text(accounts), array_text(items)]


_RELEASING = [str(status) for status, meaning in LOCK_ACTIONS.items() if meaning.action is LockAction.RELEASE]
LABELLED: LiteralString = """EXISTS (
  SELECT FROM public.order_documents label
  WHERE label.account = item.account AND label.order_id = item.order_id AND label.kind = 'label'
    AND label.cancelled_at IS NULL AND label.shipped_at IS NULL
    AND (label.item_ids = '[]' OR label.item_ids ? item.item_id))"""
"""Whether `item` has a label that was not cancelled, and whose parcel is not known to have left: what has left in it is
not held. A label that names no items is for all of the order."""
_LABELLED: LiteralString = (
    """
SELECT account, item_id FROM unnest(%s::text[], %s::text[]) AS requested (account, item_id)
JOIN order_items item USING (account, item_id) WHERE """
    + LABELLED
)
# A label that names no items may be for one of the order that is still to ship, or has shipped. Locks of an
# item that were released before its last one were so for another reason: e.g. its alias or its SKU had changed.
_OF_REQUESTED: LiteralString = """
SELECT lock.account, lock.item_id, lock.sku, had.pieces
FROM {requested} JOIN order_items item USING (account, item_id)
CROSS JOIN LATERAL (
  SELECT max(since) AS released_at, bool_and(state = 'released') AS is_released FROM stock_locks own
  WHERE own.account = item.account AND own.item_id = item.item_id) empty
JOIN stock_locks lock ON lock.account = item.account AND lock.item_id = item.item_id AND lock.since = empty.released_at
CROSS JOIN LATERAL (
  SELECT entry.locked + entry.held AS pieces FROM stock_lock_history entry
  WHERE entry.account = lock.account AND entry.item_id = lock.item_id AND entry.sku = lock.sku
    AND entry.to_state <> 'released'
  ORDER BY entry.entry_id DESC LIMIT 1) had
WHERE empty.is_released AND item.status = ANY(%(releasing)s) AND had.pieces > 0
  AND NOT EXISTS (SELECT FROM stock_decisions decided
    WHERE decided.account = item.account AND decided.item_id = item.item_id)
  AND NOT EXISTS (
    SELECT FROM public.order_documents known
    WHERE known.account = item.account AND known.order_id = item.order_id AND known.kind = 'label'
      AND known.first_stored_at <= empty.released_at AND coalesce(known.cancelled_at > empty.released_at, TRUE)
      AND (known.item_ids = '[]' OR known.item_ids ? item.item_id))
  AND EXISTS (
    SELECT FROM public.order_documents label
    WHERE label.account = item.account AND label.order_id = item.order_id AND label.kind = 'label'
      AND label.cancelled_at IS NULL AND label.shipped_at IS NULL AND label.first_stored_at > empty.released_at
      AND (label.item_ids ? item.item_id OR label.item_ids = '[]' AND NOT EXISTS (
        SELECT FROM order_items other WHERE other.account = item.account AND other.order_id = item.order_id
          AND other.kind = 'goods' AND other.status <> ALL(%(releasing)s))))
ORDER BY lock.account, lock.item_id, lock.sku
"""
_RELEASED_BEFORE_LABEL_OF_ITEMS: LiteralString = _OF_REQUESTED.replace(
    "{requested}", "unnest(%(accounts)s::text[], %(items)s::text[]) AS requested (account, item_id)"
)
_RELEASED_BEFORE_LABEL: LiteralString = _OF_REQUESTED.replace(
    "{requested}",
    """(
  SELECT DISTINCT item.account, item.item_id
  FROM order_items item JOIN public.order_documents label USING (account, order_id)
  WHERE item.status = ANY(%(releasing)s) AND label.kind = 'label' AND label.cancelled_at IS NULL) requested""",
)
