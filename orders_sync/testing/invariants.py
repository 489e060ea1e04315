"""What must hold, whatever happens: one checker for each invariant that the database can show.

Tests call `check_invariants` after whatever they did; each function raises AssertionError with the rows at fault.
"""

from typing import Any

from orders_sync.database.engine import Connection
from orders_sync.model.pass_summary import PassSummary


def check_invariants(connection: Connection) -> None:
    """All of them."""
    every_order_was_created_once(connection)
    every_status_change_has_its_event(connection)
    locks_are_right(connection)
    reserved_is_what_is_locked(connection)
    stock_is_never_negative(connection)
    every_lock_is_explained(connection)


def every_listed_order_is_stored_or_rejected(
    connection: Connection, account: str, listed: list[dict[str, Any]]
) -> None:
    """Invariant 1, against what the marketplace lists (states 0 and 8 are not listed)."""
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
    """Invariant 2: every stored order has exactly one OrderCreated."""
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
    """Invariant 2: from its creation on, each order's and item's events form a chain that ends at its status."""
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
        assert old != new, f"an event tells no change: order {order_id}, item {item_id}: {old}"
        known = current.get((account, order_id, item_id))
        assert known == old, f"order {order_id}, item {item_id or '-'}: the event says {old}, before it was {known}"
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
    assert current == stored, f"statuses without event: {set(current.items()) ^ set(stored.items())}"


def locks_are_right(connection: Connection) -> None:
    """Invariant 3 and 14: once all events are applied, each item's lock is what its history of statuses asks for."""
    from orders_sync.stock.actions import LockAction, lock_action_of

    if _rows(connection, "SELECT 1 FROM order_events WHERE applied_at IS NULL LIMIT 1"):
        return
    wanted: dict[tuple[str, str], str] = {}
    events = _rows(
        connection,
        "SELECT account, order_id, item_id, new_status, items FROM order_events "
        "ORDER BY account, order_id, revision, event_id",
    )
    for account, _, item_id, new_status, items in events:
        told = items.items() if items is not None else [(item_id, new_status)] if item_id else []
        for told_id, status in told:
            key = (account, told_id)
            effect = lock_action_of(status, new_status if items is not None else None)
            if wanted.get(key) == "consumed":
                continue
            if effect is LockAction.LOCK:
                wanted[key] = "locked"
            elif effect is LockAction.CONSUME:
                wanted[key] = "consumed"
            elif effect is LockAction.RELEASE and key in wanted:
                wanted[key] = "released"
    states = {
        (account, item_id): "locked" if state == "short" else state
        for account, item_id, state in _rows(connection, "SELECT account, item_id, state FROM stock_locks")
    }
    if _rows(connection, "SELECT 1 FROM migration_moves LIMIT 1"):
        # What was locked and released in shadow only, while V1 was the truth, has no lock of ours.
        wanted = {key: state for key, state in wanted.items() if state != "released" or key in states}
    assert states == wanted, f"locks that differ from what is asked: {set(states.items()) ^ set(wanted.items())}"
    _nothing(
        connection,
        "locks of another quantity or SKU than their item",
        "SELECT lock.item_id, lock.quantity, item.quantity FROM stock_locks lock JOIN order_items item "
        "USING (account, item_id) WHERE lock.state = 'locked' "
        "AND (lock.quantity, lock.sku) <> (item.quantity, item.sku)",
    )


def reserved_is_what_is_locked(connection: Connection) -> None:
    """Invariant 3: the sum of active locks of a SKU is its reserved quantity."""
    _nothing(
        connection,
        "SKUs whose reserved pieces are not those of their locks",
        """
        SELECT level.sku, level.reserved, coalesce(sum(lock.quantity), 0) FROM stock_levels level
        LEFT JOIN stock_locks lock ON lock.sku = level.sku AND lock.state = 'locked'
        GROUP BY level.sku HAVING level.reserved <> coalesce(sum(lock.quantity), 0)
        """,
    )


def stock_is_never_negative(connection: Connection) -> None:
    """Invariant 4: available stock is never below zero."""
    _nothing(
        connection,
        "SKUs with less than nothing available",
        "SELECT sku, on_hand, reserved FROM stock_levels WHERE coalesce(on_hand, 0) - reserved < 0",
    )


def every_lock_is_explained(connection: Connection) -> None:
    """Invariant 12: the steps on record lead to each lock's state, each from where the last one ended."""
    state: dict[tuple[str, str], str | None] = {}
    for account, item_id, before, after in _rows(
        connection, "SELECT account, item_id, from_state, to_state FROM stock_lock_history ORDER BY entry_id"
    ):
        assert state.get((account, item_id)) == before, f"item {item_id}: a step starts at {before}"
        state[account, item_id] = after
    locks = {(a, i): s for a, i, s in _rows(connection, "SELECT account, item_id, state FROM stock_locks")}
    assert state == locks, f"locks that no step explains: {set(state.items()) ^ set(locks.items())}"


def nothing_changed(summary: PassSummary) -> None:
    """A repeated pass finds nothing to do."""
    assert (summary.created, summary.changed, summary.events) == (0, 0, 0), summary.numbers()


def snapshot(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The tables' contents without our own clock's times: equal snapshots are equal tables and events."""
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
    rows = _rows(connection, query)
    assert not rows, f"{what}: {rows[:10]}"
