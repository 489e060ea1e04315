"""How long V2 takes to take over V1's locks, and how long stock stands still meanwhile: `make bench-take-over`.

V1 and V2 have the same orders, of one item each: most are shipped, with consumed locks; the others are to be shipped,
with a lock in both. A hundred locks differ, as no healthy cutover's do: V1 has released half of these and consumed the
other half, which V2 does not know. While the account goes live, a thread begins a stock job again and again: its
longest wait is how long stock stands still.
"""

import argparse
import os
import tempfile
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench import TAKE_OVER_HEADING, show_part

ACCOUNT = "back_market_sandbox"
OPEN_SHARE = 0.05
"""The share of the orders that are to be shipped."""
FILL_V2 = (
    "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
    "SELECT %(account)s, n::text, CASE WHEN n <= %(open)s THEN 'accepted' ELSE 'shipped' END, "
    "now() - interval '5 days', now(), '{}', ''::bytea FROM generate_series(1, %(orders)s) n",
    "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
    "SELECT account, order_id || '0', order_id, 'SKU' || order_id::int %% 1000, 1, status FROM orders",
    "INSERT INTO order_events (account, order_id, kind, revision, new_status, items) "
    "SELECT account, order_id, 'OrderCreated', 1, status, jsonb_build_object(order_id || '0', status) FROM orders",
)
FILL_V1 = (
    "INSERT INTO orders (id, marketplace, marketplace_order_id, status, ordered_at, created_at, updated_at) "
    "SELECT n, 'back_market', n::text, CASE WHEN n <= %(open)s THEN 2 ELSE 3 END, now() - interval '5 days', now(), "
    "now() FROM generate_series(1, %(orders)s) n",
    "INSERT INTO order_items (id, order_id, orderline_id, sku, quantity, price, status) "
    "SELECT n, n, n || '0', 'SKU' || n %% 1000, 1, 10, CASE WHEN n <= %(open)s THEN 2 ELSE 3 END "
    "FROM generate_series(1, %(orders)s) n",
    "INSERT INTO stock_locks (order_item_id, sku, quantity, created_at, released_at, consumed_at) "
    "SELECT n, 'SKU' || n %% 1000, 1, now(), CASE WHEN n <= 50 THEN now() END, "
    "CASE WHEN n > %(open)s OR n BETWEEN 51 AND 100 THEN now() END FROM generate_series(1, %(orders)s) n",
)


class Stillness(threading.Thread):
    """Begins a stock job again and again, and notes its longest wait."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest_seconds = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        from orders_sync.stock.connection import stock_connection

        while not self.over.is_set():
            began = time.perf_counter()
            with stock_connection("a stock job") as stock, stock.changing():
                self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began)
            time.sleep(0.02)


def filled(orders: int) -> None:
    """Fills both databases, and lets V2 apply its events."""
    from orders_sync.config.v1 import load_cutover_settings
    from orders_sync.cutover.v1_database import v1_url
    from orders_sync.database.engine import connect
    from orders_sync.sandbox.v1 import TABLES
    from orders_sync.stock.apply_events import apply_pending
    from orders_sync.stock.connection import StockConnection
    from orders_sync.stock.levels import import_levels

    values: dict[str, Any] = {"account": ACCOUNT, "orders": orders, "open": int(orders * OPEN_SHARE)}
    with connect() as connection:
        for statement in FILL_V2:
            connection.execute(statement, values)
        connection.execute("ANALYZE")
        stock = StockConnection(connection)
        import_levels(stock, {f"SKU{number}": 10_000 for number in range(1000)})
        while apply_pending(stock).events:
            pass
        connection.execute("ANALYZE")
    url = v1_url(load_cutover_settings()).replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as v1:
        v1.execute(TABLES)
        for statement in FILL_V1:
            v1.execute(statement, values)
        v1.execute("ANALYZE")


def measured(orders: int) -> list[str]:
    """Takes over so many orders; a row of the table."""
    from orders_sync.acts.by import By
    from orders_sync.config.v1 import load_cutover_settings
    from orders_sync.cutover import moves
    from orders_sync.cutover.phases import note_moves
    from orders_sync.database.engine import connect
    from orders_sync.lanes.authority import Phase
    from orders_sync.testing.invariants import check_invariants

    by = By("bench", "bench")
    with tempfile.TemporaryDirectory(prefix="ostake-") as state:
        Path(state).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = state
        from orders_sync.database.embedded import stop_if_last
        from orders_sync.database.schema_upgrade import upgrade_schema

        upgrade_schema()
        filled(orders)
        with connect() as connection:
            note_moves(connection, [ACCOUNT], Phase.LIVE, Phase.MONITOR, by)
            watching = Stillness()
            watching.start()
            began = time.perf_counter()
            moves.advance(
                connection, load_cutover_settings(), [ACCOUNT], by, force=True, v1_off=lambda: nullcontext([]),
                v1_schedules_on=list,
            )  # fmt: skip
            took = time.perf_counter() - began
            watching.over.set()
            watching.join()
            check_invariants(connection)
            began = time.perf_counter()
            moves.back(connection, [ACCOUNT], by)
            back = time.perf_counter() - began
        stop_if_last()
    return [f"{orders:,}", f"{took:.1f} s", f"{watching.longest_seconds:.2f} s", f"{back:.2f} s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--dry-run", action="store_true", help="print the table, but leave bench/README.md as it is")
    chosen = parser.parse_args()
    text = [
        f"`make bench-take-over` measured this on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores: an "
        f"account goes live, of whose orders {OPEN_SHARE:.0%} are to be shipped, and comes back.",
        "",
        "| orders | going live (aim: 60 s) | stock stood still (aim: 5 s) | back |",
        "|---:|---:|---:|---:|",
        f"| {' | '.join(measured(chosen.orders))} |",
    ]
    show_part(TAKE_OVER_HEADING, text, dry_run=chosen.dry_run)


if __name__ == "__main__":
    main()
