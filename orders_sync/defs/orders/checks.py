"""The rules of the synced tables as asset checks, which show the rows that break them."""

import dagster as dg

from orders_sync.config.pages import REJECTED_PAGE, STOCK_PAGE
from orders_sync.dagster_support.order_rules import ORDER_RULES
from orders_sync.dagster_support.row_checks import rows_check

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
UNLINKED = """
SELECT account, care_id, about.item_id, care.kind
FROM care_record_items about JOIN care_records care USING (account, care_id)
WHERE about.linked_at IS NULL AND care.first_stored_at < now() - interval '1 day'
"""
ITEMS_WITHOUT_ORDER = """
SELECT item.account, item.order_id, item.item_id FROM order_items item
LEFT JOIN orders USING (account, order_id) WHERE orders.order_id IS NULL
"""
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
NIGHTLY = " All orders are looked at in the night; each pass looks at those that it stored."

_of_rules = {
    rule.name: rows_check(rule.asset, rule.name, rule.of_all(), rule.severity, rule.description + NIGHTLY)
    for rule in ORDER_RULES
}
every_order_has_items = _of_rules["every_order_has_items"]
totals_add_up = _of_rules["totals_add_up"]
states_are_known = _of_rules["states_are_known"]
every_order_created_once = _of_rules["every_order_created_once"]
every_item_has_its_order = rows_check(
    "order_items", "every_item_has_its_order", ITEMS_WITHOUT_ORDER, ERROR, "Items without an order."
)
no_late_orders = rows_check(
    "orders", "no_late_orders", LATE_ORDERS, WARN, "Orders not shipped by the date that the marketplace expects.",
    page=STOCK_PAGE,
)  # fmt: skip
no_rejected_records = rows_check(
    "orders",
    "no_rejected_records",
    REJECTED,
    WARN,
    "Rejected records that have not passed and were not dismissed.",
    page=REJECTED_PAGE,
)
no_flaws = rows_check(
    "orders", "no_flaws", FLAWS, WARN, "Wrong values of records that are stored nevertheless, by what they are.",
    page=REJECTED_PAGE,
)  # fmt: skip
contract_is_known = rows_check(
    "orders",
    "contract_is_known",
    DRIFT,
    WARN,
    "Fields, types and states of records that their adapter does not know, until a person notes them as seen.",
)
every_record_is_linked = rows_check(
    "care_records", "every_record_is_linked", UNLINKED, WARN, "Care records whose item is not stored after a day."
)
