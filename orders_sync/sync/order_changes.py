"""What changed with each revision of an order: written by the merge, before it updates the rows and in its transaction.

Buyer's data and URLs of documents (which may be signed) are named without their values: the retention would have to
blank them here, too.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Cursor
from psycopg.sql import SQL, Composed, Identifier, Literal

from orders_sync.database.engine import Connection
from orders_sync.database.tables.columns import BUYER_COLUMNS, DEVICE_COLUMNS
from orders_sync.sync import staging
from orders_sync.sync.batch import Origin
from orders_sync.sync.copy_columns import EVENT_COLUMNS, EventRow

_NAMED_ONLY = frozenset([*BUYER_COLUMNS, *DEVICE_COLUMNS, "delivery_note_url", "label_url"])


def _change(name: str, after: SQL | Composed, differs: SQL | Composed) -> Composed:
    """A column as a member of a JSON object: `"name": [before, after]`; NULL unless it differs."""
    if name in _NAMED_ONLY:
        return SQL("CASE WHEN {} THEN {} END").format(differs, Literal(f'"{name}":[]'))
    return SQL("CASE WHEN {} THEN {} || json_build_array(stored.{}, {}) END").format(
        differs, Literal(f'"{name}":'), Identifier(name), after
    )


def _kept_where_missing(name: str) -> Composed:
    """For a column that the merge writes with the staged value, or with the stored one where that is missing."""
    staged = SQL("staged.{}").format(Identifier(name))
    differs = SQL("({0} IS NOT NULL AND {0} IS DISTINCT FROM stored.{1})").format(staged, Identifier(name))
    return _change(name, staged, differs)


def _computed(name: str, after: SQL) -> Composed:
    return _change(name, after, SQL("{} <> stored.{}").format(after, Identifier(name)))


def _changes(members: Sequence[Composed]) -> Composed:
    # A text costs a third of jsonb_build_object: only the few columns that differ cost anything.
    return SQL("('{{' || concat_ws(',', {}) || '}}')").format(SQL(", ").join(members))


_ORDER_CHANGES = _changes(
    [
        _change("status", SQL("staged.status"), staging.STATUS_DIFFERS),
        *(_kept_where_missing(name) for name in staging.ORDER_VALUES),
    ]
)
_ITEM_CHANGES = _changes(
    [
        _change("status", SQL("staged.status"), staging.STATUS_DIFFERS),
        _computed("sku", staging.SKU),
        _computed("quantity", staging.QUANTITY),
        _computed("kind", staging.KIND),
        *(_kept_where_missing(name) for name in staging.ITEM_VALUES),
    ]
)
#: Of an item that leaves the order, all that events say of items: it may be one of another order later.
_REMOVED = SQL("json_build_object('status', json_build_array(stored.status, 'removed'), {})::text").format(
    SQL(", ").join(
        SQL("{}, json_build_array(stored.{}, NULL)").format(Literal(name), Identifier(name))
        for name in (
            "sku", "quantity", "kind", "currency", "price", "shipping_price", "fee", "cancelled", "shipped", "refunded",
            "returned",
        )
    )
)  # fmt: skip
#: The first part of `item_changes` is what staged items change, the second are items that the record lists no more, the
#: third are items that move to another order.
_INSERT = SQL("""
WITH item_changes AS MATERIALIZED (  -- else the filter below would compute each change twice
  SELECT staged.order_id, staged.item_id, CASE WHEN stored.order_id = staged.order_id THEN {item_changes}
    ELSE json_build_object('status', json_build_array(NULL, staged.status),
      'sku', json_build_array(NULL, staged.sku), 'quantity', json_build_array(NULL, staged.quantity))::text END
    AS changes
  FROM stage_items staged LEFT JOIN order_items stored USING (account, item_id)
  WHERE staged.order_id = ANY(%(changed)s)
  UNION ALL
  SELECT order_id, item_id, {removed} FROM order_items stored
  WHERE account = %(account)s AND order_id = ANY(%(whole)s) AND status <> 'removed'
    AND NOT EXISTS (SELECT FROM stage_items staged WHERE staged.item_id = stored.item_id)
  UNION ALL
  SELECT stored.order_id, stored.item_id, {removed}
  FROM stage_items staged JOIN order_items stored USING (account, item_id)
  WHERE %(is_moving)s AND stored.order_id <> staged.order_id AND stored.status <> 'removed'
)
INSERT INTO order_changes AS known (account, order_id, revision, written_by, run_id, fields, items)
SELECT stored.account, stored.order_id, stored.revision + 1, %(written_by)s, %(run_id)s,
  CASE WHEN staged.order_id IS NULL THEN '{{}}' ELSE {order_changes}::jsonb END, coalesce(items.changes, '{{}}')
FROM orders stored LEFT JOIN stage_orders staged USING (account, order_id)
LEFT JOIN (SELECT order_id, jsonb_object_agg(item_id, changes::jsonb) AS changes FROM item_changes
  WHERE changes <> '{{}}' GROUP BY order_id) items USING (order_id)
WHERE stored.account = %(account)s AND stored.order_id = ANY(%(changed_or_losing)s)
-- An order that was deleted by hand begins again with revision 1.
ON CONFLICT (account, order_id, revision) DO UPDATE SET
  written_by = excluded.written_by, run_id = excluded.run_id,
  recorded_at = excluded.recorded_at, fields = excluded.fields, items = excluded.items
""").format(item_changes=_ITEM_CHANGES, order_changes=_ORDER_CHANGES, removed=_REMOVED)


def insert_changes(
    cursor: Cursor[tuple[Any, ...]],
    account: str,
    origin: Origin,
    *,
    changed: Sequence[str],
    losing_items: Collection[str],
    is_moving: bool,
    whole: Sequence[str],
) -> None:
    """Writes what the staged orders change. Call it before the rows are updated.

    `changed`: the staged orders that are stored and will be updated. `is_moving`: whether stored items move to other
    orders; `losing_items`: the orders that lose them and are not staged. `whole`: those of `changed` whose stored items
    will be removed unless the record lists them.
    """
    changed_or_losing = sorted({*changed, *losing_items})
    if changed_or_losing:
        cursor.execute(
            _INSERT,
            {
                "account": account, "changed": list(changed), "changed_or_losing": changed_or_losing,
                "is_moving": is_moving, "whole": list(whole), **origin._asdict(),
            },
        )  # fmt: skip


#: The events with the values before of what changed with them; `status` is an event's own column.
_INSERT_EVENTS = SQL("""
INSERT INTO order_events ({columns}, previous)
SELECT event.account, event.order_id, event.item_id, event.kind, event.revision, event.old_status, event.new_status,
  event.items::jsonb,
  (SELECT jsonb_object_agg(key, value->0)
   FROM jsonb_each(CASE WHEN event.item_id = '' THEN changed.fields ELSE changed.items->event.item_id END)
   WHERE key <> 'status' AND value <> '[]' AND event.new_status <> 'removed')
FROM unnest({texts}) WITH ORDINALITY
  AS event (account, order_id, item_id, kind, revision, old_status, new_status, items, position)
LEFT JOIN order_changes changed USING (account, order_id, revision)
ORDER BY event.position
""").format(
    columns=SQL(", ").join(map(Identifier, EVENT_COLUMNS)),
    texts=SQL(", ").join(
        SQL("%s::integer[]") if column == "revision" else SQL("%s::text[]") for column in EVENT_COLUMNS
    ),
)


def insert_events(cursor: Cursor[tuple[Any, ...]], events: Sequence[EventRow]) -> None:
    """Writes events whose changes are written already, each with the values before of what else changed."""
    if events:
        cursor.execute(_INSERT_EVENTS, [list(column) for column in zip(*events, strict=True)])


class OrderChange(NamedTuple):
    """A value that a revision of an order changed."""

    revision: int
    recorded_at: datetime
    """When it was stored, by our clock."""
    written_by: str
    run_id: str
    item_id: str
    """Empty if it is a value of the order itself."""
    field: str
    """The column; empty if the revision changed nothing but the raw record."""
    before: Any
    """None if it was empty, or if `is_named_only`."""
    after: Any
    is_named_only: bool
    """Whether the values are not kept: they are buyer's data, or the URL of a document."""


def changes_of(connection: Connection, account: str, order_id: str) -> list[OrderChange]:
    """What changed with each revision of an order since it was created, the oldest first."""
    changes: list[OrderChange] = []
    for revision, at, by, run_id, fields, items in connection.execute(_CHANGES_OF, [account, order_id]):
        of_revision = [
            OrderChange(revision, at, by, run_id, item_id, field, before, after, not values)
            for item_id, changed in (("", fields), *sorted(items.items()))
            for field, values in sorted(changed.items())
            for before, after in [values or (None, None)]
            if field == "status" or not _is_gone(changed)
        ]
        changes += of_revision or [OrderChange(revision, at, by, run_id, "", "", None, None, False)]
    return changes


def _is_gone(changed: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a change is that an item has left the order: its other values did not change by that."""
    return list(changed.get("status", ()))[1:] == ["removed"]


_CHANGES_OF = """
SELECT revision, recorded_at, written_by, run_id, fields, items FROM order_changes
WHERE account = %s AND order_id = %s ORDER BY revision
"""
