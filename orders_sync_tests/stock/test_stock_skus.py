"""Aliases and bundles: a file's errors name the line, and locks of open items follow an import."""

from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending, pending_events
from orders_sync.stock.by_hand import By, decide
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import StockFileError
from orders_sync.stock.input import StockInputError
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus, read_stock_skus_file, stored_stock_skus
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ALIAS = StockSku("", "PHONE-FR", "PHONE", 1)
BUNDLE = [StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)]
LOCKS = "SELECT sku, locked, short, consumed FROM stock_locks ORDER BY sku"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sku,stock_sku\nPHONE-FR,PHONE\n", [ALIAS]),
        ("\ufeffstock_sku;sku;pieces\r\n PHONE ; SET ;1\r\nCASE;SET;2", BUNDLE),
        ("account,sku,stock_sku,pieces\nshop,SET,CASE,\n,SET,CASE,3", [
            StockSku("shop", "SET", "CASE", 1),
            StockSku("", "SET", "CASE", 3),
        ]),
    ],
)  # fmt: skip
def test_a_file_is_read(tmp_path: Path, text: str, expected: list[StockSku]) -> None:
    (tmp_path / "skus.csv").write_text(text)
    assert read_stock_skus_file(tmp_path / "skus.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sku,pieces\nA,1\n", "line 1: the columns are sku, pieces; needed are sku, stock_sku"),
        ("sku,stock_sku\n,A\n", "line 2: sku is empty"),
        ("sku,stock_sku\nA,\n", "line 2: stock_sku is empty"),
        ("sku,stock_sku,pieces\nA,B,0\n", "line 2: pieces of SKU A is '0'; allowed is a whole number from 1"),
        ("sku,stock_sku,pieces\nA,B,1.5\n", "line 2: pieces of SKU A is '1.5'"),
        ("sku,stock_sku\nA,B\nA,B\n", "line 3: B is in the file twice for SKU A"),
        ("sku,stock_sku\nA," + "b" * 201, "line 2: stock_sku is 201 characters long"),
        ("sku,stock_sku,pieces\nA,B," + "9" * 5_000, "line 2: pieces of SKU A is '999"),
        (
            "sku,stock_sku,number\nA,B,2\n",
            "line 1: the file has a column 'number'; allowed are sku, stock_sku, account, pi",
        ),
        ("sku,stock_sku\n", "line 1: no line follows, and the import would remove all aliases and bundles"),
    ],
)
def test_an_error_names_the_line_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "skus.csv").write_text(text)
    with pytest.raises(StockFileError) as problem:
        read_stock_skus_file(tmp_path / "skus.csv")
    assert message in str(problem.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set,PHONE\nCASE-FR,CASE\nSET,CASE\n", "line 4: SKU SET differs only in case from set in line 2"),
        ("SET,phone\nSET,CASE\nSET,PHONE\n", "line 4: SKU PHONE differs only in case from phone in line 2"),
    ],
)
def test_two_spellings_of_a_sku_are_an_error_if_case_is_ignored(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "skus.csv").write_text(f"sku,stock_sku\n{text}")
    assert len(read_stock_skus_file(tmp_path / "skus.csv")) == 3
    with pytest.raises(StockFileError, match=message):
        read_stock_skus_file(tmp_path / "skus.csv", SkuCase.IGNORE)


def test_an_import_replaces_what_was_imported_before(stock: StockConnection) -> None:
    import_stock_skus(stock, [ALIAS])
    import_stock_skus(stock, BUNDLE)
    assert stored_stock_skus(stock) == sorted(BUNDLE)
    import_stock_skus(stock, [])
    assert stored_stock_skus(stock) == []


@pytest.mark.parametrize(
    "skus",
    [
        [StockSku("", "set", "PHONE", 1), StockSku("", "SET", "CASE", 1)],
        [StockSku("", "SET", "case", 1), StockSku("", "SET", "CASE", 1)],
    ],
)
def test_skus_that_are_one_by_the_rule_are_an_error(stock: StockConnection, skus: list[StockSku]) -> None:
    """So they are when the rule changed after the file was read."""
    set_sku_case(stock, SkuCase.IGNORE, By("ann@desk", ""))
    with pytest.raises(StockInputError, match="SKUs differ only in case or spaces, and are one"):
        import_stock_skus(stock, skus)


def test_the_locks_of_open_items_follow_and_what_left_has_left(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 5, "CASE": 1, "SET": 5}, counted_at=at(0))
    store_order(connection, StoredOrder("1", [StoredItem("100", "SET")]))
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("SET", 1, 0, 0)]
    import_stock_skus(stock, BUNDLE)
    assert pending_events(stock) == 1
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("CASE", 1, 1, 0), ("PHONE", 1, 0, 0), ("SET", 0, 0, 0)]
    check_invariants(connection)
    shipped = StoredOrder("1", [StoredItem("100", "SET", status="shipped")], modified_at=at(10))
    store_order(connection, shipped)
    import_stock_skus(stock, [])
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("CASE", 0, 0, 0), ("PHONE", 0, 0, 0), ("SET", 0, 0, 1)]
    import_stock_skus(stock, BUNDLE)
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("CASE", 0, 0, 0), ("PHONE", 0, 0, 0), ("SET", 0, 0, 1)]
    check_invariants(connection)


def test_an_import_that_changes_nothing_gives_the_stock_job_nothing_to_do(
    connection: Connection, stock: StockConnection
) -> None:
    import_stock_skus(stock, BUNDLE)
    store_order(connection, StoredOrder("1", [StoredItem("100", "SET")]))
    apply_pending(stock)
    import_stock_skus(stock, BUNDLE)
    assert pending_events(stock) == 0


def test_two_skus_of_one_piece_share_it(connection: Connection, stock: StockConnection) -> None:
    """The same phone is offered under two SKUs, and there is one."""
    import_levels(stock, {"PHONE": 1})
    import_stock_skus(stock, [ALIAS, StockSku(ACCOUNT, "PHONE-DE", "PHONE", 1)])
    for number, sku in ((1, "PHONE-FR"), (2, "PHONE-DE")):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00", sku)], created_at=at(number)))
    apply_pending(stock)
    rows = connection.execute("SELECT item_id, sku, locked, short FROM stock_locks ORDER BY item_id").fetchall()
    assert rows == [("100", "PHONE", 1, 0), ("200", "PHONE", 0, 1)]
    check_invariants(connection)


def test_the_lock_of_an_item_that_a_person_decided_on_follows_as_well(
    connection: Connection, stock: StockConnection
) -> None:
    """Found by `make stress`: only open items were looked at."""
    import_levels(stock, {"PHONE": 1})
    store_order(connection, StoredOrder("1", [StoredItem("100", "PHONE-FR", status="awaiting_payment")]))
    apply_pending(stock)
    decide(stock, (ACCOUNT, "100"), Decision.LOCK, By("ann@desk", "he pays cash"))
    import_stock_skus(stock, [ALIAS])
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("PHONE", 1, 0, 0), ("PHONE-FR", 0, 0, 0)]
    check_invariants(connection)


def test_a_lock_that_the_status_keeps_follows_as_well(connection: Connection, stock: StockConnection) -> None:
    import_levels(stock, {"PHONE": 5, "OTHER": 5}, counted_at=at(0))
    store_order(connection, StoredOrder("1", [StoredItem("100", "PHONE-FR", quantity=3)]))
    import_stock_skus(stock, [ALIAS])
    apply_pending(stock)
    store_order(connection, StoredOrder("1", [StoredItem("100", "PHONE-FR", 3, "awaiting_payment")]))
    apply_pending(stock)
    import_stock_skus(stock, [ALIAS._replace(stock_sku="OTHER")])
    apply_pending(stock)
    assert connection.execute(LOCKS).fetchall() == [("OTHER", 3, 0, 0), ("PHONE", 0, 0, 0)]
    check_invariants(connection)
