"""The whole cutover, in fast time, on the sandbox: side by side, faults on both sides, V1 off, and a way back."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.alerts.calls import note_call
from orders_sync.config.alerts import check_alerts
from orders_sync.cutover import comparison, moves, readiness
from orders_sync.cutover.comparison import Comparison, compare_day
from orders_sync.cutover.readiness import days_still_needed
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import Phase, current_authority
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection, stock_connection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import sync
from orders_sync_tests.cutover.conftest import Both
from orders_sync_tests.cutover.moved import BY

HOURS_A_STEP = 2


def apply_stock() -> None:
    with stock_connection("test") as stock:
        apply_pending(stock)


def step(both: Both, *, v1: bool = True, v2: bool = True) -> None:
    """Two hours pass; both run as their schedules say."""
    both.marketplace.pass_time(hours=HOURS_A_STEP)
    hour = both.marketplace.now().hour
    if v1:
        both.v1_runs()
    if v2:
        both.v2_runs(
            "new", *(["modified", "care"] if hour in (2, 3) else []), *(["incomplete"] if hour % 4 < 2 else [])
        )
        apply_stock()


def compare(both: Both, connection: Connection, day: datetime) -> Comparison:
    v1 = V1Database(both.settings)
    try:
        return compare_day(connection, v1, both.settings, "shop", day.date(), now=both.marketplace.now())
    finally:
        v1.close()


def mend(both: Both, ghost: tuple[object, ...]) -> None:
    """Gives V1's order its id back; where V1 has stored it anew meanwhile, the ghost goes."""
    ghost_id, order_id = ghost
    v1 = both.v1_connection
    if v1.execute("SELECT 1 FROM orders WHERE marketplace_order_id = %s", [order_id]).fetchone() is None:
        v1.execute("UPDATE orders SET marketplace_order_id = %s WHERE id = %s", [order_id, ghost_id])
        return
    items = "SELECT id FROM order_items WHERE order_id = %s"
    v1.execute(f"DELETE FROM stock_locks WHERE order_item_id IN ({items})", [ghost_id])
    v1.execute("DELETE FROM order_items WHERE order_id = %s", [ghost_id])
    v1.execute("DELETE FROM orders WHERE id = %s", [ghost_id])


def advance(both: Both, connection: Connection, *, force: bool, still_on: Sequence[str] = ()) -> moves.Move:
    """Moves the shop forward. `still_on`: V1's schedules that can't be switched off."""
    (move,) = moves.advance(
        connection, both.settings, ["shop"], BY, force=force, v1_off=lambda: nullcontext(list(still_on)),
        v1_schedules_on=list,
    )  # fmt: skip
    return move


def phase(connection: Connection) -> Phase:
    return current_authority(connection).of("shop").phase


def a_day(both: Both, connection: Connection, **who: bool) -> None:
    """Steps up to 6 o'clock of the next day, where yesterday is compared."""
    day = both.marketplace.now().date()
    while both.marketplace.now().date() == day or both.marketplace.now().hour < 6:
        step(both, **who)
    compare(both, connection, both.marketplace.now() - timedelta(days=1))


def reach_somebody(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel of alerts is named, and was reached."""
    alerts = check_alerts({"channels": {"team": {"url": "TEAM_URL"}}}, "defs/alerts/defs.yaml")
    monkeypatch.setattr(readiness, "read_alerts", lambda: alerts)
    note_call(connection, "team", None)


ACTIVE = "SELECT count(*) FROM stock_locks WHERE state IN ('locked', 'short')"


def test_the_whole_cutover(both: Both, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (readiness, comparison):
        monkeypatch.setattr(module, "load_accounts", lambda: ({"shop": both.account}, {}))
    both.v2_runs()
    skus = connection.execute("SELECT DISTINCT sku FROM order_items WHERE sku <> ''").fetchall()
    import_levels(StockConnection(connection), {sku: 4000 for (sku,) in skus})
    apply_stock()
    accepted_before = len(both.marketplace.sandbox.writes)
    was_active = connection.execute(ACTIVE).fetchone()
    assert was_active != (0,)

    # Phase 1. V1 has the authority: V2 acts on nothing outside, and keeps the locks as they would be.
    moves.begin(connection, both.settings, BY)
    assert phase(connection) is Phase.PARALLEL
    assert connection.execute(ACTIVE).fetchone() == was_active
    both.v1_runs()
    acceptances = connection.execute("SELECT count(*) FROM acceptances").fetchone()
    with pytest.raises(moves.NotReadyError, match=r"compared: shop: no order was compared"):
        advance(both, connection, force=False)
    a_day(both, connection)

    # Phase 2. Days are counted.
    advance(both, connection, force=True)
    assert phase(connection) is Phase.MONITOR
    a_day(both, connection)

    # An outage of V1, then one of V2: each catches up, and no order is missing in the end.
    for _ in range(3):
        step(both, v1=False)
    a_day(both, connection)
    for _ in range(6):
        step(both, v2=False)
    a_day(both, connection)

    # An order that only V1 has, and one that only V2 has: both are reported, and the marketplace says that V2 is right.
    row = both.v1_connection.execute(
        "SELECT id, marketplace_order_id FROM orders WHERE ordered_at::date = %s ORDER BY id LIMIT 1",
        [both.marketplace.now().date() - timedelta(days=1)],
    ).fetchone()
    assert row is not None
    both.v1_connection.execute("UPDATE orders SET marketplace_order_id = 'ghost' WHERE id = %s", [row[0]])
    found = compare(both, connection, both.marketplace.now() - timedelta(days=1))
    assert (found.only_in_v1, found.only_in_v2, found.missing_in_v2) == (1, 1, 0)
    assert found.agreement < 99.95 <= found.correct
    assert "1 missing in V2, 1 missing in V1" in found.verdict
    assert "The marketplace says: V2 right 2, V1 right 0, neither 0." in found.verdict
    kinds = connection.execute(
        "SELECT kind, order_id FROM migration_differences WHERE order_id IN ('ghost', %s) AND comparison_id = "
        "(SELECT max(comparison_id) FROM migration_comparisons) ORDER BY 1",
        [row[1]],
    ).fetchall()
    assert kinds == [("only in V1", "ghost"), ("only in V2", row[1])]

    # A quantity that V2 has wrong prevents the move to live.
    wrong = connection.execute(
        "UPDATE order_items SET quantity = quantity + 7 WHERE item_id = (SELECT item_id FROM order_items item "
        "JOIN orders placed USING (account, order_id) WHERE item.status = 'shipped' AND order_id <> %s "
        "AND (placed.created_at AT TIME ZONE 'UTC')::date = %s ORDER BY placed.modified_at LIMIT 1) RETURNING item_id",
        [row[1], both.marketplace.now().date() - timedelta(days=1)],
    ).fetchone()
    assert wrong is not None
    assert compare(both, connection, both.marketplace.now() - timedelta(days=1)).v1_right == 1
    while datetime.now(UTC) - both.marketplace.now() > timedelta(hours=HOURS_A_STEP):
        before = both.marketplace.now().date()
        step(both)
        if both.marketplace.now().date() != before:
            compare(both, connection, both.marketplace.now() - timedelta(days=1))
    both.v1_runs()
    both.v2_runs()
    apply_stock()
    with pytest.raises(moves.NotReadyError, match=r"agreement: shop \S+: \d+") as refused:
        advance(both, connection, force=False)
    assert next(check for check in refused.value.checks if check.name == "nothing missing").passed
    assert days_still_needed(connection, both.settings, ["shop"], datetime.now(UTC).date()) > 0

    # Mended, and every one of the last seven days compared again: now it agrees.
    mend(both, row)
    connection.execute("UPDATE order_items SET quantity = quantity - 7 WHERE item_id = %s", [*wrong])
    today = datetime.now(UTC)
    for back in range(7, 0, -1):
        made = compare(both, connection, today - timedelta(days=back))
        assert made.agreement >= 99.95, made.counted
        assert made.locks_differing == 0, made.counted
    assert days_still_needed(connection, both.settings, ["shop"], today.date()) == 0

    # All the while V2 wrote nothing outside its own tables.
    assert connection.execute("SELECT count(*) FROM acceptances").fetchone() == acceptances
    assert len(both.marketplace.sandbox.writes) > accepted_before, "V1 has accepted meanwhile"

    # Only the calendar, the alerts, and SKUs that were sold since the stock was counted are in the way.
    with pytest.raises(moves.NotReadyError) as refused:
        advance(both, connection, force=False)
    assert {check.name for check in refused.value.checks if not check.passed} == {"phase", "alerts", "stock list"}
    connection.execute("UPDATE migration_moves SET moved_at = moved_at - interval '8 days'")
    reach_somebody(connection, monkeypatch)
    skus = connection.execute("SELECT DISTINCT sku FROM order_items WHERE sku <> ''").fetchall()
    import_levels(StockConnection(connection), {sku: 4000 for (sku,) in skus})
    apply_stock()

    # Going live is refused while V1's schedules stay on.
    with pytest.raises(moves.CutoverError, match="V1's schedules do not stay off: refresh_new_schedule still on"):
        advance(both, connection, force=False, still_on=["refresh_new_schedule"])
    assert phase(connection) is Phase.MONITOR

    # Phase 3. V1's locks are V2's now: each once, none lost, none released by mistake.
    v1 = V1Database(both.settings)
    held = {lock.item_id for lock in v1.locks_to_take(["shop"]) if not lock.consumed}
    v1.close()
    move = advance(both, connection, force=False)
    assert (move.to_phase, move.forced) == (Phase.LIVE, False)
    ours = {i for (i,) in connection.execute("SELECT item_id FROM stock_locks WHERE state IN ('locked', 'short')")}
    assert ours == held
    double = connection.execute("SELECT account, item_id, count(*) FROM stock_locks GROUP BY 1, 2 HAVING count(*) > 1")
    assert double.fetchall() == []
    assert connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL").fetchone() == (0,)
    check_invariants(connection)
    cause = connection.execute("SELECT cause FROM stock_lock_history WHERE item_id = %s ORDER BY entry_id", [min(held)])
    assert str((cause.fetchone() or ("",))[0]).startswith("OrderCreated"), "as before"

    # V2 has the authority: it accepts, locks and releases.
    both.marketplace.pass_time(hours=3)
    assert sync(both.account).accepted > 0
    both.v2_runs("modified")
    apply_stock()
    check_invariants(connection)

    # And back: V1 has the authority again; forward again, nothing is doubled.
    moves.back(connection, ["shop"], BY)
    assert phase(connection) is Phase.PARALLEL
    both.v1_runs()
    for _ in range(2):
        advance(both, connection, force=True)
    assert phase(connection) is Phase.LIVE
    check_invariants(connection)
    phases = [(m.from_phase.value, m.to_phase.value, m.forced) for m in moves_made(connection)]
    assert phases == [
        ("live", "parallel", False), ("parallel", "monitor", True), ("monitor", "live", False),
        ("live", "parallel", False), ("parallel", "monitor", True), ("monitor", "live", True),
    ]  # fmt: skip


def moves_made(connection: Connection) -> list[moves.Move]:
    from orders_sync.cutover.phases import moves as made

    return made(connection)
