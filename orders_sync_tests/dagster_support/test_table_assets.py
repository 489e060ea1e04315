"""Tables as the catalog shows them."""

import pytest
from sqlalchemy import Table

from orders_sync.dagster_support.table_assets import SYNCED_TABLES, column_schema, table_sizes
from orders_sync.database.engine import Connection
from orders_sync.database.tables.orders import orders
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync


@pytest.mark.parametrize("table", SYNCED_TABLES, ids=lambda table: table.name)
def test_every_column_is_shown_with_its_type(table: Table) -> None:
    shown = column_schema(table).columns
    assert [column.name for column in shown] == [column.name for column in table.columns]
    assert all(column.type for column in shown)


def test_buyers_data_is_tagged_and_meanings_are_shown() -> None:
    columns = {column.name: column for column in column_schema(orders).columns}
    tagged = {name for name, column in columns.items() if "personal_data" in column.tags}
    assert {"shipping_last_name", "billing_street", "buyer_email"} <= tagged
    assert tagged.isdisjoint({"account", "order_id", "status", "currency", "items_total"})
    assert columns["order_id"].description == "The marketplace's id of the order."
    assert columns["order_id"].constraints.nullable is False
    assert columns["buyer_email"].constraints.nullable is True


def test_sizes_are_counted_where_tables_are_small(marketplace: Marketplace, connection: Connection) -> None:
    assert table_sizes(connection) == dict.fromkeys(("orders", "order_items", "care_records", "order_events"), 0)
    an_order(marketplace, 1, skus=("PHONE", "CASE"))
    an_order(marketplace, 2)
    sync(sandbox_account(marketplace))
    assert table_sizes(connection) == {"orders": 2, "order_items": 3, "care_records": 0, "order_events": 2}


def test_sizes_are_postgresqls_estimate_where_tables_are_large(connection: Connection) -> None:
    connection.execute("UPDATE pg_class SET reltuples = 300000 WHERE relname = 'orders'")
    assert table_sizes(connection)["orders"] == 300_000
