"""What the needs of items do to their locks and levels: single cases, and what holds for any. No database is needed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_sync.model.statuses import Status
from orders_sync.stock.decision import (
    Cause,
    Lock,
    LockKey,
    LockState,
    Settled,
    StockLevel,
    has_lock,
    overdrawn,
    pieces_left,
    settle,
)
from orders_sync.stock.needs import Decision, ItemFacts, StockPart, StockSkus, need_of, parts_of
from orders_sync.stock.share_out import share_out
from orders_sync_tests.stock.stored_orders import at

CAUSE = Cause("test")
COUNTED = at(0)
EARLIER, LATER = at(-60), at(60)
PHONES = StockLevel(on_hand=10, reserved=0, counted_at=COUNTED)
BUNDLES = StockSkus({("", "SET"): [StockPart("PHONE", 1), StockPart("CASE", 2)]})


def an_item(item_id: str = "1", **facts: object) -> ItemFacts:
    item = ItemFacts(
        "shop", item_id, f"order {item_id}", "PHONE", is_goods=True, quantity=2, cancelled=None, shipped=None,
        status="accepted", order_status="accepted", ordered_at=at(-90), left_at=LATER, decision=None,
    )  # fmt: skip
    return item._replace(**facts)


def a_lock(
    item_id: str = "1", locked: int = 0, short: int = 0, consumed: int = 0, sku: str = "PHONE", age: float = -90
) -> Lock:
    return Lock(
        "shop",
        item_id,
        sku,
        f"order {item_id}",
        locked + short + consumed,
        locked,
        short,
        consumed,
        consumed,
        None,
        at(age),
    )


class Stock(NamedTuple):
    """Locks and levels that agree with each other, and what became of them."""

    locks: dict[LockKey, Lock]
    levels: dict[str, StockLevel]


def stock_of(*locks: Lock, on_hand: int | None = 10, cases: int | None = 10) -> Stock:
    def level(sku: str, pieces: int | None) -> StockLevel:
        return StockLevel(
            pieces, sum(lock.reserved() for lock in locks if lock.sku == sku), COUNTED if pieces else None
        )

    return Stock({lock.key: lock for lock in locks}, {"PHONE": level("PHONE", on_hand), "CASE": level("CASE", cases)})


def settled(stock: Stock, *items: ItemFacts) -> Settled:
    keys = {item.key for item in items}
    stored: dict[tuple[str, str], list[Lock]] = {}
    for lock in stock.locks.values():
        if lock.key[:2] in keys:
            stored.setdefault(lock.key[:2], []).append(lock)
    return settle(items, BUNDLES, dict.fromkeys(keys, CAUSE), stored, stock.levels)


def decided(stock: Stock, *items: ItemFacts, oversell: bool = False) -> Settled:
    """Both steps, as `reconcile` takes them, with all active locks at hand."""
    return share_out(settled(stock, *items), stock.locks.values(), frozenset({"shop"} if oversell else ()))


def pieces(result: Settled, item_id: str = "1", sku: str = "PHONE") -> tuple[int, int, int]:
    return result.locks["shop", item_id, sku].pieces()


@pytest.mark.parametrize(
    ("lock", "state"),
    [
        (a_lock(locked=1, short=1, consumed=1), LockState.SHORT),
        (a_lock(locked=1, consumed=1), LockState.LOCKED),
        (a_lock(consumed=1), LockState.CONSUMED),
        (a_lock(), LockState.RELEASED),
    ],
)
def test_the_state_follows_from_the_pieces(lock: Lock, state: LockState) -> None:
    assert lock.state == state


@pytest.mark.parametrize(
    ("before", "status", "after", "on_hand", "reserved"),
    [
        (None, "accepted", (2, 0, 0), 10, 2),
        (None, "shipped", (0, 0, 2), 8, 0),
        ((2, 0, 0), "accepted", (2, 0, 0), 10, 2),
        ((2, 0, 0), "shipped", (0, 0, 2), 8, 0),
        ((2, 0, 0), "cancelled", (0, 0, 0), 10, 0),
        ((0, 2, 0), "accepted", (2, 0, 0), 10, 2),
        ((0, 2, 0), "shipped", (0, 0, 2), 8, 0),
        ((0, 2, 0), "cancelled", (0, 0, 0), 10, 0),
        ((0, 0, 0), "accepted", (2, 0, 0), 10, 2),
        ((0, 0, 0), "shipped", (0, 0, 2), 8, 0),
        ((0, 0, 2), "accepted", (0, 0, 2), 10, 0),
        ((0, 0, 2), "shipped", (0, 0, 2), 10, 0),
        ((0, 0, 2), "cancelled", (0, 0, 2), 10, 0),
    ],
)
def test_each_lock_and_status(
    before: tuple[int, int, int] | None, status: str, after: tuple[int, int, int], on_hand: int, reserved: int
) -> None:
    """An item of two pieces, of ten on hand. What was consumed stays consumed: only a person undoes it."""
    stock = stock_of(a_lock("1", *before)) if before else stock_of()
    result = decided(stock, an_item(status=status))
    assert pieces(result) == after
    assert result.levels["PHONE"] == StockLevel(on_hand, reserved, COUNTED)


def test_a_cancelled_item_that_never_had_a_lock_gets_none() -> None:
    assert settled(stock_of(), an_item(status="cancelled")).locks == {}


def test_before_the_payment_nothing_is_looked_at() -> None:
    assert settled(stock_of(), an_item(status="awaiting_payment")).locks == {}


@pytest.mark.parametrize(
    ("item", "after", "on_hand"),
    [
        (an_item(quantity=3, cancelled=1, shipped=1), (1, 0, 1), 9),
        (an_item(quantity=3, shipped=1), (2, 0, 1), 9),
        (an_item(quantity=2, shipped=1, status="cancelled"), (0, 0, 1), 9),
        (an_item(quantity=1, status="shipped"), (0, 0, 1), 9),
        (an_item(quantity=4, status="shipped"), (0, 0, 4), 6),
    ],
)
def test_what_left_is_what_left_and_the_rest_is_held_or_released(
    item: ItemFacts, after: tuple[int, int, int], on_hand: int
) -> None:
    """The lock still holds the pieces that the item had before: three."""
    result = decided(stock_of(a_lock(locked=3)), item)
    assert pieces(result) == after
    assert result.levels["PHONE"] == StockLevel(on_hand, after[0], COUNTED)


def test_the_sku_that_the_item_has_is_consumed_and_not_the_one_that_was_locked() -> None:
    result = decided(stock_of(a_lock(locked=2)), an_item(sku="CASE", status="shipped"))
    assert (pieces(result), pieces(result, sku="CASE")) == ((0, 0, 0), (0, 0, 2))
    assert (result.levels["PHONE"].on_hand, result.levels["CASE"].on_hand) == (10, 8)


def test_a_piece_that_left_as_one_sku_does_not_leave_again_as_another() -> None:
    result = decided(stock_of(a_lock(consumed=2)), an_item(sku="CASE", status="shipped"))
    assert pieces(result) == (0, 0, 2)
    assert (result.levels["PHONE"].on_hand, result.levels["CASE"].on_hand) == (10, 10)
    assert result.movements == []


def test_a_bundle_holds_and_takes_the_pieces_of_its_parts() -> None:
    result = decided(stock_of(), an_item(sku="SET"))
    assert (pieces(result), pieces(result, sku="CASE")) == ((2, 0, 0), (4, 0, 0))
    result = decided(stock_of(), an_item(sku="SET", shipped=1))
    assert (pieces(result), pieces(result, sku="CASE")) == ((1, 0, 1), (2, 0, 2))


@pytest.mark.parametrize(("left_at", "on_hand"), [(EARLIER, 10), (COUNTED, 10), (LATER, 8), (None, 8)])
def test_pieces_that_left_before_the_count_are_not_subtracted_again(left_at: object, on_hand: int) -> None:
    for stock in (stock_of(), stock_of(a_lock(locked=2))):
        result = decided(stock, an_item(status="shipped", left_at=left_at))
        assert pieces(result) == (0, 0, 2)
        assert result.levels["PHONE"] == StockLevel(on_hand, 0, COUNTED)


def test_more_pieces_than_were_on_hand_leave_a_problem_and_no_negative_number() -> None:
    result = decided(stock_of(on_hand=1), an_item(status="shipped"))
    assert result.levels["PHONE"].on_hand == 0
    assert result.locks["shop", "1", "PHONE"].problem == "1 of 2 pieces left that the stock list did not have"


def test_a_sku_that_is_not_in_the_stock_list_is_waited_for_and_consumed_all_the_same() -> None:
    result = decided(stock_of(on_hand=None), an_item())
    assert pieces(result) == (0, 2, 0)
    assert result.locks["shop", "1", "PHONE"].problem == "SKU PHONE is not in the stock list"
    result = decided(stock_of(on_hand=None), an_item(status="shipped"))
    assert (pieces(result), result.levels["PHONE"].on_hand) == ((0, 0, 2), None)
    (movement,) = result.movements
    assert (movement.pieces, movement.on_hand_change, movement.on_hand) == (-2, 0, None), "a later list knows of it"


def test_pieces_that_left_without_a_lock_are_missing_for_the_newest_order() -> None:
    """Two orders hold the two pieces; a third one ships one of them."""
    stock = stock_of(a_lock("1", locked=1, age=1), a_lock("2", locked=1, age=2), on_hand=2)
    result = decided(stock, an_item("3", quantity=1, status="shipped"))
    assert (pieces(result, "1"), pieces(result, "2")) == ((1, 0, 0), (0, 1, 0))
    assert result.levels["PHONE"] == StockLevel(1, 1, COUNTED)
    assert result.locks["shop", "2", "PHONE"].problem == "0 of 1 available"


def test_the_oldest_order_gets_what_there_is_even_if_it_is_not_enough() -> None:
    """So single orders do not overtake an order of three pieces for ever."""
    stock = stock_of(a_lock("old", short=3, age=1), a_lock("young", short=1, age=2), on_hand=2)
    result = share_out(Settled({}, stock.levels, [], {}, frozenset()), stock.locks.values())
    assert (pieces(result, "old"), pieces(result, "young")) == ((2, 1, 0), (0, 1, 0))


def test_a_raised_quantity_keeps_what_the_lock_holds_and_waits_for_the_rest() -> None:
    stock = stock_of(a_lock("A", locked=1, age=1), on_hand=1)
    raised = an_item("A", quantity=2, ordered_at=at(1))
    result = decided(stock, raised, an_item("B", quantity=1, ordered_at=at(2)))
    assert (pieces(result, "A"), pieces(result, "B")) == ((1, 1, 0), (0, 1, 0))
    assert result.locks["shop", "A", "PHONE"].problem == "1 of 2 available"


def test_an_account_that_may_oversell_holds_what_it_needs() -> None:
    result = decided(stock_of(on_hand=1), an_item(), oversell=True)
    assert (pieces(result), result.levels["PHONE"].available()) == ((2, 0, 0), -1)


# What holds for any items, locks and levels.

ITEMS = ("1", "2", "3", "4")


@st.composite
def items(draw: st.DrawFn) -> ItemFacts:
    return an_item(
        draw(st.sampled_from(ITEMS)),
        sku=draw(st.sampled_from(["PHONE", "CASE", "SET"])),
        is_goods=draw(st.sampled_from([True, True, True, False])),
        quantity=draw(st.integers(0, 4)),
        cancelled=draw(st.none() | st.integers(0, 4)),
        shipped=draw(st.none() | st.integers(0, 4)),
        status=draw(st.sampled_from(Status)),
        ordered_at=at(draw(st.integers(0, 3))),
        left_at=draw(st.sampled_from([EARLIER, LATER])),
        decision=draw(st.none() | st.sampled_from(Decision)),
        may_have_left=draw(st.booleans()),
        unreported=draw(st.sampled_from([0, 0, 1])),
        expected=draw(st.integers(0, 2)),
    )


@st.composite
def stocks(draw: st.DrawFn) -> Stock:
    """Locks and levels as they are after any steps without oversell."""
    few = st.integers(0, 3)
    locks = [
        a_lock(item_id, draw(few), draw(few), draw(few), sku, draw(few))._replace(held=draw(few))
        for item_id in ITEMS
        for sku in draw(st.sets(st.sampled_from(["PHONE", "CASE"])))
    ]
    held = {sku: sum(lock.reserved() for lock in locks if lock.sku == sku) for sku in ("PHONE", "CASE")}
    levels = {
        sku: StockLevel(reserved + draw(few), reserved, COUNTED)
        if reserved or draw(st.booleans())
        else StockLevel(None, 0, None)
        for sku, reserved in held.items()
    }
    return Stock({lock.key: lock for lock in locks}, levels)


some_items = st.lists(items(), max_size=4, unique_by=lambda item: item.item_id)


def held(locks: Sequence[Lock], sku: str) -> int:
    return sum(lock.reserved() for lock in locks if lock.sku == sku)


def after(stock: Stock, result: Settled) -> Stock:
    return Stock(stock.locks | result.locks, stock.levels | result.levels)


@given(stocks(), some_items, st.booleans())
def test_pieces_are_conserved(stock: Stock, changed: list[ItemFacts], oversell: bool) -> None:
    result = decided(stock, *changed, oversell=oversell)
    locks = list(after(stock, result).locks.values())
    for sku, level in result.levels.items():
        moved = sum(movement.on_hand_change for movement in result.movements if movement.sku == sku)
        assert (level.on_hand or 0) == (stock.levels[sku].on_hand or 0) + moved
        assert level.reserved == held(locks, sku)
        assert level.counted_at == stock.levels[sku].counted_at


@given(stocks(), some_items)
def test_never_more_is_held_than_there_is(stock: Stock, changed: list[ItemFacts]) -> None:
    for level in decided(stock, *changed).levels.values():
        assert level.available() >= 0


@given(stocks(), some_items, st.booleans())
def test_no_number_of_pieces_is_negative(stock: Stock, changed: list[ItemFacts], oversell: bool) -> None:
    result = decided(stock, *changed, oversell=oversell)
    assert all(min(*lock.pieces(), lock.held) >= 0 for lock in result.locks.values())
    assert all((level.on_hand or 0) >= 0 and level.reserved >= 0 for level in result.levels.values())


@given(stocks(), some_items, st.booleans())
def test_nothing_changes_when_it_is_done_again(stock: Stock, changed: list[ItemFacts], oversell: bool) -> None:
    once = after(stock, decided(stock, *changed, oversell=oversell))
    again = decided(once, *changed, oversell=oversell)
    assert after(once, again) == once
    assert again.movements == []


@given(stocks(), some_items, st.booleans())
def test_consumed_pieces_stay_consumed(stock: Stock, changed: list[ItemFacts], oversell: bool) -> None:
    result = decided(stock, *changed, oversell=oversell)
    for key, lock in result.locks.items():
        assert key not in stock.locks or lock.consumed >= stock.locks[key].consumed


@given(stocks(), some_items)
def test_who_waits_is_not_overtaken(stock: Stock, changed: list[ItemFacts]) -> None:
    """An order gets pieces only if no older one waits for them; those that are held for it are its own."""
    between = settled(stock, *changed)
    result = share_out(between, stock.locks.values())
    before = after(stock, between)
    for younger in result.locks.values():
        if younger.reserved() > before.locks[younger.key].reserved():
            for older in result.locks.values():
                if older.sku == younger.sku and older.short:
                    assert older.ordered_at is not None and younger.ordered_at is not None
                    assert (older.ordered_at, older.item_id) >= (younger.ordered_at, younger.item_id)


@given(stocks(), some_items)
def test_a_lock_waits_only_while_nothing_is_available(stock: Stock, changed: list[ItemFacts]) -> None:
    result = decided(stock, *changed)
    for lock in result.locks.values():
        if lock.short:
            assert result.levels[lock.sku].available() == 0


@given(stocks(), some_items)
def test_a_lock_loses_pieces_only_to_its_item_or_to_an_overdrawn_sku(stock: Stock, changed: list[ItemFacts]) -> None:
    between = settled(stock, *changed)
    result = share_out(between, stock.locks.values())
    looked_at = {item.key for item in changed}
    for key, lock in result.locks.items():
        if key in stock.locks and lock.locked < stock.locks[key].locked and key[:2] not in looked_at:
            assert lock.sku in between.overdrawn
            assert result.levels[lock.sku].available() == 0


@given(stocks(), some_items)
def test_an_item_holds_and_waits_for_what_it_needs(stock: Stock, changed: list[ItemFacts]) -> None:
    """Less what was consumed beyond the pieces that have left: by mistake, they count as the item's."""
    result = after(stock, decided(stock, *changed))
    for item in changed:
        before = [lock for key, lock in stock.locks.items() if key[:2] == item.key]
        need = need_of(item, has_lock=has_lock(before), left=pieces_left(before))
        parts = {part.sku: part.pieces for part in parts_of(item.account, item.sku, BUNDLES)}
        own = {sku: result.locks.get((*item.key, sku)) for sku in ("PHONE", "CASE")}
        left = sum(lock.item_pieces for lock in own.values() if lock)
        for sku, lock in own.items():
            bound = lock.locked + lock.short if lock else 0
            assert bound <= need.hold * parts.get(sku, 0)
            if left <= need.gone:
                assert bound == need.hold * parts.get(sku, 0)


@given(stocks(), some_items)
def test_only_what_may_have_left_is_held_and_no_more_than_was_locked_or_held(
    stock: Stock, changed: list[ItemFacts]
) -> None:
    result = decided(stock, *changed)
    for item in changed:
        for key, lock in result.locks.items():
            before = stock.locks.get(key)
            if key[:2] == item.key and lock.held:
                assert item.may_have_left
                assert item.decision != Decision.RELEASE
                assert item.is_goods
                assert before is not None
                assert lock.held + lock.locked <= max(before.reserved(), lock.locked)


def test_pieces_that_the_shelf_lacks_are_taken_from_held_ones_first() -> None:
    stock = stock_of(a_lock("old")._replace(held=2), a_lock("young", locked=3), on_hand=6)
    counted = stock.levels | {"PHONE": stock.levels["PHONE"]._replace(on_hand=4)}
    result = share_out(Settled({}, counted, [], {}, frozenset({"PHONE"})), stock.locks.values())
    assert (pieces(result, "young"), result.locks["shop", "old", "PHONE"].held) == ((3, 0, 0), 1)
    assert result.levels["PHONE"].available() == 0


class TestOverdrawnBefore:
    """An account that may oversell holds 12 pieces of 10, and another account's younger order holds 5."""

    def step(self, on_hand: int, *others: Lock, ages: tuple[int, int] = (1, 2)) -> Settled:
        """The pieces on hand become others."""
        oversold = a_lock("12", locked=12, age=ages[0])._replace(account="oversells")
        stock = stock_of(oversold, a_lock("5", locked=5, age=ages[1]), *others)
        levels = stock.levels | {"PHONE": stock.levels["PHONE"]._replace(on_hand=on_hand)}
        changed = Settled({}, levels, [], {}, overdrawn(stock.levels, levels))
        return share_out(changed, stock.locks.values(), frozenset({"oversells"}))

    @pytest.mark.parametrize(("on_hand", "locked"), [(11, 5), (10, 5), (9, 5), (5, 5), (3, 3), (0, 0)])
    def test_the_others_keep_what_is_on_hand(self, on_hand: int, locked: int) -> None:
        result = self.step(on_hand)
        assert pieces(result, "5") == (locked, 5 - locked, 0)
        assert result.locks["oversells", "12", "PHONE"].locked == 12

    @pytest.mark.parametrize("ages", [(1, 2), (2, 1)], ids=["older", "newer"])
    def test_an_older_order_that_is_oversold_takes_no_more_than_a_newer_one(self, ages: tuple[int, int]) -> None:
        assert pieces(self.step(4, ages=ages), "5") == (4, 1, 0)

    @pytest.mark.parametrize(("on_hand", "held_then"), [(11, 2), (7, 2), (6, 1), (5, 0)])
    def test_held_pieces_are_the_first_to_go(self, on_hand: int, held_then: int) -> None:
        result = self.step(on_hand, a_lock("3")._replace(held=2))
        assert (pieces(result, "5"), result.locks["shop", "3", "PHONE"].held) == ((5, 0, 0), held_then)

    def test_what_an_account_oversells_in_the_same_step_is_taken_from_nobody(self) -> None:
        waits = a_lock("new", short=4, age=0)._replace(account="oversells")
        result = self.step(9, waits)
        assert (pieces(result, "5"), result.locks["oversells", "new", "PHONE"].locked) == ((5, 0, 0), 4)


def test_the_age_of_an_order_decides_before_its_id() -> None:
    stock = stock_of(
        a_lock("1", short=1, age=timedelta(hours=2).total_seconds()), a_lock("2", short=1, age=0), on_hand=1
    )
    result = share_out(Settled({}, stock.levels, [], {}, frozenset()), stock.locks.values())
    assert (pieces(result, "1"), pieces(result, "2")) == ((0, 1, 0), (1, 0, 0))
