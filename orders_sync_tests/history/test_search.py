"""Orders are found by what people know of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection
from orders_sync.history.search import MAX_FOUND, Query, find_orders
from orders_sync.testing.marketplace import Marketplace, an_order, sync


@pytest.fixture(autouse=True)
def orders(marketplace: Marketplace, account: SellerAccount, connection: Connection) -> None:
    """The orders 1 (a phone, on its way), 2 (a tablet, a week old) and 3 (a phone, a hundred days old)."""
    an_order(marketplace, 1, tracking_number="TRACK-1")
    an_order(marketplace, 2, skus=("TABLET",), age=timedelta(days=7))
    an_order(marketplace, 3, age=timedelta(days=80))
    sync(account, "modified")


def found(connection: Connection, **values: object) -> list[str]:
    query = Query(**values)  # pyright: ignore[reportArgumentType]
    return [each.order_id for each in find_orders(connection, query, ["shop", "another"])]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"text": "2"}, ["2"]),
        ({"text": "300"}, ["3"]),
        ({"text": "PHONE"}, ["1", "3"]),
        ({"text": "TRACK-1"}, ["1"]),
        ({"text": "TRACK"}, []),
        ({"text": "PHONE", "account": "another"}, []),
        ({"text": "PHONE", "account": "shop", "status": "shipped"}, []),
        ({"account": "shop"}, ["1", "2", "3"]),
        ({"status": "accepted"}, ["1", "2", "3"]),
        ({"text": "no\0thing"}, []),
        ({"text": "'; DROP TABLE orders; --"}, []),
    ],
)
def test_by_id_item_sku_tracking_number_account_and_status(
    connection: Connection, values: dict[str, object], expected: list[str]
) -> None:
    assert found(connection, **values) == expected


def test_by_dates(connection: Connection) -> None:
    today = datetime.now(UTC).date()
    assert found(connection, first=today - timedelta(days=8), last=today - timedelta(days=6)) == ["2"]
    assert found(connection, last=today - timedelta(days=30)) == ["3"]
    assert found(connection, text="TABLET", first=today) == []
    assert found(connection, text="2", first=today) == []


def test_skus_of_old_orders_are_found_with_dates_only(connection: Connection) -> None:
    connection.execute("UPDATE orders SET created_at = now() - interval '100 days' WHERE order_id = '3'")
    assert found(connection, text="PHONE") == ["1"]
    assert found(connection, text="PHONE", first=date(2020, 1, 1)) == ["1", "3"]
    assert found(connection, text="3") == ["3"], "by its id, whenever it was ordered"


def test_the_newest_are_shown_and_not_more_than_a_page(
    connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    for number in range(100, 100 + MAX_FOUND + 5):
        an_order(marketplace, number, age=timedelta(minutes=number))
    sync(account, "modified")
    shown = found(connection, text="PHONE")
    assert shown[:2] == ["1", "100"]
    assert len(shown) == MAX_FOUND
