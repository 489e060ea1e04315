"""The decision on a lock: the table of state × action, and what holds after any commands. No database is needed."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_sync.stock.actions import LockAction
from orders_sync.stock.decision import (
    RULES,
    Item,
    ItemKey,
    Lock,
    LockCommand,
    LockState,
    Outcome,
    StockLevel,
    decide,
    decide_all,
)

LOCK, CONSUME, RELEASE, KEEP = LockAction.LOCK, LockAction.CONSUME, LockAction.RELEASE, LockAction.KEEP
COUNTED = datetime(2026, 3, 1, tzinfo=UTC)
EARLIER, LATER = COUNTED - timedelta(days=1), COUNTED + timedelta(days=1)
STATES: list[LockState | None] = [None, *LockState]


def a_lock(state: str | None, quantity: int = 2) -> Lock:
    return Lock("shop", "1", "10", "PHONE", quantity, LockState(state) if state else None, None, 1)


@pytest.mark.parametrize(
    ("state", "action", "after", "on_hand", "reserved"),
    [
        (None, LOCK, "locked", 10, 4),
        (None, CONSUME, "consumed", 8, 2),
        (None, RELEASE, None, 10, 2),
        ("locked", LOCK, "locked", 10, 2),
        ("locked", CONSUME, "consumed", 8, 0),
        ("locked", RELEASE, "released", 10, 0),
        ("short", LOCK, "locked", 10, 4),
        ("short", CONSUME, "consumed", 8, 2),
        ("short", RELEASE, "released", 10, 2),
        ("released", LOCK, "locked", 10, 4),
        ("released", CONSUME, "consumed", 8, 2),
        ("released", RELEASE, "released", 10, 2),
        ("consumed", LOCK, "consumed", 10, 2),
        ("consumed", CONSUME, "consumed", 10, 2),
        ("consumed", RELEASE, "consumed", 10, 2),
    ],
)
def test_each_state_and_action(
    state: str | None, action: LockAction, after: str | None, on_hand: int, reserved: int
) -> None:
    """Of 10 pieces on hand, 2 are reserved; the item has 2 pieces, and was shipped after the count."""
    level = StockLevel(10, 2, COUNTED)
    decision = decide(a_lock(state), action, Item("PHONE", 2, LATER, "10"), {"PHONE": level})
    assert decision.lock.state == after
    assert (decision.level or level) == StockLevel(on_hand, reserved, COUNTED)


def test_the_table_has_a_rule_for_each_state_and_action() -> None:
    assert set(RULES) == set(STATES)
    assert all(set(rules) == set(LockAction) for rules in RULES.values())


@pytest.mark.parametrize(
    ("level", "problem"),
    [
        (StockLevel(None, 0, None), "SKU PHONE is not in the stock list"),
        (StockLevel(1, 0, COUNTED), "1 of 2 available"),
        (StockLevel(1, 3, COUNTED), "0 of 2 available"),
    ],
)
def test_too_few_pieces_make_a_lock_short_unless_the_account_may_oversell(level: StockLevel, problem: str) -> None:
    item = Item("PHONE", 2, None, "10")
    decision = decide(a_lock(None), LOCK, item, {"PHONE": level})
    assert (decision.lock.state, decision.lock.problem, decision.level) == ("short", problem, None)
    decision = decide(a_lock(None), LOCK, item, {"PHONE": level}, oversell=True)
    assert (decision.lock.state, decision.lock.problem) == ("locked", None)
    assert decision.level == level._replace(reserved=level.reserved + 2)


@pytest.mark.parametrize(
    ("level", "shipped_at", "on_hand", "problem"),
    [
        (StockLevel(10, 0, COUNTED), EARLIER, 10, None),
        (StockLevel(10, 0, COUNTED), LATER, 8, None),
        (StockLevel(10, 0, COUNTED), None, 8, None),
        (StockLevel(10, 9, COUNTED), LATER, 9, "1 of 2 left the warehouse without a lock"),
        (StockLevel(None, 0, None), LATER, None, None),
    ],
)
def test_a_shipment_without_a_lock_takes_only_pieces_that_were_counted_and_are_free(
    level: StockLevel, shipped_at: datetime | None, on_hand: int | None, problem: str | None
) -> None:
    decision = decide(a_lock(None), CONSUME, Item("PHONE", 2, shipped_at, "10"), {"PHONE": level})
    assert (decision.lock.state, decision.lock.problem) == ("consumed", problem)
    assert (decision.level or level).on_hand == on_hand
    assert (decision.level or level).reserved == level.reserved


def test_a_released_lock_is_locked_anew_with_the_items_present_sku_and_quantity() -> None:
    levels = {"PHONE": StockLevel(10, 0, COUNTED), "CASE": StockLevel(10, 0, COUNTED)}
    decision = decide(a_lock("released"), LOCK, Item("CASE", 3, None, "10"), levels)
    assert (decision.lock.sku, decision.lock.quantity) == ("CASE", 3)
    assert decision.level == StockLevel(10, 3, COUNTED)


def decided(item: Item, lock: Lock | None, command: LockCommand) -> Outcome:
    levels = {"PHONE": StockLevel(10, 0, COUNTED)}
    return decide_all([command], {} if lock is None else {("shop", "1"): lock}, {("shop", "1"): item}, levels)


def test_what_is_not_in_stock_gets_no_lock_and_gives_its_own_back() -> None:
    """A line can turn out to be a discount or a fee: nothing is locked for it, and nothing leaves with it."""
    item = Item("PHONE", 2, None, "10", is_goods=False)
    for action in LockAction:
        command = LockCommand("shop", "1", "10", action, 1, 1, "test")
        assert decided(item, None, command) == Outcome([], {}, [])
        assert [lock.state for lock in decided(item, a_lock("locked"), command).locks] == ["released"]


def test_an_item_that_moved_to_another_order_obeys_that_order_alone() -> None:
    """The revisions of two orders can't be compared: the new order's first command counts, the old one's no more."""
    item = Item("PHONE", 2, None, "20")
    of_the_old = LockCommand("shop", "1", "10", RELEASE, 9, 1, "test")
    assert decided(item, a_lock("locked"), of_the_old) == Outcome([], {}, [])
    of_the_new = LockCommand("shop", "1", "20", RELEASE, 1, 2, "test")
    lock = a_lock("locked")._replace(revision=8)
    [after] = decided(item, lock, of_the_new).locks
    assert (after.order_id, after.state, after.revision) == ("20", "released", 1)


@pytest.mark.parametrize(
    ("revision", "state", "revision_after"),
    [
        (4, "locked", 5),  # older than what the lock has seen
        (5, "released", 5),  # another event of the same change
        (6, "released", 6),
    ],
)
def test_only_an_event_that_is_older_than_the_lock_changes_nothing(
    revision: int, state: str, revision_after: int
) -> None:
    key, before = ("shop", "1"), a_lock("locked")._replace(revision=5)
    release = LockCommand("shop", "1", "10", RELEASE, revision, 1, "OrderStatusChanged cancelled")
    outcome = decide_all(
        [release], {key: before}, {key: Item("PHONE", 2, None, "10")}, {"PHONE": StockLevel(10, 2, COUNTED)}
    )
    after = by_key(outcome).get(key, before)
    assert (after.state, after.revision) == (state, revision_after)


def test_the_newest_revision_is_kept_so_that_an_older_event_changes_nothing_later() -> None:
    key, item, levels = ("shop", "1"), Item("PHONE", 2, None, "10"), {"PHONE": StockLevel(10, 0, COUNTED)}
    newest = LockCommand("shop", "1", "10", LOCK, 7, 2, "OrderStatusChanged accepted")
    older = newest._replace(action=RELEASE, revision=6, event_id=1)
    for commands in ([newest, older], [newest, newest._replace(action=KEEP, revision=8), older._replace(revision=7)]):
        outcome = decide_all(commands, {}, {key: item}, levels)
        assert by_key(outcome)[key].state == "locked"
    first = decide_all([newest._replace(revision=3)], {}, {key: item}, levels)
    assert by_key(first)[key].revision == 3
    # An import's command has no event, and never lowers the revision.
    again = decide_all([newest._replace(revision=1, event_id=None)], by_key(first), {key: item}, levels | first.levels)
    assert again.locks == []


SKUS = ("PHONE", "CASE")
LEVELS = st.builds(
    StockLevel, st.one_of(st.none(), st.integers(0, 6)), st.just(0), st.one_of(st.none(), st.just(COUNTED))
)
ITEMS = st.builds(
    Item,
    st.sampled_from(SKUS),
    st.integers(1, 3),
    st.sampled_from([None, EARLIER, LATER]),
    st.just("10"),
    st.booleans(),
)
COMMANDS = st.lists(
    st.builds(
        lambda item_id, action, revision, has_event: LockCommand(
            "shop", item_id, "10", action, revision, revision if has_event else None, "test"
        ),
        st.sampled_from("12345"),
        st.sampled_from(LockAction),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=1000, deadline=None)
@given(
    levels=st.fixed_dictionaries(dict.fromkeys(SKUS, LEVELS)),
    items=st.dictionaries(st.tuples(st.just("shop"), st.sampled_from("1234")), ITEMS),
    commands=COMMANDS,
    cut=st.integers(0, 12),
    oversell=st.sampled_from([frozenset[str](), frozenset(["shop"])]),
)
def test_what_holds_after_any_commands(
    levels: dict[str, StockLevel],
    items: dict[ItemKey, Item],
    commands: list[LockCommand],
    cut: int,
    oversell: frozenset[str],
) -> None:
    arguments = (list(commands), dict(items), dict(levels))
    outcome = decide_all(commands, {}, items, levels, oversell)
    assert (commands, items, levels) == arguments, "an argument was changed"

    locks = by_key(outcome)
    after = levels | outcome.levels
    assert len(locks) == len(outcome.locks), "an item has two locks"
    assert set(locks) <= set(items), "an item that is not stored has a lock"
    reserved = Counter[str]()
    for lock in outcome.locks:
        if lock.state is LockState.LOCKED:
            reserved[lock.sku] += lock.quantity
    assert {sku: level.reserved for sku, level in after.items()} == {sku: reserved[sku] for sku in after}
    for level in after.values():
        assert level.reserved >= 0
        assert oversell or level.available() >= 0
    check_history(outcome)
    check_pieces(levels, outcome)

    # Applied again, or in two batches: the same.
    repeated = decide_all([c for command in commands for c in (command, command)], {}, items, levels, oversell)
    assert (by_key(repeated), levels | repeated.levels) == (locks, after)
    first = decide_all(commands[:cut], {}, items, levels, oversell)
    second = decide_all(commands[cut:], by_key(first), items, levels | first.levels, oversell)
    assert levels | first.levels | second.levels == after
    states = {key: lock.state for key, lock in (by_key(first) | by_key(second)).items()}
    assert states == {key: lock.state for key, lock in locks.items()}


def by_key(outcome: Outcome) -> dict[ItemKey, Lock]:
    return {(lock.account, lock.item_id): lock for lock in outcome.locks}


def check_history(outcome: Outcome) -> None:
    """The transitions of each item lead, one from the other, from no lock to the lock's state; none leaves `consumed`."""
    states: dict[ItemKey, LockState] = {}
    for each in outcome.transitions:
        key = (each.account, each.item_id)
        assert each.from_state is states.get(key)
        assert each.from_state is not LockState.CONSUMED
        assert each.to_state is not each.from_state
        states[key] = each.to_state
    assert states == {key: lock.state for key, lock in by_key(outcome).items()}


def check_pieces(levels: dict[str, StockLevel], outcome: Outcome) -> None:
    """What is no longer on hand was consumed: each consumed item takes its quantity at most."""
    for sku, level in outcome.levels.items():
        gone = (levels[sku].on_hand or 0) - (level.on_hand or 0)
        assert 0 <= gone <= sum(quantities_consumed(outcome.locks, sku))


def quantities_consumed(locks: Sequence[Lock], sku: str) -> list[int]:
    return [lock.quantity for lock in locks if lock.sku == sku and lock.state is LockState.CONSUMED]
