"""Making locks equal to what their items need: load, decide, store, in the caller's transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from orders_sync.stock.connection import StockConnection
from orders_sync.stock.data_faults import is_data_fault
from orders_sync.stock.decision import (
    NO_DEPARTURES,
    NO_PIECES,
    Cause,
    Lock,
    Movement,
    Settled,
    StockLevel,
    overdrawn,
    settle,
)
from orders_sync.stock.departures import Departure
from orders_sync.stock.needs import ItemKey
from orders_sync.stock.share_out import share_out
from orders_sync.stock.store import (
    load,
    note_corrections,
    other_active_locks,
    store,
)
from orders_sync.stock.unreadable_accounts import check_taken_back


class ReturnNotBooked(NamedTuple):
    """An item of a care record of which fewer pieces were booked than the record says."""

    account: str
    care_id: str
    item_id: str
    pieces: int | None
    """As the care record says; None if it does not."""
    booked: int
    why: str


@dataclass(frozen=True)
class StockResult:
    """What was done to stock; results can be added."""

    events: int = 0
    """How many events were applied."""
    transitions: Counter[str] = field(default_factory=Counter[str])
    """How many locks came into each state."""
    failed: int = 0
    """How many attempts to apply an event, or to look at an item, failed."""
    returned: int = 0
    """How many pieces of items came back by returns that closed as received."""
    not_booked: tuple["ReturnNotBooked", ...] = ()
    """The returns of which fewer pieces were booked than their care records say."""

    def __add__(self, other: "StockResult") -> "StockResult":
        return StockResult(
            self.events + other.events,
            self.transitions + other.transitions,
            self.failed + other.failed,
            self.returned + other.returned,
            self.not_booked + other.not_booked,
        )


def reconcile(
    stock: StockConnection,
    causes: Mapping[ItemKey, Cause],
    oversell: frozenset[str] = frozenset(),
    undone: Mapping[ItemKey, Sequence[Departure]] = NO_DEPARTURES,
    still_here: Mapping[ItemKey, int] = NO_PIECES,
    has_left: Mapping[ItemKey, int] = NO_PIECES,
    had_lock: Collection[ItemKey] = frozenset(),
) -> StockResult:
    """Brings the locks of items, and the levels, to what the items need as they are stored now.

    Call it within a transaction. `causes`: the items, and why each is looked at. `oversell`: the accounts that may lock
    stock below zero. `undone`: what did not leave after all. `still_here`: how many held pieces are released.
    `has_left`: how many held pieces have left. `had_lock`: items for which V1 holds pieces. An item that needs what it
    has changes nothing, however often this is called.
    """
    if not causes:
        return StockResult()
    loaded = load(stock, causes.keys())
    if had_lock:
        items = [item._replace(had_lock=item.key in had_lock) for item in loaded.items]
        loaded = loaded._replace(items=items)
    note_corrections(stock, loaded)
    settled = settle(loaded.items, loaded.stock_skus, causes, loaded.locks, loaded.levels, undone, still_here, has_left)
    stored = [lock for locks in loaded.locks.values() for lock in locks]
    return finish(stock, stored, loaded.levels, settled, oversell)


def reconcile_each(
    stock: StockConnection, causes: Mapping[ItemKey, Cause], oversell: frozenset[str] = frozenset()
) -> tuple[StockResult, set[ItemKey]]:
    """Reconciles items, one by one if they can't be all at once; returns those that can't be, too.

    Raises what is no fault of an item (`is_data_fault`), e.g. where the connection is lost.
    """
    try:
        with stock.transaction():
            return reconcile(stock, causes, oversell), set()
    except Exception as error:
        if not is_data_fault(error):
            raise
        if len(causes) == 1:
            return StockResult(failed=1), set(causes)
    total, failed = StockResult(), set[ItemKey]()
    for key, cause in causes.items():
        result, failed_key = reconcile_each(stock, {key: cause}, oversell)
        total += result
        failed |= failed_key
    return total, failed


def move(
    stock: StockConnection,
    before: Mapping[str, StockLevel],
    movements: Sequence[Movement],
    cause: Cause,
    oversell: frozenset[str],
) -> StockResult:
    """Stores movements of pieces on hand, and shares out what they make available or take away.

    Call it within a transaction. `before`: the levels as they were stored. `cause`: of the changes to locks.
    """
    after = dict(before)
    for movement in movements:
        after[movement.sku] = after[movement.sku]._replace(on_hand=movement.on_hand)
    settled = Settled({}, after, list(movements), {}, overdrawn(before, after))
    return finish(stock, (), before, settled, oversell, cause)


def finish(
    stock: StockConnection,
    stored: Iterable[Lock],
    levels: Mapping[str, StockLevel],
    settled: Settled,
    oversell: frozenset[str] = frozenset(),
    cause: Cause | None = None,
) -> StockResult:
    """Shares out what became available, and stores locks, levels, movements and history.

    `stored`: the stored locks of `settled`. `levels`: the levels as they were stored. `cause`: of the changes to other
    locks; by default, that stock became available.
    """
    others = other_active_locks(stock, settled)
    shared = share_out(settled, others, oversell, cause)
    if settled.overdrawn:
        check_taken_back({**{lock.key: lock for lock in others}, **settled.locks}, shared.locks)
    before = {lock.key: lock for lock in (*stored, *others)}
    transitions = store(stock, before, levels, shared)
    return StockResult(transitions=Counter(transition.to_state for transition in transitions))
