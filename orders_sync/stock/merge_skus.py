"""Merging stored SKUs that differ only in case, when case is no longer to make a difference.

The sum of a SKU's movements stays its pieces on hand, and the history of each lock stays a chain.
"""

from collections import defaultdict
from collections.abc import Iterable

from orders_sync.model.errors import UserFacingError
from orders_sync.stock.available import stored_buffers
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Movement, Settled, StockLevel, overdrawn
from orders_sync.stock.needs import StockPart, StockSkus, parts_of
from orders_sync.stock.reconcile import finish
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus, stored_stock_skus
from orders_sync.stock.store import load_levels, load_stock_skus

UNCHANGED = "Nothing was changed."
MERGED = "SKUs that differ only in upper and lower case are one now"


class SkuMergeError(UserFacingError):
    """SKUs that differ only in case can't be merged; the message names them and says what to do."""


def check_that_skus_can_merge(stock: StockConnection) -> None:
    """Raises SkuMergeError if it is not clear what the merged SKUs would be, or which pieces they would have.

    So it is if pieces are counted under two spellings, if two spellings mean different things, or if an alias would
    apply to a SKU that has pieces, since they differ only in case.
    """
    _check_levels(stock)
    _check_stock_skus(stock)
    _check_new_aliases(stock)
    _check_buffers(stock)


def _check_levels(stock: StockConnection) -> None:
    on_hand = dict(stock.execute("SELECT sku, on_hand FROM stock_levels WHERE on_hand > 0 ORDER BY sku").fetchall())
    spellings = SkuCase.IGNORE.spellings(on_hand).values()
    if several := [", ".join(f"{sku} ({on_hand[sku]} pieces)" for sku in skus) for skus in spellings if len(skus) > 1]:
        raise SkuMergeError(
            f"Pieces are counted under several spellings of a SKU: {'; '.join(several)}. It is not clear whether they "
            "are the same pieces. Choose the spelling that stays. If the others are other pieces, add them to it. Set "
            f"the others to 0 (`orders-sync stock adjust`), then try again. {UNCHANGED}"
        )


def _check_stock_skus(stock: StockConnection) -> None:
    """Each spelling of a marketplace's SKU has to stand for the same SKUs, and for each of them once."""
    parts: dict[tuple[str, str], dict[str, list[tuple[str, int]]]] = defaultdict(lambda: defaultdict(list))
    form = SkuCase.IGNORE.form
    for each in stored_stock_skus(stock):
        parts[each.account, form(each.sku)][each.sku].append((form(each.stock_sku), each.pieces))
    for by_spelling in parts.values():
        first, *others = [sorted(found) for found in by_spelling.values()]
        if any(other != first for other in others) or len({sku for sku, _ in first}) < len(first):
            raise SkuMergeError(
                f"The aliases or bundles of {' and '.join(by_spelling)} have SKUs that differ only in case, and are "
                f"not the same. Keep one of them: `orders-sync stock skus import`. {UNCHANGED}"
            )


def _check_new_aliases(stock: StockConnection) -> None:
    """No alias or bundle may begin to apply to a SKU that has pieces: an order would lose those that it holds."""
    now = load_stock_skus(stock)
    form = SkuCase.IGNORE.form
    merged = {(account, form(sku)): _in_one_case(parts) for (account, sku), parts in now.parts.items()}
    for account, sku, locked in stock.execute(_LOCKED_SKUS):
        before = _in_one_case(parts_of(account, sku, now))
        after = _in_one_case(parts_of(account, sku, StockSkus(merged, SkuCase.IGNORE)))
        lost = {part.sku for part in before if part not in after}
        if form(locked) in lost:  # any other lock is one that the stock job has yet to look at
            raise _new_alias(sku, after, f"orders of {account} hold pieces of it")
    stood_for, stand_for = ({part.sku for parts in each.values() for part in parts} for each in (now.parts, merged))
    for (sku,) in stock.execute("SELECT sku FROM stock_levels WHERE on_hand > 0 ORDER BY sku"):
        after = merged.get(("", form(sku)))
        if after is not None and form(sku) not in stand_for and (("", sku) not in now.parts or sku in stood_for):
            raise _new_alias(sku, after, "it has pieces on hand")


def _in_one_case(parts: Iterable[StockPart]) -> list[StockPart]:
    return sorted({part._replace(sku=SkuCase.IGNORE.form(part.sku)) for part in parts})


def _new_alias(sku: str, parts: Iterable[StockPart], why: str) -> SkuMergeError:
    names = " and ".join(part.sku for part in parts)
    return SkuMergeError(
        f"The SKU {sku} would stand for {names}: the SKU of an alias or a bundle differs from it only in case. But "
        f"{why}. Import the aliases without that one (`orders-sync stock skus import`), then try again. {UNCHANGED}"
    )


def _check_buffers(stock: StockConnection) -> None:
    found: dict[tuple[str, str], tuple[str, int, int]] = {}
    for account, sku, pieces, percent in stored_buffers(stock):
        other = found.setdefault((account, SkuCase.IGNORE.form(sku)), (sku, pieces, percent))
        if other[1:] != (pieces, percent):
            raise SkuMergeError(
                f"The SKUs {other[0]} and {sku} differ only in case, and have different buffers. Set them to the same, "
                f"or one to 0: `orders-sync stock buffer`. {UNCHANGED}"
            )


def merge_shared_skus(stock: StockConnection) -> None:
    """Merges the SKUs of aliases, bundles, buffers and receipts, which all schemas share.

    Call it once the setting is stored.
    """
    import_stock_skus(stock, list(dict.fromkeys(map(_in_upper_case, stored_stock_skus(stock)))))
    for statement in (_MERGE_BUFFERS, _DELETE_BUFFERS, _RENAME_RECEIVED, _RENAME_PUT_AWAY):
        stock.execute(statement)


def _in_upper_case(each: StockSku) -> StockSku:
    form = SkuCase.IGNORE.form
    return each._replace(sku=form(each.sku), stock_sku=form(each.stock_sku))


def merge_skus(stock: StockConnection, made_by: str, oversell: frozenset[str]) -> dict[str, list[str]]:
    """Merges the SKUs of levels, movements, locks and their history; returns the SKUs that had several spellings.

    Call it once the setting is stored, in the transaction that stores it. `oversell`: the accounts whose locks keep
    their pieces where fewer are left than the merged locks hold.
    """
    stock.read_whole_tables()
    merged: dict[str, list[str]] = dict(stock.execute(_LEVELS_TO_MERGE).fetchall())
    moved: dict[str, int] = dict(stock.execute(_MOVED_UNDER_OTHER_SPELLINGS).fetchall())
    locks = stock.execute(_LOCKS_TO_MERGE).fetchall()
    for statement in (_MERGE_LEVELS, _DELETE_LEVELS, _RENAME_MOVEMENTS, _MERGE_LOCKS, _DELETE_LOCKS, _RENAME_HISTORY):
        stock.execute(statement)
    cause = Cause(f"{MERGED}, by {made_by}")
    if locks:
        columns = [list(column) for column in zip(*locks, strict=True)]
        stock.execute(_CHAIN_HISTORY, columns)
        stock.execute(_NOTE_LOCKS, [cause.text, *columns])
    stock.look_up_by_keys()
    before = load_levels(stock, merged)
    after = {sku: _after_moves(level, moved.get(sku, 0)) for sku, level in before.items()}
    movements = [
        Movement(sku, "adjusted", 0, on_hand - (before[sku].on_hand or 0), on_hand, "", "", MERGED, made_by)
        for sku, level in after.items()
        for on_hand in [level.on_hand]
        if on_hand is not None
    ]
    finish(stock, (), before, Settled({}, after, movements, {}, overdrawn(before, after)), oversell, cause)
    return merged


def _after_moves(level: StockLevel, pieces: int) -> StockLevel:
    """The level once it takes note of pieces that came since it was counted, or left (negative)."""
    if level.on_hand is None:
        return level
    on_hand = level.on_hand + pieces
    return level._replace(on_hand=max(0, on_hand), missing=level.missing + max(0, -on_hand))


_LOCKED_SKUS = """
SELECT DISTINCT account, item.sku, lock.sku FROM stock_locks lock JOIN order_items item USING (account, item_id)
WHERE lock.locked > 0 ORDER BY 1, 2, 3
"""
_LEVELS_TO_MERGE = """
SELECT {sku_form}, array_agg(sku ORDER BY sku) FROM stock_levels GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
"""
# The level of the spelling that has pieces is the one that counts; of none, the one that was counted last.
_MERGE_LEVELS = """
INSERT INTO stock_levels AS stored (sku, on_hand, reserved, missing, imported_at, counted_at)
SELECT {sku_form}, sum(on_hand), sum(reserved), (array_agg(missing ORDER BY on_hand > 0 DESC NULLS LAST,
    counted_at DESC NULLS LAST, sku))[1], max(imported_at),
  (array_agg(counted_at ORDER BY on_hand > 0 DESC NULLS LAST, counted_at DESC NULLS LAST, sku))[1]
FROM stock_levels GROUP BY 1 HAVING bool_or(sku <> {sku_form})
ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, reserved = excluded.reserved,
  missing = excluded.missing, imported_at = excluded.imported_at, counted_at = excluded.counted_at
"""
# What left or came as another spelling, which did not have the pieces, since the level that counts was counted.
_MOVED_UNDER_OTHER_SPELLINGS = """
SELECT counted.form, sum(moved.pieces - moved.on_hand_change)::int
FROM (
  SELECT DISTINCT ON ({sku_form}) {sku_form} AS form, sku, counted_at FROM stock_levels
  ORDER BY {sku_form}, on_hand > 0 DESC NULLS LAST, counted_at DESC NULLS LAST, sku
) counted
JOIN (SELECT *, {sku_form} AS form FROM stock_movements
  WHERE kind IN ('shipped', 'not_shipped', 'returned', 'shelved')) moved
  ON moved.form = counted.form AND moved.sku <> counted.sku
  AND coalesce(moved.moved_at, moved.at) > counted.counted_at
GROUP BY 1
"""
_DELETE_LEVELS = "DELETE FROM stock_levels WHERE sku <> {sku_form}"
_RENAME_MOVEMENTS = "UPDATE stock_movements SET sku = {sku_form} WHERE sku <> {sku_form}"
_LOCKS_TO_MERGE = """
SELECT account, item_id, {sku_form} FROM stock_locks GROUP BY 1, 2, 3 HAVING count(*) > 1
"""
_MERGE_LOCKS = """
INSERT INTO stock_locks AS stored (account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces,
  held, state, problem, ordered_at, since)
SELECT account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, held,
  CASE WHEN short > 0 THEN 'short' WHEN locked > 0 THEN 'locked' WHEN held > 0 THEN 'held'
    WHEN consumed > 0 THEN 'consumed' ELSE 'released' END,
  problem, ordered_at, since
FROM (
  SELECT account, item_id, {sku_form} AS sku, (array_agg(order_id ORDER BY since DESC))[1] AS order_id,
    (array_agg(quantity ORDER BY locked + short > 0 DESC, since DESC))[1] AS quantity, sum(locked) AS locked,
    sum(short) AS short, sum(consumed) AS consumed, sum(item_pieces) AS item_pieces,
    sum(held) AS held,
    (array_agg(problem ORDER BY locked + short > 0 DESC, since DESC))[1] AS problem, min(ordered_at) AS ordered_at,
    max(since) AS since
  FROM stock_locks GROUP BY account, item_id, 3 HAVING bool_or(sku <> {sku_form})
) merged
ON CONFLICT (account, item_id, sku) DO UPDATE SET order_id = excluded.order_id, quantity = excluded.quantity,
  locked = excluded.locked, short = excluded.short, consumed = excluded.consumed, item_pieces = excluded.item_pieces,
  held = excluded.held, state = excluded.state,
  problem = excluded.problem, ordered_at = excluded.ordered_at, since = excluded.since
"""
_DELETE_LOCKS = "DELETE FROM stock_locks WHERE sku <> {sku_form}"
_RENAME_HISTORY = "UPDATE stock_lock_history SET sku = {sku_form} WHERE sku <> {sku_form}"
_CHAIN_HISTORY = """
UPDATE stock_lock_history entry SET from_state = chain.from_state
FROM (
  SELECT entry_id, lag(to_state) OVER (PARTITION BY account, item_id, sku ORDER BY entry_id) AS from_state
  FROM stock_lock_history JOIN unnest(%s::text[], %s::text[], %s::text[]) AS merged (account, item_id, sku)
    USING (account, item_id, sku)
) chain WHERE entry.entry_id = chain.entry_id AND entry.from_state IS DISTINCT FROM chain.from_state
"""
_NOTE_LOCKS = """
INSERT INTO stock_lock_history
  (account, item_id, sku, cause, from_state, to_state, quantity, locked, short, consumed, held)
SELECT lock.account, lock.item_id, lock.sku, %s, last.to_state, lock.state, lock.quantity, lock.locked, lock.short,
  lock.consumed, lock.held
FROM unnest(%s::text[], %s::text[], %s::text[]) AS merged (account, item_id, sku)
JOIN stock_locks lock USING (account, item_id, sku)
LEFT JOIN LATERAL (
  SELECT to_state FROM stock_lock_history entry
  WHERE entry.account = lock.account AND entry.item_id = lock.item_id AND entry.sku = lock.sku
  ORDER BY entry_id DESC LIMIT 1) last ON true
"""
_MERGE_BUFFERS = """
INSERT INTO stock_buffers (account, sku, pieces, percent)
SELECT account, {sku_form}, pieces, percent FROM stock_buffers ON CONFLICT DO NOTHING
"""
_DELETE_BUFFERS = "DELETE FROM stock_buffers WHERE sku <> {sku_form}"
_RENAME_RECEIVED = "UPDATE stock_received SET sku = {sku_form} WHERE sku <> {sku_form}"
_RENAME_PUT_AWAY = "UPDATE stock_put_away SET sku = {sku_form} WHERE sku <> {sku_form}"
