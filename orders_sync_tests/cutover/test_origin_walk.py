"""The move from the real V1: its own schema, on its own servers, compared day by day, and taken over."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, create_engine, text

from orders_sync.config.v1 import CutoverSettings, check_cutover_settings
from orders_sync.cutover import comparison, moves
from orders_sync.cutover.comparison import Comparison, compare_day
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import current_authority
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync
from orders_sync_tests.cutover.moved import BY, begin
from orders_sync_tests.cutover.origin import TABLES, add, build, item, lock, order, variation
from orders_sync_tests.cutover.v1_servers import SERVERS

pytestmark = pytest.mark.xdist_group("v1")
BERLIN = ZoneInfo("Europe/Berlin")
STATUS = {"pending": 1, "accepted": 2, "shipped": 3, "cancelled": 4}
ITEM_STATUS = {"pending": 1, "accepted": 2, "shipped": 3, "cancelled": 4}
Row = tuple[str, dict[str, object]]


@pytest.fixture
def shop(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marketplace]:
    """V2 has its orders, and keeps their locks in the stock."""
    with Marketplace(orders=60, days=4) as marketplace:
        account = sandbox_account(marketplace, accept_orderlines=True)
        monkeypatch.setattr(comparison, "load_accounts", lambda: ({"shop": account}, {}))
        begin(connection, settings())
        for sync_type in ("new", "modified", "care", "incomplete", "modified"):
            sync(account, sync_type)
        stock = StockConnection(connection)
        import_levels(stock, {sku: 1000 for (sku,) in connection.execute("SELECT DISTINCT sku FROM order_items")})
        apply_pending(stock)
        yield marketplace


@pytest.fixture(params=SERVERS)
def origin(
    request: pytest.FixtureRequest, shop: Marketplace, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """V1 has the same orders, in a database of the origin's."""
    url = request.getfixturevalue(request.param)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    build(engine, rows_of(connection))
    monkeypatch.setenv("V1_DATABASE_URL", url)
    yield engine
    with engine.begin() as v1:
        for name in TABLES:
            v1.execute(text(f"DROP TABLE {name}"))
    engine.dispose()


def rows_of(connection: Connection) -> Sequence[Row]:
    """V2's orders as the origin stores them: Berlin's times, SKUs by variation, soft-deleted copies, other orders."""
    rows: list[Row] = []
    skus = [sku for (sku,) in connection.execute("SELECT DISTINCT sku FROM order_items ORDER BY 1")]
    rows += [variation(number, sku) for number, sku in enumerate(skus, 1)]
    orders: dict[str, int] = {}
    for order_id, status, total, created_at, changed_at in connection.execute(
        "SELECT order_id, status, items_total, created_at, coalesce(modified_at, created_at) FROM orders"
    ):
        orders[order_id] = len(orders) + 1
        made = order(
            orders[order_id], order_id, 1, status=STATUS[status], price=str(total), at=local(created_at),
            updated=local(changed_at),
        )  # fmt: skip
        rows += [made, order(10_000 + orders[order_id], order_id, 1, type_=1, at=local(created_at))]
    items: dict[str, int] = {}
    for order_id, item_id, sku, quantity, price, status, care_id in connection.execute(
        "SELECT order_id, item_id, sku, quantity, price, status, care_id FROM order_items"
    ):
        items[item_id] = len(items) + 1
        made = item(
            items[item_id], orders[order_id], item_id, variation=skus.index(sku) + 1, quantity=f"{quantity}.00",
            price=str(price), status=ITEM_STATUS[status], care=care_id,
        )  # fmt: skip
        rows += [made, item(10_000 + items[item_id], orders[order_id], item_id, quantity="9", deleted="2026-01-01")]
    for item_id, quantity, state in connection.execute("SELECT item_id, quantity, state FROM stock_locks"):
        rows.append(lock(items[item_id], items[item_id], "locked" if state == "short" else state, quantity=quantity))
    return rows


def local(moment: datetime) -> str:
    return moment.astimezone(BERLIN).replace(tzinfo=None, microsecond=0).isoformat(" ")


def settings(**more: Any) -> CutoverSettings:
    document = {
        "preset": "laravel_marketplaces", "timezone": "Europe/Berlin", "marketplaces": {1: "shop"},
        "tables": {"orders": {"currencies": {1: "EUR"}, "delivery_note_url": None, "label_url": None}}, **more,
    }  # fmt: skip
    return check_cutover_settings(document, "v1.yaml")


def compare(connection: Connection, day: date, **more: Any) -> Comparison:
    chosen = settings(**more)
    with V1Database(chosen) as v1:
        return compare_day(connection, v1, chosen, "shop", day)


def days() -> list[date]:
    today = datetime.now(UTC).date()
    return [today - timedelta(days=back) for back in range(4, 0, -1)]


def test_the_origin_is_compared_and_its_locks_are_taken_over(origin: Engine, connection: Connection) -> None:
    compared = 0
    for day in days():
        made = compare(connection, day)
        assert made.found == []
        assert made.zone_offset_minutes in (0, None), "a day of few orders can't tell"
        compared += made.compared_orders
    assert compared > 30

    # A wrong status, a lost lock, a duplicate and a row without an id.
    ((shipped,),) = connection.execute("SELECT min(order_id) FROM orders WHERE status = 'shipped'").fetchall()
    ((locked,),) = connection.execute("SELECT min(item_id) FROM stock_locks WHERE state = 'locked'").fetchall()
    with origin.begin() as v1:
        v1.execute(text("UPDATE orders SET status = 2 WHERE reference_id = :id AND order_type_id = 3"), {"id": shipped})
        v1.execute(
            text(
                "UPDATE marketplace_stock_locks SET lock_status = 'released' WHERE order_item_id = (SELECT id FROM "
                "order_items WHERE reference_id = :id AND deleted_at IS NULL)"
            ),
            {"id": locked},
        )
    yesterday = local(datetime.now(UTC) - timedelta(days=1))
    add(origin, [order(90_001, shipped, 1, status=1, at=yesterday), order(90_002, None, 1, at=yesterday)])
    runs = [compare(connection, day) for day in days()]
    found = {(each.difference.kind, each.difference.field): str(each.right) for run in runs for each in run.counted}
    assert found == {("differs", "status"): "V2", ("lock only in V2", "lock"): "None"}
    assert {finding.kind for run in runs for finding in run.findings} >= {"orders without an id", "duplicate orders"}
    with V1Database(settings()) as v1:
        held = {each.item_id for each in v1.locks_to_take(["shop"]) if not each.consumed}

    # V2 takes over what V1 holds, each once.
    for _ in range(2):
        moves.advance(
            connection, settings(), ["shop"], BY, force=True, v1_off=lambda: nullcontext([]), v1_schedules_on=list
        )
    assert current_authority(connection).is_live("shop")
    ours = {
        each for (each,) in connection.execute("SELECT item_id FROM stock_locks WHERE state IN ('locked', 'short')")
    }
    assert held | {locked} == ours
    check_invariants(connection)


def test_a_wrong_zone_is_measured_and_hides_nothing(origin: Engine, connection: Connection) -> None:
    made = compare(connection, days()[-1], timezone="America/New_York")
    assert made.zone_offset_minutes is not None
    assert abs(made.zone_offset_minutes) >= 300
    assert made.counted == []
