"""The daily summary: orders, items, revenue, cancellations and missing documents by account and day."""

import pandas as pd
from sqlalchemy import Engine, delete, insert, text

from orders_sync.database.tables.reports import daily_summary
from orders_sync.model.statuses import DELIVERY_NOTE_DUE, LABEL_DUE, Status

DAYS = 92
"""How many days back the report goes."""
NOT_SOLD = (Status.CANCELLED, Status.REFUNDED_BEFORE_SHIPPING, Status.UNPAID, Status.REMOVED)
COLUMNS = ["account", "day", "currency", "orders", "items", "revenue", "cancelled_items", "incomplete_documents"]

_ORDERS = text("""
SELECT account, order_id, (created_at AT TIME ZONE 'UTC')::date AS day, coalesce(currency, '?') AS currency,
  buyer_data_blanked_at IS NULL AND (
    (delivery_note_url IS NULL AND marketplace_delivery_note IS NOT FALSE AND status = ANY(:note_due))
    OR (label_url IS NULL AND marketplace_shipping IS NOT FALSE AND status = ANY(:label_due))) AS incomplete
FROM orders WHERE created_at >= now() - make_interval(days => :days)
""")
_ITEMS = text("""
SELECT item.account, item.order_id, item.quantity, item.price, item.status
FROM order_items item JOIN orders placed USING (account, order_id)
WHERE placed.created_at >= now() - make_interval(days => :days)
""")


def refresh_daily_summary(engine: Engine) -> pd.DataFrame:
    """Computes the summary of the last days, stores it in the table daily_summary, and returns it.

    Columns as COLUMNS; `day` is a UTC date, `revenue` a Decimal in the row's currency.
    """
    with engine.begin() as connection:
        orders = pd.read_sql(
            _ORDERS,
            connection,
            params={"days": DAYS, "note_due": list(DELIVERY_NOTE_DUE), "label_due": list(LABEL_DUE)},
        )
        items = pd.read_sql(_ITEMS, connection, params={"days": DAYS}, coerce_float=False)  # prices stay Decimal
        summary = summarise(orders, items)
        connection.execute(delete(daily_summary))
        if not summary.empty:
            rows = [dict(zip(COLUMNS, row, strict=True)) for row in summary.itertuples(index=False)]
            connection.execute(insert(daily_summary), rows)
    return summary


def summarise(orders: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """One row for each account, day and currency."""
    if orders.empty:
        return pd.DataFrame(columns=COLUMNS)
    sold = ~items["status"].isin([str(status) for status in NOT_SOLD])
    items = items.assign(
        items=items["quantity"].where(sold, 0),
        revenue=items["price"].where(sold, None),
        cancelled_items=items["quantity"].where(~sold, 0),
    )
    by_order = items.groupby(["account", "order_id"], as_index=False).agg(
        items=("items", "sum"),
        revenue=(
            "revenue",
            lambda prices: sum(price for price in prices if price is not None and price == price),
        ),
        cancelled_items=("cancelled_items", "sum"),
    )
    joined = orders.merge(by_order, on=["account", "order_id"], how="left").fillna(
        {"items": 0, "revenue": 0, "cancelled_items": 0}
    )
    summary = joined.groupby(["account", "day", "currency"], as_index=False).agg(
        orders=("order_id", "count"),
        items=("items", "sum"),
        revenue=("revenue", "sum"),
        cancelled_items=("cancelled_items", "sum"),
        incomplete_documents=("incomplete", "sum"),
    )
    whole = ["orders", "items", "cancelled_items", "incomplete_documents"]
    return summary.astype(dict.fromkeys(whole, int))[COLUMNS]
