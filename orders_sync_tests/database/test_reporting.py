"""The schema reporting: each view and column has a meaning, none has a buyer, and none is taken back."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.views import reporting_views, tables_picture
from orders_sync.config.account import SellerAccount
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.database.rights import HIDDEN
from orders_sync.database.tables import metadata
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.marketplace import Marketplace, an_order, sync

RELEASED = Path(__file__).parent / "released_views.yaml"
"""The columns of the views, and their types, that were released. Lines are added to it, and never changed."""
COLUMNS = """
SELECT view.relname, attribute.attname, format_type(atttypid, atttypmod), col_description(view.oid, attnum),
  obj_description(view.oid)
FROM pg_class view JOIN pg_attribute attribute ON attrelid = view.oid
WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v' AND attnum > 0 ORDER BY view.relname, attnum
"""


def stored(connection: Connection) -> dict[str, dict[str, str]]:
    """The columns of each view, with their types."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for view, column, kind, _, _ in connection.execute(COLUMNS):
        found[view][column] = kind
    return dict(found)


def test_every_view_and_column_has_its_meaning_in_the_database(connection: Connection) -> None:
    rows = connection.execute(COLUMNS).fetchall()
    found = {(view, column): (text, comment) for view, column, _, text, comment in rows}
    expected = {
        (name, column): (text, view.comment)
        for name, view in reporting_views().items()
        for column, text in view.columns.items()
    }
    assert found == expected


def test_no_released_column_is_taken_back_or_changed(connection: Connection) -> None:
    released: dict[str, dict[str, str]] = yaml.safe_load(RELEASED.read_text())
    present = stored(connection)
    lost = [
        f"{view}.{column}" for view, columns in released.items() for column, kind in columns.items()
        if present.get(view, {}).get(column) != kind
    ]  # fmt: skip
    assert lost == []
    assert present == released, "add what is new to released_views.yaml"


def test_no_view_has_a_buyers_data(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    personal = {
        column.name
        for table in metadata.tables.values()
        for column in table.columns
        if column.info.get("personal_data")
    }
    named = {column for view in reporting_views().values() for column in view.columns}
    assert not named & personal
    assert not named & (HIDDEN - {"items"}), "`items` of care_records is a number"
    an_order(marketplace, 1, tracking_number="TRACK-1", delivery_note="https://x.example.com/n.pdf")
    sync(account)
    for view in reporting_views():
        text = str(connection.execute(f"SELECT * FROM reporting.{view}".encode()).fetchall())
        for secret in ("Victor", "Hugo", "Paris", "TRACK-1", "x.example.com"):
            assert secret not in text, view


def test_the_views_show_orders_items_locks_and_the_days(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    connection.execute("INSERT INTO stock_levels (sku, on_hand, imported_at) VALUES ('PHONE', 1, now())")
    an_order(marketplace, 1, skus=("PHONE", "CASE"), quantity=2)
    sync(account)
    apply_pending(StockConnection(connection))

    def one(query: str) -> tuple[Any, ...]:
        (row,) = connection.execute(query.encode())
        return row

    assert one("SELECT status, lines, pieces, items_total::text, has_label FROM reporting.orders") == (
        "accepted", 2, 4, "200.00", False,
    )  # fmt: skip
    assert one("SELECT quantity, locked, short FROM reporting.order_items WHERE sku = 'PHONE'") == (2, 1, 1)
    assert one("SELECT on_hand, reserved, available, short FROM reporting.stock WHERE sku = 'PHONE'") == (1, 1, 0, 1)
    assert one("SELECT orders, currency, items_total::text FROM reporting.days") == (1, "EUR", "200.00")
    assert one("SELECT created, outcome FROM reporting.lane_runs") == (1, "succeeded")
    assert one("SELECT count(*) FROM reporting.status_changes") == (1,)


QUESTIONS = re.findall(r"^```sql\n(.*?)^```", (PROJECT_ROOT / "docs" / "data.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_of_the_page_is_answered(
    question: str, marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    for number in range(12):
        an_order(marketplace, number + 1)
    sync(account)
    apply_pending(StockConnection(connection))
    answer = connection.execute(question.encode())
    assert answer.description is not None
    answer.fetchall()


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) == 10


def test_the_picture_shows_what_belongs_to_an_order() -> None:
    picture = tables_picture()
    for child in ("order_items", "order_changes", "order_events", "stock_locks"):
        assert f'orders ||--o{{ {child} : "account, order_id"' in picture
    assert 'order_items ||--o{ stock_locks : "account, item_id"' in picture


def test_numbers_that_are_too_large_for_a_view_stop_no_query(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    sync(account)
    connection.execute("UPDATE order_items SET quantity = 2000000000")
    assert connection.execute("SELECT pieces FROM reporting.orders").fetchall() == [(2**31 - 1,)]


def test_an_item_without_a_time_is_as_old_as_its_order(
    marketplace: Marketplace, account: SellerAccount, connection: Connection
) -> None:
    """Refurbed gives its items none."""
    an_order(marketplace, 1)
    sync(account)
    connection.execute("UPDATE order_items SET created_at = NULL")
    rows = connection.execute(
        "SELECT item.created_at = placed.created_at FROM reporting.order_items item "
        "JOIN reporting.orders placed USING (account, order_id)"
    )
    assert rows.fetchall() == [(True,)]
