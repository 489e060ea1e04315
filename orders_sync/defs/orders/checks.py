"""The rules of the synced tables as asset checks, which show the rows that break them."""

import dagster as dg

from orders_sync.dagster_support.row_checks import rows_check

ITEMS_WITHOUT_ORDER = """
SELECT item.account, item.order_id, item.item_id FROM order_items item
LEFT JOIN orders USING (account, order_id) WHERE orders.order_id IS NULL
"""
ORDERS_WITHOUT_ITEMS = """
SELECT account, order_id FROM orders placed
WHERE NOT EXISTS (SELECT FROM order_items item WHERE (item.account, item.order_id) = (placed.account, placed.order_id))
"""
TOTALS = """
SELECT placed.account, placed.order_id, placed.items_total::text AS order_total, sum(item.price)::text AS items_total
FROM orders placed JOIN order_items item USING (account, order_id)
WHERE item.status <> 'removed' AND placed.items_total IS NOT NULL
GROUP BY placed.account, placed.order_id, placed.items_total
HAVING count(*) = count(item.price) AND placed.items_total <> sum(item.price)
"""
UNKNOWN_STATES = """
SELECT account, order_id, '' AS item_id, marketplace_state FROM orders WHERE status = 'unknown'
UNION ALL
SELECT account, order_id, item_id, marketplace_state FROM order_items WHERE status = 'unknown'
"""
LATE_ORDERS = """
SELECT account, order_id, status, dispatch_due_at::text FROM orders
WHERE status IN ('pending', 'accepted') AND dispatch_due_at < now()
"""
REJECTED = """
SELECT account, kind, record_id, reasons::text, attempts FROM rejected_records
WHERE resolved_at IS NULL AND dismissed_at IS NULL
"""
FLAWS = r"""
SELECT account, kind, regexp_replace(field, '\[\d+\]', '[]', 'g') AS place, found, stored,
  count(DISTINCT record_id) AS records, min(record_id) AS example
FROM record_flaws GROUP BY account, kind, place, found, stored ORDER BY records DESC, account, kind, place
"""
DRIFT = """
SELECT account, kind, field, what, detail, record_id AS example, first_seen_at::text FROM contract_drift
WHERE noted_at IS NULL ORDER BY account, kind, field, what, detail
"""
CREATED_ONCE = """
SELECT placed.account, placed.order_id, count(event.event_id) AS created_events
FROM orders placed LEFT JOIN order_events event
  ON (event.account, event.order_id, event.kind) = (placed.account, placed.order_id, 'OrderCreated')
GROUP BY placed.account, placed.order_id HAVING count(event.event_id) <> 1
"""
UNLINKED = """
SELECT account, care_id, about.item_id, care.kind
FROM care_record_items about JOIN care_records care USING (account, care_id)
WHERE about.linked_at IS NULL AND care.first_stored_at < now() - interval '1 day'
"""
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


every_item_has_its_order = rows_check(
    "order_items", "every_item_has_its_order", ITEMS_WITHOUT_ORDER, ERROR, "Items without an order."
)
every_order_has_items = rows_check(
    "orders", "every_order_has_items", ORDERS_WITHOUT_ITEMS, ERROR, "Orders without items."
)
totals_add_up = rows_check(
    "orders", "totals_add_up", TOTALS, WARN, "Orders whose total is not the sum of the prices of their items."
)
states_are_known = rows_check(
    "orders", "states_are_known", UNKNOWN_STATES, WARN, "States that the marketplace has not published."
)
no_late_orders = rows_check(
    "orders", "no_late_orders", LATE_ORDERS, WARN, "Orders not shipped by the date that the marketplace expects."
)
no_rejected_records = rows_check(
    "orders",
    "no_rejected_records",
    REJECTED,
    WARN,
    "Rejected records that have not passed and were not dismissed.",
)
no_flaws = rows_check(
    "orders", "no_flaws", FLAWS, WARN, "Wrong values of records that are stored nevertheless, grouped by what they are."
)
contract_is_known = rows_check(
    "orders",
    "contract_is_known",
    DRIFT,
    WARN,
    "Fields, types and states of records that their adapter does not know, until a person notes them as seen.",
)
every_order_created_once = rows_check(
    "order_events", "every_order_created_once", CREATED_ONCE, ERROR, "Orders that do not have one OrderCreated event."
)
every_record_is_linked = rows_check(
    "care_records", "every_record_is_linked", UNLINKED, WARN, "Care records whose item is not stored after a day."
)
