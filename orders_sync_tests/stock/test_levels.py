"""Stock levels: a file's errors name the line, and an import never hides that too much is promised."""

from pathlib import Path

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.csv_files import StockFileError
from orders_sync.stock.explain import explain
from orders_sync.stock.levels import Count, import_levels, read_stock_file
from orders_sync.stock.sku_case import SkuCase
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sync


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
    ],
)
def test_an_error_names_the_line_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(StockFileError) as problem:
        read_stock_file(tmp_path / "s.csv")
    assert message in str(problem.value)


def test_two_spellings_of_a_sku_are_an_error_if_case_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("sku,on_hand\na,1\nB,3\nA,2\n")
    assert read_stock_file(tmp_path / "s.csv") == {"a": Count(1), "B": Count(3), "A": Count(2)}
    with pytest.raises(StockFileError, match="line 4: SKU A differs only in case from a in line 2"):
        read_stock_file(tmp_path / "s.csv", SkuCase.IGNORE)


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
