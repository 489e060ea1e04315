"""Locks that are not what their items need are found by one query, and repaired, whatever made them wrong."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

import pytest

from orders_sync.database.engine import Connection
from orders_sync.model.statuses import Status
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.decision import Cause, Lock, settle
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision, ItemKey
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.store import load
from orders_sync.stock.wrong_locks import WrongLock, repair, wrong_locks
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_label, store_order

SKUS = ("PHONE", "\xa0Phone\t", "Alias", "OWN-ALIAS", "SET")
ALIASES = [
    StockSku("", "ALIAS", "PHONE", 1),
    StockSku("", "OWN-ALIAS", "CASE", 5),
    StockSku(ACCOUNT, "OWN-ALIAS", "PHONE", 2),
    StockSku("", "SET", "PHONE", 1),
    StockSku("", "SET", "CASE", 2),
]


class Row(NamedTuple):
    """An item in its order, and the decision about it."""

    status: str
    order_status: str
    kind: str
    cancelled: int | None
    shipped: int | None
    decision: str | None
    decided_status: str
    decided_pieces: int | None
    sku: str


def all_rows() -> Iterator[Row]:
    statuses = [
        (item, order) for item, order in itertools.product(Status, Status) if item is Status.UNKNOWN or order is item
    ]
    decisions = [
        *((decision, True, None) for decision in (None, *Decision)),
        (Decision.LOCK, False, None),
        (Decision.SHIPPED, True, 1),
    ]
    for (status, order_status), kind, cancelled, shipped, (decision, in_force, pieces), sku in itertools.product(
        statuses, ("goods", "fee"), (None, 1, 3), (None, 1, 2), decisions, SKUS
    ):
        yield Row(
            status, order_status, kind, cancelled, shipped, decision, status if in_force else "other", pieces, sku
        )


def store_rows(connection: Connection, rows: list[Row]) -> list[ItemKey]:
    """Stores each as an order with one item of three pieces; returns the items."""
    ids = [str(number) for number in range(len(rows))]
    columns = [list(column) for column in zip(*rows, strict=True)]
    parameters = dict(zip(Row._fields, columns, strict=True)) | {"ids": ids, "account": ACCOUNT}
    connection.execute(
        "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
        "SELECT %(account)s, id, status, now(), now(), '{}', '' "
        "FROM unnest(%(ids)s::text[], %(order_status)s::text[]) AS row (id, status)",
        parameters,
    )
    connection.execute(
        "INSERT INTO order_items (account, order_id, item_id, quantity, status, kind, cancelled, shipped, sku) "
        "SELECT %(account)s, id, id, 3, status, kind, cancelled, shipped, sku "
        "FROM unnest(%(ids)s::text[], %(status)s::text[], %(kind)s::text[], %(cancelled)s::int[], %(shipped)s::int[], "
        "%(sku)s::text[]) AS row (id, status, kind, cancelled, shipped, sku)",
        parameters,
    )
    connection.execute(
        "INSERT INTO stock_decisions "
        "(account, item_id, decision, item_status, reason, made_by, pieces) "
        "SELECT %(account)s, id, decision, status, '', '', pieces "
        "FROM unnest(%(ids)s::text[], %(decision)s::text[], %(decided_status)s::text[], %(decided_pieces)s::int[]) "
        "AS row (id, decision, status, pieces) "
        "WHERE decision IS NOT NULL",
        parameters,
    )
    connection.execute(
        "INSERT INTO stock_over_reports (account, item_id, pieces, reported) "
        "SELECT account, item_id, 1, 2 FROM stock_decisions WHERE decision = 'not_shipped'"
    )
    return [(ACCOUNT, id_) for id_ in ids]


def store_random_locks(connection: Connection, keys: list[ItemKey], random: Random) -> None:
    few = (0, 0, 1, 2, 3, 6)
    locks = [
        Lock(
            *key,
            sku,
            key[1],
            3,
            random.choice(few),
            random.choice((0, 0, 0, 1)),
            consumed,
            consumed,
            None,
            None,
            random.choice((0, 0, 1, 2)),
        )
        for key in keys
        for sku in random.choice([(), ("PHONE",), ("PHONE", "CASE"), ("OTHER",)])
        for consumed in [random.choice(few)]
    ]
    rows = [(*lock[:9], lock.held, lock.state) for lock in locks]
    connection.execute(
        "INSERT INTO stock_locks (account, item_id, sku, order_id, quantity, locked, short, consumed, item_pieces, "
        "held, state) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[], "
        "%s::int[], %s::int[], %s::int[], %s::text[])",
        [list(column) for column in zip(*rows, strict=True)],
    )
    connection.execute(
        "INSERT INTO stock_movements (sku, kind, pieces, on_hand_change, item_pieces, account, item_id, reason) "
        "SELECT sku, 'shipped', -consumed, 0, item_pieces, account, item_id, 'test' FROM stock_locks "
        "WHERE consumed > 0"
    )


def store_labels_and_unreported(connection: Connection) -> None:
    """Every other item has a label, and of every third cancelled pieces have left, as a person says."""
    connection.execute(
        "INSERT INTO order_documents (account, order_id, kind, document_key) "
        "SELECT account, order_id, 'label', 'L' FROM order_items WHERE item_id::int % 2 = 0"
    )
    connection.execute(
        "INSERT INTO stock_unreported (account, item_id, pieces, expected) "
        "SELECT account, item_id, 1 + item_id::int % 2, item_id::int % 4 FROM order_items WHERE item_id::int % 3 = 0"
    )


def left_of_items(locks: Iterable[Lock]) -> Counter[ItemKey]:
    left = Counter[ItemKey]()
    for lock in locks:
        left[lock.key[:2]] += lock.item_pieces
    return left


def wrong_by_the_rules(
    stock: StockConnection, keys: list[ItemKey]
) -> tuple[dict[tuple[str, str], tuple[int, int]], set[str]]:
    """(item id, SKU) → the pieces that a wrong lock has and those that the item needs, by orders_sync.stock.needs.

    And the items of which pieces are still to be taken, or to be put back.
    """
    wrong: dict[tuple[str, str], tuple[int, int]] = {}
    with stock.transaction():
        loaded = load(stock, keys)
        after = settle(
            loaded.items,
            loaded.stock_skus,
            dict.fromkeys(keys, Cause("test")),
            loaded.locks,
            loaded.levels,
        )
        before = {lock.key: lock for locks in loaded.locks.values() for lock in locks}
        left_before, left_after = left_of_items(before.values()), left_of_items(after.locks.values())
        for key, lock in after.locks.items():
            stored = before.get(key)
            pieces = stored.locked + stored.short if stored else 0
            level = loaded.levels[lock.sku]
            is_released = stored is not None and stored.held > 0 and not lock.held
            could_be_locked = stored is not None and stored.short > 0 and level.available() > 0
            if pieces != lock.locked + lock.short or could_be_locked or is_released:
                wrong[key[1:]] = (pieces, lock.locked + lock.short)
    return wrong, {item_id for _, item_id in keys if left_after[ACCOUNT, item_id] != left_before[ACCOUNT, item_id]}


@pytest.mark.parametrize("sku_case", SkuCase)
def test_the_query_finds_what_the_rules_find(connection: Connection, stock: StockConnection, sku_case: SkuCase) -> None:
    """For all combinations of statuses, kinds, numbers of pieces, decisions and kinds of SKUs."""
    set_sku_case(stock, sku_case, By("ann@desk", ""))
    import_levels(stock, {"PHONE": 5, "CASE": 5})
    connection.execute("UPDATE stock_levels SET reserved = 5 WHERE sku = 'CASE'")
    import_stock_skus(stock, ALIASES)
    keys = store_rows(connection, list(all_rows()))
    store_random_locks(connection, keys, Random(1))
    store_labels_and_unreported(connection)
    found = {(each.item_id, each.sku): (each.pieces, each.needed) for each in wrong_locks(stock)}
    expected, moving = wrong_by_the_rules(stock, keys)
    assert len(expected) > 1_000 < len(moving)
    assert moving <= {item_id for item_id, _ in found}
    assert found.items() >= expected.items()
    assert {item_id for item_id, _ in found.keys() - expected.keys()} <= moving


@pytest.fixture
def applied(connection: Connection, stock: StockConnection) -> Connection:
    """An order of two pieces that holds one of them, since there is no more."""
    import_levels(stock, {"PHONE": 1})
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=2)]))
    apply_pending(stock)
    assert wrong_locks(stock) == []
    return connection


CANCELLED = "UPDATE order_items SET status = 'cancelled'"


@pytest.mark.parametrize(
    ("statement", "problem", "pieces", "needed"),
    [
        (CANCELLED, "the item needs 0 pieces instead of 2", 2, 0),
        ("UPDATE order_items SET quantity = 3", "the item needs 3 pieces instead of 2", 2, 3),
        ("UPDATE order_items SET shipped = 1", "1 of 1 pieces that left were not taken", 2, 1),
        ("DELETE FROM stock_locks", "the item needs 2 pieces instead of 0", 0, 2),
        ("UPDATE stock_levels SET on_hand = 2", "pieces are available", 2, 2),
    ],
)
def test_a_wrong_lock_is_found_and_repaired(
    applied: Connection, stock: StockConnection, statement: str, problem: str, pieces: int, needed: int
) -> None:
    applied.execute(statement.encode())
    status = "cancelled" if statement == CANCELLED else "accepted"
    assert wrong_locks(stock) == [WrongLock(ACCOUNT, "1", "100", "PHONE", status, pieces, needed, problem)]
    assert repair(stock).transitions.total() == 1
    assert wrong_locks(stock) == []
    causes = applied.execute("SELECT cause FROM stock_lock_history ORDER BY entry_id").fetchall()
    assert causes[-1][0].startswith(problem)


def test_a_lock_under_a_former_sku_is_found_and_repaired(applied: Connection, stock: StockConnection) -> None:
    applied.execute("UPDATE order_items SET sku = 'CASE'")
    assert [(each.sku, each.pieces, each.needed) for each in wrong_locks(stock)] == [("CASE", 0, 2), ("PHONE", 2, 0)]
    repair(stock)
    assert applied.execute("SELECT sku, locked, short FROM stock_locks ORDER BY sku").fetchall() == [
        ("CASE", 0, 2),
        ("PHONE", 0, 0),
    ]
    check_invariants(applied)


def test_a_waiting_lock_of_an_account_that_may_oversell_is_wrong(applied: Connection, stock: StockConnection) -> None:
    oversell = frozenset({ACCOUNT})
    assert [each.problem for each in wrong_locks(stock, oversell)] == ["pieces are available"]
    repair(stock, oversell)
    assert wrong_locks(stock, oversell) == []
    assert applied.execute("SELECT locked, short FROM stock_locks").fetchall() == [(2, 0)]


def test_a_lock_that_a_person_decided_on_is_found_when_it_is_lost(applied: Connection, stock: StockConnection) -> None:
    store_order(applied, StoredOrder("1", [StoredItem("100", quantity=1, status="cancelled")]))
    apply_pending(stock)
    decide(stock, (ACCOUNT, "100"), Decision.LOCK, By("ann@desk", "the buyer calls back"))
    assert wrong_locks(stock) == []
    applied.execute("DELETE FROM stock_locks")
    assert [(each.pieces, each.needed) for each in wrong_locks(stock)] == [(0, 1)]


def test_what_the_stock_job_has_yet_to_look_at_is_not_wrong_yet(applied: Connection, stock: StockConnection) -> None:
    store_order(applied, StoredOrder("1", [StoredItem("100", quantity=3)]))
    assert wrong_locks(stock) == []
    store_order(applied, StoredOrder("1", [StoredItem("100", quantity=3, status="cancelled")]))
    assert wrong_locks(stock) == []
    applied.execute("UPDATE order_events SET applied_at = now()")
    applied.execute("DELETE FROM stock_rechecks")
    assert len(wrong_locks(stock)) == 1


def test_an_event_that_is_not_tried_again_hides_no_wrong_lock(applied: Connection, stock: StockConnection) -> None:
    store_order(applied, StoredOrder("1", [StoredItem("100", quantity=2, status="cancelled")]))
    assert wrong_locks(stock) == []
    applied.execute("UPDATE order_events SET attempts = 5 WHERE applied_at IS NULL")
    assert [each.needed for each in wrong_locks(stock)] == [0]


@pytest.mark.parametrize(("status", "then"), [("accepted", (2, 0)), ("cancelled", (0, 2))])
def test_pieces_that_an_item_never_had_are_given_back_and_not_held(
    applied: Connection, stock: StockConnection, status: str, then: tuple[int, int]
) -> None:
    """The order has a label, so that a cancelled piece may have left; one that the item never had has not."""
    import_levels(stock, {"PHONE": 10})
    store_label(applied, "1")
    applied.execute("UPDATE stock_locks SET locked = 5")
    applied.execute("UPDATE stock_levels SET reserved = 5 WHERE sku = 'PHONE'")
    applied.execute("UPDATE order_items SET status = %s", [status])
    assert [each.pieces for each in wrong_locks(stock)] == [5]
    repair(stock)
    assert applied.execute("SELECT locked, held FROM stock_locks").fetchall() == [then]
    assert applied.execute("SELECT reserved FROM stock_levels WHERE sku = 'PHONE'").fetchone() == (2,)


def test_repair_leaves_right_locks_alone(applied: Connection, stock: StockConnection) -> None:
    assert repair(stock).transitions.total() == 0
    assert applied.execute("SELECT count(*) FROM stock_lock_history").fetchone() == (1,)
