"""Taking V1's locks over, before V2 gets the authority over the stock of some accounts.

Until then V2 keeps the locks of these accounts as they would be. They differ from V1's in few items, so that few change
when V2 takes over, however many orders there are.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby, starmap
from typing import Any, LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import LAST, Cause, Lock, LockKey, Settled
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.reconcile import StockResult, finish, reconcile
from orders_sync.stock.share_out import age
from orders_sync.stock.store import active_locks, load_levels
from orders_sync.stock.unreadable_accounts import check_taken_back

ITEMS_AT_ONCE = 5_000
FROM_V1 = Cause("taken over from V1")


class V1Lock(NamedTuple):
    """That V1 holds pieces for an item, or what it has consumed of it; an item may have several."""

    account: str
    item_id: str
    consumed: int = 0
    """Pieces of the item that V1 has consumed at that time; 0: V1 holds some."""
    consumed_at: datetime | None = None
    """When V1 consumed them; None: not known."""


NOT_IN_V2 = "not in V2"


class NotTaken(NamedTuple):
    """A lock of V1 that V2 does not take over.

    Either the item needs none, so that V1 has forgotten to release it, or V2 does not have the item.
    """

    account: str
    order_id: str
    """Empty where V2 does not have the item."""
    item_id: str
    status: str
    """Of the item in V2, or NOT_IN_V2."""


class TakenOver(NamedTuple):
    """What the locks became when V2 took over."""

    result: StockResult
    not_taken: Sequence[NotTaken]


def take_over(
    connection: Connection,
    v1_locks: Sequence[V1Lock],
    oversell: frozenset[str],
    still_v1: Collection[str] = frozenset(),
    promised_before: Collection[ItemKey] = frozenset(),
) -> TakenOver:
    """Takes V1's locks over before V2 gets the authority over their accounts.

    An item that V1 holds pieces for gets a lock where its status needs one or keeps one. Pieces that V1 has consumed
    count as shipped when V1 consumed them, where the marketplace has not reported it yet. `oversell`: the accounts that
    may lock stock below zero. `still_v1`: the accounts that V1 goes on with, whose locks stay as they are.
    `promised_before`: items of accounts that have moved before, for which V1 held pieces: they keep them. Call it in
    the move's transaction, once V1 has stopped.
    """
    stock = StockConnection(connection)
    held_by_v1 = {(lock.account, lock.item_id) for lock in v1_locks if not lock.consumed}
    left = _not_left_yet(connection, v1_locks)
    with stock.changing():
        result = StockResult()
        for consumed in _one_after_the_other(left):
            connection.execute(_SHIPPED_BY_V1, _columns(consumed))
            result += _reconcile(stock, [(lock.account, lock.item_id) for lock in consumed], oversell)
        stock.read_whole_tables()
        # What the stock job has yet to look at comes first: pieces that are held then are not given away.
        open_items = {*stock.execute(_PENDING).fetchall(), *_without_lock(connection, held_by_v1)}
        stock.look_up_by_keys()
        result += _reconcile(stock, sorted(open_items), oversell, held_by_v1)
        result += _keep_promises(stock, held_by_v1, oversell, still_v1, promised_before)
        stock.read_whole_tables()
        not_taken = list(starmap(NotTaken, _without_lock(connection, held_by_v1, _NOT_TAKEN)))
        not_taken += [
            NotTaken(account, "", item_id, NOT_IN_V2) for account, item_id in _not_in_v2(connection, v1_locks)
        ]
    return TakenOver(result, not_taken)


def _reconcile(
    stock: StockConnection, items: Sequence[ItemKey], oversell: frozenset[str], had_lock: Collection[ItemKey] = ()
) -> StockResult:
    result = StockResult()
    for start in range(0, len(items), ITEMS_AT_ONCE):
        causes = dict.fromkeys(items[start : start + ITEMS_AT_ONCE], FROM_V1)
        result += reconcile(stock, causes, oversell, had_lock=had_lock)
    return result


def _keep_promises(
    stock: StockConnection,
    held_by_v1: Collection[ItemKey],
    oversell: frozenset[str],
    still_v1: Collection[str],
    promised_before: Collection[ItemKey],
) -> StockResult:
    """Gives the pieces that V1 holds for an item to it, from those of V2's newest other orders.

    By the age of the orders alone, V2 may have given them to others.
    """
    waiting = stock.execute("SELECT sku, account, item_id FROM stock_locks WHERE state = 'short'")
    skus = sorted({sku for sku, *key in waiting if tuple(key) in held_by_v1})
    active = sorted(active_locks(stock, skus), key=lambda lock: (lock.sku, age(lock)))
    levels = load_levels(stock, skus)
    changed: dict[LockKey, Lock] = {
        lock.key: lock
        for _, locks in groupby(active, key=lambda lock: lock.sku)
        for lock in _shared_anew(list(locks), held_by_v1, oversell.union(still_v1), promised_before)
    }
    before = {lock.key: lock for lock in active}
    check_taken_back(before, before | changed)
    causes = {key: FROM_V1 if key[:2] in held_by_v1 else Cause("V1 holds the pieces for others") for key in changed}
    return finish(stock, active, levels, Settled(changed, levels, [], causes, frozenset()), oversell)


def _shared_anew(
    locks: Sequence[Lock],
    held_by_v1: Collection[ItemKey],
    keeping: Collection[str],
    promised_before: Collection[ItemKey],
) -> Iterable[Lock]:
    """Those of the locks of a SKU that get pieces, or lose some. `locks`: the oldest order's is the first.

    `keeping`, `promised_before`: the accounts and items whose locks lose none.
    """
    keep = {*held_by_v1, *promised_before}
    promised = [lock for lock in locks if lock.short and lock.key[:2] in held_by_v1]
    waited_for = sum(lock.short for lock in promised)
    taken = 0
    for lock in reversed(locks):
        if lock.key[:2] not in keep and lock.account not in keeping:
            pieces = min(lock.locked, waited_for - taken)
            taken += pieces
            if pieces:
                yield lock._replace(locked=lock.locked - pieces, short=lock.short + pieces)
    for lock in promised:
        pieces = min(lock.short, taken)
        taken -= pieces
        if pieces:
            yield lock._replace(locked=lock.locked + pieces, short=lock.short - pieces)


def _one_after_the_other(v1_locks: Sequence[V1Lock]) -> list[list[V1Lock]]:
    """What V1 has consumed, each with the pieces of its item until then: first what was first of each item, and so on.

    So each piece gets its own time.
    """
    steps: list[list[V1Lock]] = []
    done: dict[ItemKey, tuple[int, int]] = {}
    for lock in sorted(v1_locks, key=lambda lock: lock.consumed_at or LAST):
        if lock.consumed:
            step, pieces = done.get((lock.account, lock.item_id), (0, 0))
            steps += [[]] if step == len(steps) else []
            steps[step].append(lock._replace(consumed=pieces + lock.consumed))
            done[lock.account, lock.item_id] = step + 1, pieces + lock.consumed
    return steps


def _not_left_yet(connection: Connection, v1_locks: Sequence[V1Lock]) -> list[V1Lock]:
    """What V1 has consumed of the items of which V2 has seen fewer pieces leave: years of shipments are no news."""
    consumed = [lock for lock in v1_locks if lock.consumed]
    pieces = Counter[ItemKey]()
    for lock in consumed:
        pieces[lock.account, lock.item_id] += lock.consumed
    asked = _columns([(*key, count) for key, count in pieces.items()]) or [[], [], []]
    news = {(account, item_id) for account, item_id in connection.execute(_LEFT_LESS, asked)}
    return [lock for lock in consumed if (lock.account, lock.item_id) in news]


def _without_lock(
    connection: Connection, items: Collection[ItemKey], columns: LiteralString = "item.account, item.item_id"
) -> list[Any]:
    """Those of the items, as far as V2 has them, that no lock is active for."""
    asked = _columns(sorted(items)) or [[], []]
    return connection.execute(_WITHOUT_LOCK.replace("{columns}", columns), asked).fetchall()


def _not_in_v2(connection: Connection, v1_locks: Sequence[V1Lock]) -> list[ItemKey]:
    """The items that V1 holds pieces for and V2 does not have."""
    held = sorted({(lock.account, lock.item_id) for lock in v1_locks if not lock.consumed})
    return connection.execute(_NOT_IN_V2, _columns(held) or [[], []]).fetchall()


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_NOT_TAKEN: LiteralString = "item.account, item.order_id, item.item_id, item.status"
_WITHOUT_LOCK: LiteralString = """
SELECT {columns} FROM order_items item JOIN unnest(%s::text[], %s::text[]) AS of_v1 (account, item_id)
  USING (account, item_id)
WHERE NOT EXISTS (
  SELECT FROM stock_locks lock WHERE lock.account = item.account AND lock.item_id = item.item_id
    AND lock.state IN ('locked', 'short', 'held'))
ORDER BY item.account, item.item_id
"""
_NOT_IN_V2: LiteralString = """
SELECT account, item_id FROM unnest(%s::text[], %s::text[]) AS of_v1 (account, item_id)
LEFT JOIN order_items item USING (account, item_id) WHERE item.order_id IS NULL
ORDER BY account, item_id
"""
_PENDING = """
SELECT item.account, item.item_id FROM order_events JOIN order_items item USING (account, order_id) WHERE {due}
UNION SELECT account, item_id FROM stock_rechecks JOIN order_items USING (account, item_id)
"""
_LEFT_LESS = """
SELECT account, item_id FROM unnest(%s::text[], %s::text[], %s::int[]) AS of_v1 (account, item_id, pieces)
LEFT JOIN (
  SELECT account, item_id,
    sum(CASE kind WHEN 'shipped' THEN abs(item_pieces) WHEN 'not_shipped' THEN -abs(item_pieces) ELSE 0 END) AS pieces
  FROM stock_movements WHERE item_id <> '' GROUP BY 1, 2
) gone USING (account, item_id)
WHERE coalesce(gone.pieces, 0) < of_v1.pieces
"""
_SHIPPED_BY_V1 = """
INSERT INTO stock_decisions (account, item_id, decision, item_status, reason, made_by, pieces, left_at)
SELECT account, item_id, 'shipped', item.status, 'V1 has consumed it', 'cutover', pieces, left_at
FROM order_items item
JOIN unnest(%s::text[], %s::text[], %s::int[], %s::timestamptz[]) AS consumed (account, item_id, pieces, left_at)
  USING (account, item_id)
"""
