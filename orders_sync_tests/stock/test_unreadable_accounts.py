"""While an account's file has an error, none of its locks gives pieces back: it may be one that may oversell."""

from pathlib import Path

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.marketplaces.kit.accounts import account_names, overselling_accounts
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, adjust
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.stock.queries import failed_events
from orders_sync.stock.unreadable_accounts import UnreadableAccountError
from orders_sync.testing.deployment import write_account
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, at, store_order

ANN = By("ann@desk", "broken")
LOCKS = "SELECT item_id, locked, short, consumed FROM stock_locks ORDER BY item_id"


@pytest.fixture
def broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an account with a misspelt setting."""
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    attributes = {"marketplace": "back_market", "token": "TOKEN", "allow_oversell": True, "acept_orderlines": True}
    return write_account(tmp_path, ACCOUNT, attributes)


def test_nothing_is_taken_back_until_the_file_is_mended(
    connection: Connection, stock: StockConnection, broken_file: Path
) -> None:
    import_levels(stock, {"PHONE": 1, "CASE": 3})
    for number in (1, 2):
        store_order(connection, StoredOrder(str(number), [StoredItem(f"{number}00")], created_at=at(number)))
    apply_pending(stock, frozenset({ACCOUNT}))
    assert account_names() == [ACCOUNT]
    assert overselling_accounts() == frozenset()
    message = "Locks of the account shop would have to give pieces back.*acept_orderlines.*Nothing was changed: mend"
    with pytest.raises(UnreadableAccountError, match=message):
        import_levels(stock, {"PHONE": 0, "CASE": 2})
    with pytest.raises(UnreadableAccountError, match=message):
        adjust(stock, "PHONE", -1, ANN)
    assert stock.execute("SELECT sku, on_hand FROM stock_levels ORDER BY sku").fetchall() == [("CASE", 3), ("PHONE", 1)]
    adjust(stock, "CASE", -3, ANN)  # nobody holds one
    assert stock.execute(LOCKS).fetchall() == [("100", 1, 0, 0), ("200", 1, 0, 0)]
    broken_file.write_text(broken_file.read_text().replace("acept_orderlines", "accept_orderlines"))
    assert overselling_accounts() == {ACCOUNT}
    import_levels(stock, {"PHONE": 0}, overselling_accounts())
    assert stock.execute(LOCKS).fetchall() == [("100", 1, 0, 0), ("200", 1, 0, 0)]


@pytest.mark.usefixtures("broken_file")
def test_pieces_can_come_in_while_the_file_has_an_error(connection: Connection, stock: StockConnection) -> None:
    """Two are locked of one: an import of as many or more pieces, and an adjustment, take nothing back."""
    import_levels(stock, {"PHONE": 1})
    store_order(connection, StoredOrder("1", [StoredItem("100", quantity=2)]))
    apply_pending(stock, frozenset({ACCOUNT}))
    for on_hand in (1, 2):
        import_levels(stock, {"PHONE": on_hand})
    adjust(stock, "PHONE", 1, ANN)
    assert stock.execute(LOCKS).fetchall() == [("100", 2, 0, 0)]
    check_invariants(connection)


@pytest.mark.usefixtures("broken_file")
def test_the_stock_job_takes_nothing_back_either_and_goes_on(connection: Connection, stock: StockConnection) -> None:
    """A piece leaves that no lock held: another account's order is first seen as shipped."""
    import_levels(stock, {"PHONE": 1, "CASE": 1}, counted_at=at(-1))
    store_order(connection, StoredOrder("1", [StoredItem("100")], created_at=at(1)))
    apply_pending(stock, frozenset({ACCOUNT}))
    gone = StoredOrder("2", [StoredItem("200", status="shipped")], account="other", created_at=at(2))
    store_order(connection, gone)
    store_order(connection, StoredOrder("3", [StoredItem("300", "CASE")], account="other", created_at=at(3)))
    assert apply_pending(stock).failed == 1
    assert stock.execute(LOCKS).fetchall() == [("100", 1, 0, 0), ("300", 1, 0, 0)]
    [event] = failed_events(stock)
    assert event.order_id == "2"
    assert "mend the file, then try again" in (event.problem or "")
    check_invariants(connection)
