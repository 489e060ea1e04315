"""The daily summary: what counts as sold, by account, day and currency."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from orders_sync.database.engine import Connection, engine
from orders_sync.model.statuses import Status
from orders_sync.reports.daily import COLUMNS, refresh_daily_summary, summarise
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync

DAY = date(2026, 3, 1)


def orders(*rows: tuple[str, str, date, str, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["account", "order_id", "day", "currency", "incomplete"])


def items(*rows: tuple[str, str, int, Decimal | None, Status]) -> pd.DataFrame:
    values = [(*row[:4], str(row[4])) for row in rows]
    return pd.DataFrame(values, columns=["account", "order_id", "quantity", "price", "status"])


def rows_of(summary: pd.DataFrame) -> list[dict[Any, Any]]:
    return summary.to_dict("records")


def test_one_row_an_account_day_and_currency() -> None:
    placed = orders(
        ("a", "1", DAY, "EUR", True), ("a", "2", DAY, "EUR", False), ("a", "3", DAY, "USD", False),
        ("a", "4", DAY + timedelta(days=1), "EUR", False), ("b", "1", DAY, "EUR", True),
    )  # fmt: skip
    sold = items(
        ("a", "1", 2, Decimal("20.00"), Status.ACCEPTED), ("a", "2", 1, Decimal("0.10"), Status.SHIPPED),
        ("a", "3", 1, Decimal("7.00"), Status.PENDING), ("a", "4", 1, Decimal("1.00"), Status.ACCEPTED),
        ("b", "1", 5, Decimal("2.00"), Status.ACCEPTED),
    )  # fmt: skip
    summary = summarise(placed, sold)
    assert list(summary.columns) == COLUMNS
    found = [(r["account"], r["day"], r["currency"], r["orders"], r["items"], r["revenue"]) for r in rows_of(summary)]
    assert found == [
        ("a", DAY, "EUR", 2, 3, Decimal("20.10")), ("a", DAY, "USD", 1, 1, Decimal("7.00")),
        ("a", DAY + timedelta(days=1), "EUR", 1, 1, Decimal("1.00")), ("b", DAY, "EUR", 1, 5, Decimal("2.00")),
    ]  # fmt: skip
    assert list(summary["incomplete_documents"]) == [1, 0, 0, 1]


@pytest.mark.parametrize("status", list(Status))
def test_what_was_cancelled_is_no_revenue(status: Status) -> None:
    """As the column `cancelled_items` says: what did not leave, or was never paid."""
    (row,) = rows_of(summarise(orders(("a", "1", DAY, "EUR", False)), items(("a", "1", 3, Decimal("9.00"), status))))
    not_sold = status in (Status.CANCELLED, Status.REFUNDED_BEFORE_SHIPPING, Status.UNPAID, Status.REMOVED)
    assert (row["items"], row["revenue"], row["cancelled_items"]) == (
        (0, 0, 3) if not_sold else (3, Decimal("9.00"), 0)
    )


def test_orders_without_items_and_items_without_price_count_as_nothing() -> None:
    placed = orders(("a", "1", DAY, "EUR", False), ("a", "2", DAY, "EUR", False))
    (row,) = rows_of(summarise(placed, items(("a", "1", 1, None, Status.ACCEPTED))))
    assert (row["orders"], row["items"], row["revenue"], row["cancelled_items"]) == (2, 1, 0, 0)


def test_no_orders_are_an_empty_summary() -> None:
    assert list(summarise(orders(), items()).columns) == COLUMNS
    assert summarise(orders(), items()).empty


def test_it_is_computed_from_the_tables_and_replaces_the_stored_one(
    marketplace: Marketplace, connection: Connection
) -> None:
    account = sandbox_account(marketplace)
    an_order(marketplace, 1, price="10.10", skus=("PHONE", "CASE"), age=timedelta(minutes=1))
    an_order(marketplace, 2, price="5.00", age=timedelta(minutes=1))
    an_order(marketplace, 3, price="3.00", age=timedelta(days=92, hours=1))
    sync(account, "modified")
    stored = "SELECT account, currency, orders, items, revenue::text, cancelled_items FROM daily_summary"
    assert len(refresh_daily_summary(engine())) == 1
    assert connection.execute(stored).fetchall() == [("shop", "EUR", 2, 3, "25.20", 0)]
    marketplace.set_states(2, 9, 4)
    sync(account, "modified")
    refresh_daily_summary(engine())
    assert connection.execute(stored).fetchall() == [("shop", "EUR", 2, 2, "20.20", 1)]
    connection.execute("DELETE FROM orders")
    refresh_daily_summary(engine())
    assert connection.execute(stored).fetchall() == []
