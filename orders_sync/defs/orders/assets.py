"""The synced tables in the lineage: the accounts' syncs write them; stock and reports read them."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from orders_sync.config.account_files import is_account_name
from orders_sync.config.pages import ORDERS_PAGE, WAITING_PAGE
from orders_sync.dagster_instance.lane_assets import lane_key
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.table_assets import column_schema, table_sizes
from orders_sync.database import tables
from orders_sync.marketplaces.kit.accounts import account_names
from orders_sync.model.lane import Lane, SyncType

GROUP = "orders"
OWNERS = ["team:orders"]


def _written_by(*sync_types: SyncType) -> list[dg.AssetKey]:
    names = filter(is_account_name, account_names())
    return [lane_key(Lane(name, sync_type)) for name in names for sync_type in sync_types]


def _table(
    name: str, deps: list[dg.AssetKey], description: str, links: Mapping[str, dg.MetadataValue[Any]] | None = None
) -> dg.AssetSpec:
    table = tables.metadata.tables[name]
    return dg.AssetSpec(
        name,
        deps=deps,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"table", "postgres"},
        description=description,
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": name, **(links or {})},
    )


_LINK_TO_ORDERS = {"orders and their history": dg.MetadataValue.url(ORDERS_PAGE)}
TABLES = (
    _table(
        "orders",
        _written_by(SyncType.NEW, SyncType.MODIFIED, SyncType.INCOMPLETE),
        "Every order of every account, as its marketplace has it.",
        _LINK_TO_ORDERS,
    ),
    _table(
        "order_items",
        _written_by(SyncType.NEW, SyncType.MODIFIED, SyncType.CARE),
        "Every order item (orderline), with the id of its latest care record.",
        {"waiting orderlines": dg.MetadataValue.url(WAITING_PAGE)},
    ),
    _table("care_records", _written_by(SyncType.CARE), "Replacements, returns and refunds."),
    _table(
        "order_events",
        _written_by(SyncType.NEW, SyncType.MODIFIED),
        "The outbox: `OrderCreated` and `OrderStatusChanged`, each written in the transaction of its change.",
    ),
)


@dg.multi_observable_source_asset(specs=TABLES)
def synced_tables(orders_database: OrdersDatabase) -> Iterator[dg.ObserveResult]:
    """Shows the number of rows of each table, between the syncs.

    A pass shows none of this: each event of a table costs, and makes the last result of its checks look outdated.
    """
    with orders_database.connect("table sizes") as connection:
        for table, rows in table_sizes(connection).items():
            yield dg.ObserveResult(asset_key=table, metadata={"dagster/row_count": rows})
