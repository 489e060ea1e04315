"""The rules that every stored order must keep: each pass looks at the orders that it stored, the nightly job at all."""

from collections.abc import Iterator
from datetime import datetime
from typing import LiteralString, NamedTuple

import dagster as dg

from orders_sync.dagster_support.row_checks import rows_check_result
from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
MAX_CHANGED = 20_000
"""A pass that stored more orders looks at these many of them."""
_ORDERS: LiteralString = "(SELECT * FROM orders WHERE account = %(account)s AND order_id = ANY(%(changed)s))"
_ITEMS: LiteralString = "(SELECT * FROM order_items WHERE account = %(account)s AND order_id = ANY(%(changed)s))"


class OrderRule(NamedTuple):
    """A rule of the tables `orders`, `order_items` and `order_events`, as an asset check."""

    asset: str
    name: str
    """The name of its check."""
    query: LiteralString
    """Finds the rows that break it. {orders} and {items}: the two tables, or what a pass has stored of them."""
    severity: dg.AssetCheckSeverity
    description: str

    def of_all(self) -> LiteralString:
        """The query of all orders."""
        return self.query.format(orders="orders", items="order_items")

    def of_changed(self) -> LiteralString:
        """The query of the orders `changed` of the `account`, its two parameters."""
        return self.query.format(orders=_ORDERS, items=_ITEMS)


ORDER_RULES = (
    OrderRule(
        "orders",
        "every_order_has_items",
        """
SELECT account, order_id FROM {orders} placed
WHERE NOT EXISTS (SELECT FROM order_items item WHERE (item.account, item.order_id) = (placed.account, placed.order_id))
""",
        ERROR,
        "Orders without items.",
    ),
    OrderRule(
        "orders",
        "totals_add_up",
        """
SELECT placed.account, placed.order_id, placed.items_total::text AS order_total, sum(item.price)::text AS items_total
FROM {orders} placed JOIN {items} item USING (account, order_id)
WHERE item.status <> 'removed' AND placed.items_total IS NOT NULL
GROUP BY placed.account, placed.order_id, placed.items_total
HAVING count(*) = count(item.price) AND placed.items_total <> sum(item.price)
""",
        WARN,
        "Orders whose total is not the sum of the prices of their items.",
    ),
    OrderRule(
        "orders",
        "states_are_known",
        """
SELECT account, order_id, '' AS item_id, marketplace_state FROM {orders} placed WHERE status = 'unknown'
UNION ALL
SELECT account, order_id, item_id, marketplace_state FROM {items} item WHERE status = 'unknown'
""",
        WARN,
        "States that the marketplace has not published.",
    ),
    OrderRule(
        "order_events",
        "every_order_created_once",
        """
SELECT placed.account, placed.order_id, count(event.event_id) AS created_events
FROM {orders} placed LEFT JOIN order_events event
  ON (event.account, event.order_id, event.kind) = (placed.account, placed.order_id, 'OrderCreated')
GROUP BY placed.account, placed.order_id HAVING count(event.event_id) <> 1
""",
        ERROR,
        "Orders that do not have one OrderCreated event.",
    ),
)


def broken_rules(
    connection: Connection, lane: Lane, run_id: str, since: datetime, until: datetime | None = None
) -> Iterator[dg.AssetCheckEvaluation]:
    """A failed evaluation of each rule that an order breaks which was stored in the lane's account in a time.

    `until`: None: up to now.
    A rule that no such order breaks has none: whether all orders keep it, only the nightly look at all shows.
    """
    changed = [order_id for (order_id,) in connection.execute(_CHANGED, [lane.account, since, until, MAX_CHANGED])]
    if not changed:
        return
    for rule in ORDER_RULES:
        cursor = connection.execute(rule.of_changed(), {"account": lane.account, "changed": changed})
        names = [column.name for column in cursor.description or []]
        if rows := cursor.fetchall():
            found = rows_check_result(names, rows, rule.severity)
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(rule.asset),
                check_name=rule.name,
                passed=False,
                severity=rule.severity,
                description=f"Among the orders that a pass of {lane} stored.",
                metadata={**found.metadata, "run": dg.MetadataValue.dagster_run(run_id)},
            )


_CHANGED: LiteralString = """
SELECT order_id FROM orders WHERE account = %s AND stored_at BETWEEN %s AND coalesce(%s::timestamptz, 'infinity')
ORDER BY stored_at DESC LIMIT %s
"""
