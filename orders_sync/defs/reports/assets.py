"""Reports for people: the daily summary with its plot."""

from typing import Any

import dagster as dg

from orders_sync.dagster_support.metadata import plot, rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables

SHOWN_DAYS = 14


@dg.asset(
    deps=["orders", "order_items", "stock_locks"],
    group_name="reports",
    owners=["team:orders"],
    kinds={"pandas", "postgres"},
    pool="reports",
    description="Orders, items, revenue, cancellations and orders without their documents, by account and day.",
    metadata={
        "dagster/column_schema": column_schema(tables.reports.daily_summary),
        "dagster/table_name": "daily_summary",
    },
)
def daily_summary(orders_database: OrdersDatabase) -> dg.MaterializeResult[Any]:
    """Computes the summary anew and stores it; the metadata shows its latest days and the plot."""
    # It loads pandas, which takes a second and 60 MB that no other run, and no code server, should spend.
    from orders_sync.reports.daily import refresh_daily_summary
    from orders_sync.reports.plots import summary_plot

    with orders_database.engine() as engine:
        summary = refresh_daily_summary(engine)
    metadata: dict[str, Any] = {"dagster/row_count": len(summary)}
    if not summary.empty:
        latest = summary.sort_values(["day", "account"], ascending=False).head(SHOWN_DAYS)
        metadata |= {
            "orders": int(summary["orders"].sum()),
            "incomplete_documents": int(summary["incomplete_documents"].sum()),
            "plot": plot("orders and cancelled items by day", summary_plot(summary)),
            "latest days": rows_table(list(latest.columns), latest.itertuples(index=False)),
        }
    return dg.MaterializeResult(metadata=metadata)
