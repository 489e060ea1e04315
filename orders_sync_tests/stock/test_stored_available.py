"""stock_available has the numbers of now, whatever changed them, and only what has changed is computed."""

from collections.abc import Callable

import pytest

from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending, lock_orders
from orders_sync.stock.available import Buffer, available_to_sell, set_buffer
from orders_sync.stock.available_position import (
    is_behind,
    lock_position,
    position_now,
    recompute,
    skus_changed_since,
)
from orders_sync.stock.by_hand import By, adjust, decide, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.stored_available import AvailableTotals, available_totals, scarcest_available, store_available
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "says so")
ACCOUNTS = [ACCOUNT, "other"]
SKUS = [
    StockSku("", "PHONE-FR", "PHONE", 1),
    StockSku(ACCOUNT, "SET", "PHONE", 1),
    StockSku(ACCOUNT, "SET", "CASE", 2),
]


@pytest.fixture
def offered(connection: Connection, stock: StockConnection) -> StockConnection:
    """Ten phones and ten cases, also sold as aliases and bundles; one order is locked, one has shipped."""
    import_levels(stock, {"PHONE": 10, "CASE": 10}, counted_at=at(-10))
    import_stock_skus(stock, SKUS)
    for number, status in ((1, "accepted"), (2, "shipped")):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00", status=status)], shipped_at=at(1)))
    apply_pending(stock)
    store_available(stock, ACCOUNTS)
    return stock


def stored(stock: StockConnection) -> dict[tuple[str, str], int]:
    rows = stock.execute("SELECT account, sku, available FROM stock_available").fetchall()
    return {(account, sku): available for account, sku, available in rows}


def latest(stock: StockConnection) -> dict[tuple[str, str], int]:
    """The numbers by the history."""
    rows = stock.execute("SELECT account, sku, available FROM stock_available_history ORDER BY entry_id").fetchall()
    return {(account, sku): available for account, sku, available in rows}


def an_order(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("9", [StoredItem("900", "SET", 2)]))
    apply_pending(stock)


def an_order_before_its_acceptance(stock: StockConnection) -> None:
    store_order(stock.connection, StoredOrder("9", [StoredItem("900", "PHONE-FR", 2)]))
    lock_orders(stock, ACCOUNT, ["9"])


ACTS: dict[str, Callable[[StockConnection], object]] = {
    "an import": lambda stock: import_levels(stock, {"PHONE": 3}),
    "a new SKU": lambda stock: import_levels(stock, {"NEW": 0}),
    "an adjustment": lambda stock: adjust(stock, "CASE", -7, ANN),
    "a decision": lambda stock: decide(stock, (ACCOUNT, "100"), Decision.RELEASE, ANN),
    "a return": lambda stock: return_to_stock(stock, {(ACCOUNT, "200"): 1}, ANN),
    "a buffer": lambda stock: set_buffer(stock, Buffer(ACCOUNT, "PHONE", 2, 0)),
    "other aliases": lambda stock: import_stock_skus(stock, [StockSku("other", "SET", "CASE", 3)]),
    "no aliases": lambda stock: import_stock_skus(stock, []),
    "one case of SKUs": lambda stock: set_sku_case(stock, SkuCase.IGNORE, ANN),
    "an order": an_order,
    "an acceptance": an_order_before_its_acceptance,
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_whatever_changes_a_number_is_noticed_and_stored(
    offered: StockConnection, act: Callable[[StockConnection], object]
) -> None:
    assert not is_behind(offered)
    act(offered)
    assert is_behind(offered)
    store_available(offered, ACCOUNTS)
    expected = {(row.account, row.sku): row.available for row in available_to_sell(offered, ACCOUNTS)}
    assert stored(offered) == expected
    assert latest(offered) == dict.fromkeys(latest(offered), 0) | expected
    assert not is_behind(offered)


def test_only_what_has_changed_is_computed(offered: StockConnection) -> None:
    """A number that was changed by hand stays as long as its SKU's stock does."""
    offered.execute("UPDATE stock_available SET available = 77")
    adjust(offered, "CASE", 1, ANN)
    assert store_available(offered, ACCOUNTS) == 3
    assert {key for key, available in stored(offered).items() if available != 77} == {
        (ACCOUNT, "CASE"), ("other", "CASE"), (ACCOUNT, "SET"),
    }  # fmt: skip
    with offered.transaction():
        recompute(offered)
    assert store_available(offered, ACCOUNTS) == 4


def test_nothing_is_written_if_nothing_has_changed(offered: StockConnection) -> None:
    import_levels(offered, {"PHONE": 9, "CASE": 10})
    assert store_available(offered, ACCOUNTS) == 0
    assert not is_behind(offered)


def test_another_account_gets_its_numbers_and_one_that_is_gone_loses_them(offered: StockConnection) -> None:
    store_available(offered, ["other", "third"])
    assert {account for account, _ in stored(offered)} == {"other", "third"}
    assert latest(offered)[ACCOUNT, "PHONE"] == 0


def test_the_stock_job_shows_totals_and_what_is_scarce(offered: StockConnection) -> None:
    import_levels(offered, {"PHONE": 8, "CASE": 9, "NONE": 0})
    store_available(offered, ACCOUNTS)
    assert available_totals(offered) == AvailableTotals(numbers=9, pieces=4 * 7 + 2 * 9 + 4, not_available=2)
    assert [(row.account, row.sku, row.available, row.locked) for row in scarcest_available(offered, 3)] == [
        ("other", "PHONE", 7, 1), ("shop", "PHONE", 7, 1), ("other", "CASE", 9, 0),
    ]  # fmt: skip


def test_without_a_stock_list_nothing_is_behind(connection: Connection, stock: StockConnection) -> None:
    store_order(connection, StoredOrder("1", [StoredItem("100")]))
    apply_pending(stock)
    assert not is_behind(stock)


def test_a_change_that_is_committed_during_a_computation_is_not_lost(
    offered: StockConnection, database_url: str
) -> None:
    """Aliases have no history: their change waits for the computation, and makes it count as not done."""
    with connect(database_url) as connection:
        other = StockConnection(connection)
        with offered.transaction():
            lock_position(offered)
            connection.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                import_stock_skus(other, [])
        connection.execute("SET lock_timeout = 0")
        import_stock_skus(other, [])
    assert is_behind(offered)
    with offered.transaction():
        position = lock_position(offered)
        assert skus_changed_since(offered, position, position_now(offered, ACCOUNTS)) is None
