"""Measures how long the operator's pages take beside many stored orders: `make bench-pages`.

The tables are filled with SQL: three months of orders of two items each, of which one in twenty waits for shipment and
one in fifty for stock, 1,000 rejected records and 4,000 flaws, and four subscriptions with 50,000 deliveries each: of
one they were made within the last day, of the others they wait, fail, or were given up. Each page is requested over
real HTTP.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import psycopg
from starlette.applications import Starlette

from bench import PAGES_HEADING, write_part

SKUS = 2_000
LIMIT_MILLISECONDS = 100
FILL = (
    "INSERT INTO orders (account, order_id, status, created_at, modified_at, dispatch_due_at, raw, fingerprint) "
    "SELECT %(account)s, n::text, CASE WHEN n %% 20 = 0 THEN 'accepted' ELSE 'shipped' END, "
    "now() - age, now(), now() - age + interval '2 days', '{}', ''::bytea "
    "FROM generate_series(1, %(orders)s) n, LATERAL (SELECT n * interval '90 days' / %(orders)s AS age) AS ages",
    "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
    "SELECT %(account)s, n || '-' || part, n::text, 'SKU' || (n * 7 + part) %% %(skus)s, 1, "
    "CASE WHEN n %% 20 = 0 THEN 'accepted' ELSE 'shipped' END "
    "FROM generate_series(1, %(orders)s) n, generate_series(1, 2) part",
    "INSERT INTO order_events (account, order_id, kind, revision, new_status, items, applied_at) "
    "SELECT %(account)s, n::text, 'OrderCreated', 1, 'accepted', '{}', now() FROM generate_series(1, %(orders)s) n",
    "INSERT INTO stock_levels (sku, on_hand, imported_at) "
    "SELECT 'SKU' || n, 1000, now() FROM generate_series(0, %(skus)s - 1) n",
    "INSERT INTO stock_locks "
    "(account, item_id, sku, order_id, quantity, state, locked, short, consumed, ordered_at) "
    "SELECT %(account)s, n || '-1', 'SKU' || (n * 7 + 1) %% %(skus)s, n::text, 1, "
    "CASE WHEN n %% 50 = 0 THEN 'short' ELSE 'consumed' END, 0, CASE WHEN n %% 50 = 0 THEN 1 ELSE 0 END, "
    "CASE WHEN n %% 50 = 0 THEN 0 ELSE 1 END, now() FROM generate_series(1, %(orders)s) n",
    "INSERT INTO rejected_records (account, kind, record_id, raw, reasons) SELECT %(account)s, 'order', 'r' || n, "
    "convert_to(repeat('x', 2000), 'UTF8'), jsonb_build_array(jsonb_build_object("
    "'where', 'items[' || n %% 9 || '].quantity', 'what', 'is ' || n %% 40, 'allowed', 'a whole number from 1')) "
    "FROM generate_series(1, 1000) n",
    "INSERT INTO record_flaws (account, kind, record_id, field, found, stored) SELECT %(account)s, 'order', n::text, "
    "'items[' || n %% 3 || '].fee', 'is ' || n %% 50, 'nothing' FROM generate_series(1, 4000) n",
    "INSERT INTO subscriptions (subscription, kinds, consumer) "
    "SELECT name, '{OrderCreated}', 'sql' FROM unnest(%(subscriptions)s::text[]) name",
    "INSERT INTO event_deliveries (subscription, event_id, account, order_id, waiting_since, attempts, problem, "
    "ended_at, outcome) SELECT name, event_id, account, order_id, recorded_at, 1, "
    "CASE WHEN name IN ('failing', 'given_up') THEN 'HTTP 500' END, "
    "CASE WHEN name IN ('delivered', 'given_up') THEN recorded_at END, "
    "CASE WHEN name IN ('delivered', 'given_up') THEN name END "
    "FROM order_events, unnest(%(subscriptions)s::text[]) name WHERE event_id <= %(delivered)s",
    "ANALYZE",
)
DELIVERIES = 50_000
"""So many deliveries each subscription has."""
SUBSCRIPTIONS = ("delivered", "failing", "given_up", "waiting")
PATHS = {
    "start page": "", "search by an id": "/orders?text=101", "search by a SKU": "/orders?text=SKU7",
    "search by account and status": "/orders?account={account}&status=accepted",
    "an order's history": "/orders/one?account={account}&order=100", "lanes": "/lanes",
    "rejected records by reason": "/rejected",
    "the records of a reason": "/rejected/records?account={account}&why=items%5B%5D.quantity%3A+is+7",
    "shortages and late orders": "/stock", "stock of a SKU": "/stock/sku?sku=SKU7", "waiting lines": "/waiting",
    "documents of an order": "/documents?order=101", "subscriptions": "/subscriptions",
    **{f"subscription: all {name.replace('_', ' ')}": f"/subscriptions/one?name={name}" for name in SUBSCRIPTIONS},
}  # fmt: skip


def milliseconds(client: httpx.Client, path: str, repetitions: int) -> list[float]:
    """How long each request for a page took."""
    times: list[float] = []
    for _ in range(repetitions):
        began = time.perf_counter()
        answer = client.get(path, follow_redirects=True)
        times.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"{path}: HTTP {answer.status_code}")
    return times


def measure(orders: int, repetitions: int) -> list[str]:
    """The lines of the table."""
    from orders_sync.database.embedded import stop_if_last
    from orders_sync.marketplaces.kit.accounts import account_names
    from orders_sync.testing.databases import orders_database
    from orders_sync.testing.http_server import served
    from orders_sync.web.app import web_app
    from orders_sync.web.settings import WebSettings

    account = account_names()[0]
    lines = ["| page | median ms | slowest ms | kB |", "|---|---:|---:|---:|"]
    try:
        with orders_database() as url:
            with psycopg.connect(url, autocommit=True) as connection:
                values = {
                    "account": account, "orders": orders, "skus": SKUS, "subscriptions": list(SUBSCRIPTIONS),
                    "delivered": DELIVERIES,
                }  # fmt: skip
                for statement in FILL:
                    connection.execute(statement.encode(), values)
            with (
                served(web_app(Starlette(), WebSettings())) as address,
                httpx.Client(trust_env=False, timeout=60) as client,
            ):
                for name, path in PATHS.items():
                    target = f"{address}/operations{path.format(account=account)}"
                    size = len(client.get(target, follow_redirects=True).content) / 1000
                    times = milliseconds(client, target, repetitions)
                    lines.append(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | {size:.0f} |")
    finally:
        stop_if_last()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200_000, help="stored orders")
    parser.add_argument("--runs", type=int, default=20, help="requests for each page")
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osbench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        lines = measure(options.orders, options.runs)
    what = (
        f"The operator's pages beside {options.orders:,} orders, 1,000 rejected records, 4,000 flaws and "
        f"{DELIVERIES * len(SUBSCRIPTIONS):,} deliveries, {options.runs} requests each; "
        f"the aim is {LIMIT_MILLISECONDS} ms:"
    )
    if options.write:
        write_part(PAGES_HEADING, [what, "", *lines])
    print("\n".join([what, "", *lines]))


if __name__ == "__main__":
    main()
