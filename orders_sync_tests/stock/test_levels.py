"""Stock levels: a file's errors name the line, and an import never hides that too much is promised."""

from pathlib import Path

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, adjust
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import StockFileError
from orders_sync.stock.explain import explain
from orders_sync.stock.input import StockInputError
from orders_sync.stock.levels import Count, import_levels, read_stock_file
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order


@pytest.mark.parametrize(
    "text", ["sku,on_hand\nA,1\nB,22\n", "\ufeffsku;on_hand\r\nA;1\r\nB;22\r\n", "on_hand,,sku,\n1,,A,\n22,,B,\n,,,"]
)
def test_a_file_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    assert read_stock_file(tmp_path / "s.csv") == {"A": Count(1), "B": Count(22)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("article,count\nA,1\n", "line 1: the columns are article, count; needed are sku, on_hand"),
        ("sku,on_hand\nA,-1\n", "line 2: on_hand of SKU A is '-1'; allowed is a whole number from 0"),
        ("sku,on_hand\nA,1.5\n", "line 2: on_hand of SKU A is '1.5'"),
        ("sku,on_hand\nA,1\nA,2\n", "line 3: SKU A is in the file twice"),
        ("sku,on_hand\n,1\n", "line 2: sku is empty"),
        ("", "line 1: the columns are missing"),
        ("sku,on_hand\nA," + "9" * 5_000, "line 2: on_hand of SKU A is '999"),
        ("sku,on_hand\nA,1\n" + "x" * 201 + ",1", "line 3: sku is 201 characters long; at most 200 are allowed"),
        ("sku,on_hand\nA\x00,1\n", "line 2: sku 'A\\x00' has a character that can't be stored"),
        (
            "sku,on_hand,count_at\nA,1,\n",
            "line 1: the file has a column 'count_at'; allowed are sku, on_hand, counted_at",
        ),
        ("sku,on_hand,on_hand\nA,1,2\n", "line 1: a column is there twice: sku, on_hand, on_hand"),
        ("sku,on_hand\nA,1\nB,2,2026-03-01\n", "line 3: the cell '2026-03-01' has no column"),
        ("sku,on_hand,\nA,1,x\n", "line 2: the cell 'x' has no column"),
        ('sku,on_hand\n"A,1\nB,2\n', "line 3: unexpected end of data"),
        ("sku,on_hand,counted_at\nA,1,0001-01-01T00:00:00+14:00", "line 2: counted_at of SKU A is '0001-01-01T00"),
        ("sku,on_hand,counted_at\nA,1,2099-01-01", "2099-01-01', which is in the future"),
        (
            "sku,on_hand\nA,1\nTür,5\n".encode("latin-1"),
            "line 3: byte 0xfc is not UTF-8; save the file as CSV in UTF-8",
        ),
        ("sku,on_hand\nA,1\n".encode("utf-16"), "line 1: byte 0x"),
    ],
)
def test_an_error_names_the_line_and_what_is_allowed(tmp_path: Path, text: str | bytes, message: str) -> None:
    (tmp_path / "s.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StockFileError) as problem:
        read_stock_file(tmp_path / "s.csv")
    assert message in str(problem.value)


def test_two_spellings_of_a_sku_are_an_error_if_case_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("sku,on_hand\na,1\nB,3\nA,2\n")
    assert read_stock_file(tmp_path / "s.csv") == {"a": Count(1), "B": Count(3), "A": Count(2)}
    with pytest.raises(StockFileError, match="line 4: SKU A differs only in case from a in line 2"):
        read_stock_file(tmp_path / "s.csv", SkuCase.IGNORE)


def test_pieces_are_counted_under_the_sku_of_the_stock_list_alone(stock: StockConnection) -> None:
    skus = [StockSku("", "PHONE-FR", "PHONE", 1), StockSku("", "SET", "PHONE", 1), StockSku("", "SET", "CASE", 2)]
    import_stock_skus(stock, [*skus, StockSku("shop", "OLD", "PHONE", 1)])
    with pytest.raises(
        StockInputError, match="SKU PHONE-FR is an alias of PHONE; SKU SET is a bundle of 2 CASE and PHONE"
    ):
        import_levels(stock, {"PHONE": 1, "PHONE-FR": 7, "SET": 1})
    import_levels(stock, {"PHONE": 1, "PHONE-FR": 0, "OLD": 3})  # other accounts can get OLD
    with pytest.raises(StockInputError, match="PHONE-FR is an alias of PHONE"):
        adjust(stock, "PHONE-FR", 1, By("ann@desk", "found it"))
    assert import_stock_skus(stock, [StockSku("", "OLD", "PHONE", 1)]) == ["OLD"]
    assert adjust(stock, "OLD", -3, By("ann@desk", "they are PHONE's")).on_hand == 0


def test_an_import_that_leaves_too_little_makes_the_newest_locks_short(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 5})
    for number in (1, 2, 3):
        an_order(marketplace, number, quantity=1)
        sync(account)
        apply_pending(stock)
    import_levels(stock, {"PHONE": 2})
    rows = connection.execute("SELECT item_id, state FROM stock_locks ORDER BY item_id").fetchall()
    assert rows == [("100", "locked"), ("200", "locked"), ("300", "short")]
    check_invariants(connection)


@pytest.mark.parametrize(("on_hand", "locked"), [(0, 0), (1, 1), (3, 3), (5, 5)])
def test_a_count_takes_back_what_was_oversold_once_the_account_may_not_oversell_any_more(
    stock: StockConnection, on_hand: int, locked: int
) -> None:
    """One was on hand, and an order of five has them all: what is not on the shelf can't be packed."""
    import_levels(stock, {"PHONE": 1})
    store_order(stock.connection, StoredOrder("1", [StoredItem("100", quantity=5)]))
    apply_pending(stock, frozenset({ACCOUNT}))
    import_levels(stock, {"PHONE": on_hand}, frozenset({ACCOUNT}))
    assert stock.execute("SELECT locked, short FROM stock_locks").fetchall() == [(5, 0)]
    import_levels(stock, {"PHONE": on_hand})
    assert stock.execute("SELECT locked, short FROM stock_locks").fetchall() == [(locked, 5 - locked)]
    check_invariants(stock.connection)


def test_a_lock_is_explained_by_its_events_in_order(
    marketplace: Marketplace, account: SellerAccount, connection: Connection, stock: StockConnection
) -> None:
    import_levels(stock, {"PHONE": 1})
    an_order(marketplace, 1, state=1, line_state=1)
    sync(account)
    apply_pending(stock)
    marketplace.set_states(1, 9, 4)
    sync(account, "modified")
    apply_pending(stock)
    for item_or_sku in ("100", "PHONE", f"{account.name}/100"):
        steps = explain(stock, item_or_sku).transitions
        assert [(s.from_state, s.to_state, s.cause) for s in steps] == [
            (None, "locked", "OrderCreated pending"),
            ("locked", "released", "OrderStatusChanged cancelled"),
        ]
    assert all(step.event_id for step in steps)
