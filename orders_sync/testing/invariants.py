"""What must hold in the orders database, whatever an adapter fetched and however a pass ended.

Call `check_invariants` at the end of a test. Each function raises AssertionError, with the rows that break the
invariant, at most ten of them.
"""

from typing import Any

from orders_sync.database.engine import Connection
from orders_sync.model.pass_summary import PassSummary


def check_invariants(connection: Connection) -> None:
    """Checks all invariants that the database alone can show."""
    every_order_was_created_once(connection)
    every_status_change_has_its_event(connection)
    locks_are_right(connection)
    every_departure_is_on_record(connection)
    reserved_is_what_is_locked(connection)
    pieces_are_conserved(connection)
    received_pieces_are_put_away_once(connection)
    stock_is_never_negative(connection)
    every_lock_is_explained(connection)


def every_listed_order_is_stored_or_rejected(
    connection: Connection, account: str, listed: list[dict[str, Any]]
) -> None:
    """No order that the marketplace lists is lost: it is stored, or kept as a rejected record.

    `listed`: the orders in Back Market's form; those in states 0 and 8 don't count, since its API leaves them out.
    """
    expected = {str(order["order_id"]) for order in listed if order.get("state") not in (0, 8)}
    stored = {row[0] for row in _rows(connection, "SELECT order_id FROM orders WHERE account = %s", account)}
    rejected = {
        row[0]
        for row in _rows(
            connection,
            "SELECT record_id FROM rejected_records WHERE account = %s AND resolved_at IS NULL",
            account,
        )
    }
    assert expected <= stored | rejected, f"neither stored nor rejected: {sorted(expected - stored - rejected)[:10]}"


def every_order_was_created_once(connection: Connection) -> None:
    """Every stored order has exactly one event OrderCreated."""
    _nothing(
        connection,
        "orders without exactly one OrderCreated",
        """
        SELECT placed.account, placed.order_id, count(event.event_id) FROM orders placed
        LEFT JOIN order_events event USING (account, order_id)
        WHERE event.kind = 'OrderCreated' OR event.kind IS NULL
        GROUP BY 1, 2 HAVING count(event.event_id) <> 1
        UNION ALL
        SELECT account, order_id, 0 FROM orders placed WHERE NOT EXISTS (
          SELECT FROM order_events event WHERE (event.account, event.order_id) = (placed.account, placed.order_id))
        """,
    )


def every_status_change_has_its_event(connection: Connection) -> None:
    """The events of each order and item form a chain from its creation to its current status."""
    current: dict[tuple[str, str, str], str] = {}
    events = _rows(
        connection,
        "SELECT account, order_id, item_id, kind, old_status, new_status, items FROM order_events "
        "ORDER BY account, order_id, revision, event_id",
    )
    for account, order_id, item_id, kind, old, new, items in events:
        if kind == "OrderCreated":
            assert (account, order_id, "") not in current, f"order {order_id} was created twice"
            current[account, order_id, ""] = new
            for created_id, status in items.items():
                current[account, order_id, created_id] = status
            continue
        subject = f"order {order_id}, item {item_id or '-'}"
        if kind != "OrderStatusChanged":
            assert old == new, f"{subject}: {kind} says that the status changed: {old}, {new}"
            continue
        assert old != new, f"{subject}: an event without a change of status: {old}"
        before = current.get((account, order_id, item_id))
        assert before == old, f"{subject}: an event changes the status from {old}, but it was {before}"
        current[account, order_id, item_id] = new
    stored = {
        (account, order_id, ""): status
        for account, order_id, status in _rows(connection, "SELECT account, order_id, status FROM orders")
    } | {
        (account, order_id, item_id): status
        for account, order_id, item_id, status in _rows(
            connection, "SELECT account, order_id, item_id, status FROM order_items"
        )
    }
    owners = {(account, item_id): order_id for account, order_id, item_id in stored if item_id}
    # For the order that an item left, the item is removed.
    current = {
        (account, order_id, item_id): status
        for (account, order_id, item_id), status in current.items()
        if status != "removed" or owners.get((account, item_id), order_id) == order_id
    }
    assert current == stored, f"statuses that do not match the events: {set(current.items()) ^ set(stored.items())}"


def locks_are_right(connection: Connection) -> None:
    """Every item has the lock that it needs, and what has left the stock has left it.

    It waits for nothing: while events are pending, there is nothing to check.
    """
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.wrong_locks import wrong_locks

    if _rows(connection, "SELECT 1 FROM order_events WHERE applied_at IS NULL LIMIT 1"):
        return
    found = wrong_locks(StockConnection(connection))
    assert not found, f"locks that are not what their items need: {found[:10]}"
    rows = StockConnection(connection).execute(_NOT_CONSUMED).fetchall()
    assert not rows, f"shipped items that are not consumed, or whose consumed pieces do not match: {rows[:10]}"


_NOT_CONSUMED = """
SELECT item.account, item.item_id, item.status, sum(lock.consumed)
FROM (SELECT *, {sku_form} AS form FROM order_items) item
LEFT JOIN stock_locks lock USING (account, item_id)
WHERE item.kind = 'goods' AND item.status IN ('shipped', 'refunded_after_shipping', 'returned')
  AND coalesce((SELECT decision FROM stock_decisions decided
    WHERE decided.account = item.account AND decided.item_id = item.item_id
      AND decision NOT IN ('still_here', 'has_left')
    ORDER BY decision_id DESC LIMIT 1), 'shipped') = 'shipped'
  AND NOT EXISTS (SELECT FROM stock_skus alias WHERE alias.sku = item.form)
GROUP BY item.account, item.item_id, item.status
HAVING coalesce(sum(lock.consumed), 0)
  < coalesce(min(item.shipped), greatest(min(item.quantity - coalesce(item.cancelled, 0)), 0))
"""


def every_departure_is_on_record(connection: Connection) -> None:
    """The pieces of each item that its locks have taken are those of its movements, undone shipments not counted."""
    _nothing(
        connection,
        "items whose departed pieces are not those of their movements",
        """
        SELECT account, item_id, sum(pieces) FROM (
          SELECT account, item_id, item_pieces AS pieces FROM stock_locks
          UNION ALL SELECT account, item_id, CASE kind WHEN 'shipped' THEN -item_pieces ELSE item_pieces END
          FROM stock_movements WHERE kind IN ('shipped', 'not_shipped')) counted
        GROUP BY 1, 2 HAVING sum(pieces) <> 0
        """,
    )


def reserved_is_what_is_locked(connection: Connection) -> None:
    """The reserved pieces of each SKU are those that its locks hold."""
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.queries import reserved_mismatches

    found = reserved_mismatches(StockConnection(connection))
    assert not found, f"SKUs whose reserved pieces are not those of their locks: {found[:10]}"


def pieces_are_conserved(connection: Connection) -> None:
    """The pieces on hand of each SKU are the sum of its movements: counted and returned, less those that left."""
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.queries import on_hand_mismatches

    found = on_hand_mismatches(StockConnection(connection))
    assert not found, f"SKUs whose pieces on hand are not the sum of their movements: {found[:10]}"


def received_pieces_are_put_away_once(connection: Connection) -> None:
    """The pieces of each receipt are in quarantine, on the shelf or scrapped; the movements say the same."""
    _nothing(
        connection,
        "receipts of which more was put away than came back",
        """
        SELECT received_id, received.pieces, sum(away.pieces)
        FROM stock_received received JOIN stock_put_away away USING (received_id)
        GROUP BY 1, 2 HAVING sum(away.pieces) > received.pieces
        """,
    )
    _nothing(
        connection,
        "received pieces that differ from their movements",
        """
        SELECT account, item_id, kind, sku, sum(pieces) FROM (
          SELECT account, item_id, 'received' AS kind, sku, pieces FROM stock_received
          UNION ALL
          SELECT account, item_id, away.kind, coalesce(away.sku, received.sku), away.pieces
          FROM stock_put_away away JOIN stock_received received USING (received_id)
          UNION ALL
          SELECT account, item_id, kind, sku, CASE kind WHEN 'scrapped' THEN pieces ELSE -pieces END
          FROM stock_movements WHERE kind IN ('received', 'shelved', 'scrapped')) counted
        GROUP BY 1, 2, 3, 4 HAVING sum(pieces) <> 0
        """,
    )


def stock_is_never_negative(connection: Connection) -> None:
    """The available pieces of each SKU are zero or more."""
    _nothing(
        connection,
        "SKUs with an available quantity below zero",
        "SELECT sku, on_hand, reserved FROM stock_levels WHERE coalesce(on_hand, 0) - reserved < 0",
    )


def every_lock_is_explained(connection: Connection) -> None:
    """The entries of the lock history form a chain that ends at each lock's state and pieces."""
    state: dict[tuple[str, ...], tuple[str | int, ...]] = {}
    for account, item_id, sku, before, *after in _rows(
        connection,
        "SELECT account, item_id, sku, from_state, to_state, locked, short, consumed, held FROM stock_lock_history "
        "ORDER BY entry_id",
    ):
        key = (account, item_id, sku)
        last = state[key][0] if key in state else None
        assert last == before, f"item {item_id}: a history entry starts at {before}"
        state[key] = tuple(after)
    locks = {
        (account, item_id, sku): tuple(after)
        for account, item_id, sku, *after in _rows(
            connection, "SELECT account, item_id, sku, state, locked, short, consumed, held FROM stock_locks"
        )
    }
    assert state == locks, f"locks that do not match their history: {set(state.items()) ^ set(locks.items())}"


def nothing_changed(summary: PassSummary) -> None:
    """A repeated pass has created, changed and published nothing; `summary` is its result."""
    assert (summary.created, summary.changed, summary.events) == (0, 0, 0), summary.numbers()


def snapshot(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of orders, items, care records and events, without the times that our own clock set.

    Two equal snapshots mean that nothing changed in between.
    """
    return {
        "orders": _rows(
            connection,
            "SELECT account, order_id, status, modified_at, items_total, delivery_note_url, label_url, revision, raw "
            "FROM orders ORDER BY 1, 2",
        ),
        "items": _rows(
            connection,
            "SELECT account, item_id, order_id, sku, quantity, status, price, care_id FROM order_items ORDER BY 1, 2",
        ),
        "care": _rows(
            connection,
            "SELECT account, care_id, item_id, kind, state, closed_at FROM care_records "
            "JOIN care_record_items USING (account, care_id) ORDER BY 1, 2, 3",
        ),
        "events": _rows(
            connection,
            "SELECT account, order_id, item_id, kind, revision, old_status, new_status, items FROM order_events "
            "ORDER BY 1, 2, 5, 3",
        ),
    }


def _rows(connection: Connection, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), parameters or None).fetchall()


def _nothing(connection: Connection, what: str, query: str) -> None:
    """Raises AssertionError that starts with `what` if the query returns rows."""
    rows = _rows(connection, query)
    assert not rows, f"{what}: {rows[:10]}"
