"""Measures how order events are applied to stock: many right after a load, and few beside millions of locks.

    python -m bench.stock                             this checkout
    python -m bench.stock --checkout PATH             this checkout and another one, in turn

Each event is the creation of an order of two items. The tables are filled with SQL, without VACUUM or ANALYZE, as they
are right after a load. CPU times are those of both sides: the stock job's process and PostgreSQL's.
"""

import argparse
import json
import statistics
from collections.abc import Iterable
from typing import LiteralString

import psycopg
from psycopg import sql

from bench.checkouts import Checkout, add_checkout_option, open_checkouts

SKUS = 2_000
SCENES = ("right after a load", "beside other locks")


def measure(checkout: Checkout, scene: str, orders: int) -> None:
    """Applies all events and keeps the result. Ends the bench if another number than `orders` was applied."""
    result: dict[str, float] = json.loads(checkout.call("apply_stock.py").splitlines()[-1])
    if result["events"] != orders:
        raise SystemExit(f"{checkout.name}, {scene}: {result['events']} events were applied, expected were {orders}.")
    checkout.results[scene].append(result)


def microseconds(results: Iterable[dict[str, float]], *names: str) -> float:
    """CPU time per event, of the named values, the median of all rounds."""
    return statistics.median(sum(result[name] for name in names) / result["events"] * 1e6 for result in results)


def fill(url: str, orders: int, locks: int) -> None:
    """Orders of two items with their pending events, and consumed locks of other items."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE orders, order_items, order_events, stock_levels, stock_locks, stock_lock_history")
        connection.execute(
            "INSERT INTO stock_levels (sku, on_hand, imported_at) "
            "SELECT 'SKU' || n, 1000000, now() FROM generate_series(0, %s) n",
            [SKUS - 1],
        )
        columns = {
            name for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = 'stock_locks'"
            )
        }  # fmt: skip
        of_each_version: dict[LiteralString, LiteralString] = {
            "revision": "1", "locked": "0", "short": "0", "consumed": "1", "ordered_at": "now()",
        }  # fmt: skip
        more: dict[LiteralString, LiteralString] = {n: v for n, v in of_each_version.items() if n in columns}
        connection.execute(
            sql.SQL(
                "INSERT INTO stock_locks (account, item_id, sku, order_id, quantity, state {names}) "
                "SELECT 'bench', 'old' || n, 'SKU' || n %% {skus}, 'old' || n, 1, 'consumed' {values} "
                "FROM generate_series(1, %s) n"
            ).format(
                skus=sql.Literal(SKUS),
                names=sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in more),
                values=sql.SQL("").join(sql.SQL(", {}").format(sql.SQL(value)) for value in more.values()),
            ),
            [locks],
        )
        connection.execute(
            "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
            "SELECT 'bench', n::text, 'accepted', now(), now(), '{}', ''::bytea FROM generate_series(1, %s) n",
            [orders],
        )
        connection.execute(
            "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
            "SELECT 'bench', n || '-' || part, n::text, 'SKU' || (n * 7 + part) %% %s, 1, 'accepted' "
            "FROM generate_series(1, %s) n, generate_series(1, 2) part",
            [SKUS, orders],
        )
        connection.execute(
            "INSERT INTO order_events (account, order_id, kind, revision, new_status, items) "
            "SELECT 'bench', n::text, 'OrderCreated', 1, 'accepted', "
            "jsonb_build_object(n || '-1', 'accepted', n || '-2', 'accepted') FROM generate_series(1, %s) n",
            [orders],
        )


def as_markdown(checkouts: list[Checkout], orders: int, locks: int) -> str:
    lines = ["| scene | checkout | events/s | CPU µs an event | of it, PostgreSQL |", "|---|---|---:|---:|---:|"]
    for scene in SCENES:
        for checkout in checkouts:
            results = checkout.results[scene]
            rate = statistics.median(result["events"] / result["seconds"] for result in results)
            server = microseconds(results, "server_cpu_seconds")
            both = microseconds(results, "cpu_seconds", "server_cpu_seconds")
            lines.append(f"| {scene} | {checkout.name} | {rate:,.0f} | {both:.0f} | {server:.0f} |")
    what = f"{orders:,} events of two items right after a load; {orders // 10:,} beside {locks:,} consumed locks."
    return "\n".join([what, "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000, help="orders of the first scene; the second has a tenth")
    parser.add_argument("--locks", type=int, default=2_000_000, help="consumed locks in the second scene")
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    add_checkout_option(parser)
    options = parser.parse_args()
    sizes = ((options.orders, 0), (options.orders // 10, options.locks))
    with open_checkouts(options.checkout) as checkouts:
        for scene, (orders, locks) in zip(SCENES, sizes, strict=True):
            for number in range(options.runs):
                for checkout in checkouts if number % 2 == 0 else checkouts[::-1]:
                    fill(checkout.url, orders, locks)
                    measure(checkout, scene, orders)
    print(as_markdown(checkouts, options.orders, options.locks))


if __name__ == "__main__":
    main()
