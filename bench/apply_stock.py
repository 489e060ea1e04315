"""Applies all pending order events once, in a process of its own, with the orders_sync of any checkout.

    PYTHONPATH=<checkout> python -P bench/apply_stock.py

ORDERS_DATABASE_URL names the database. Prints a JSON object: events, seconds, cpu_seconds (of this process, without
Python's start), server_cpu_seconds (of PostgreSQL's process for the connection).
"""

import json
import time

import psutil

from orders_sync.database.engine import connect
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection


def main() -> None:
    with connect() as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        server = psutil.Process(row[0] if row else 0)
        before = server.cpu_times()
        began, cpu = time.perf_counter(), time.process_time()
        applied = apply_pending(StockConnection(connection))
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        after = server.cpu_times()
    server_cpu_seconds = after.user + after.system - before.user - before.system
    print(
        json.dumps(
            {
                "events": applied.events, "seconds": seconds, "cpu_seconds": cpu_seconds,
                "server_cpu_seconds": server_cpu_seconds,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
