"""Measures what an event costs its subscriptions, with few and with many that wait: `make bench-subscriptions`.

Events of orders of two events each are filled in with SQL. A consumer in SQL claims and acknowledges 100 at a time; a
webhook calls a receiver on this machine over real HTTP, eight calls at once. The events are stored as often without any
subscription, with one, and with ten, which shows what the fan-out costs whoever writes them.
"""

import argparse
import os
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

from bench import SUBSCRIPTIONS_HEADING, write_part

FILL = (
    "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
    "SELECT 'shop', n::text, 'accepted', now(), now(), '{}', ''::bytea FROM generate_series(1, %(orders)s) n",
    "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
    "SELECT 'shop', n || '-' || part, n::text, 'SKU' || n %% 1000, 1, 'accepted' "
    "FROM generate_series(1, %(orders)s) n, generate_series(1, 2) part",
)
EVENTS = (
    "INSERT INTO order_events (account, order_id, kind, revision, new_status) "
    "SELECT 'shop', n::text, CASE WHEN event = 1 THEN 'OrderCreated' ELSE 'OrderStatusChanged' END, event, 'accepted' "
    "FROM generate_series(1, 2) event, generate_series(1, %(orders)s) n"
)
MEASURED = 5_000
"""How many events are consumed for each figure; fewer where fewer wait."""


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


def consumed_by_sql(connection: "psycopg.Connection[Any]", most: int) -> float:
    """Milliseconds for each event that is claimed, with its content, and acknowledged."""
    from orders_sync.subscriptions.deliveries import acknowledge, claim

    began, done = time.perf_counter(), 0
    while done < most and (claimed := claim(connection, "erp", 100)):
        done += acknowledge(connection, "erp", [each.event_id for each in claimed])
    return (time.perf_counter() - began) * 1000 / done


def sent(url: str, seconds: float) -> float:
    """Milliseconds for each event that is sent to a receiver, within so many seconds."""
    from orders_sync.config.subscriptions import Webhook
    from orders_sync.database.engine import connect
    from orders_sync.subscriptions.webhooks.delivery import deliver_all
    from orders_sync.subscriptions.webhooks.signatures import make_secret

    os.environ["BENCH_SECRET"] = make_secret()
    os.environ["BENCH_URL"] = url
    webhook = Webhook(url="BENCH_URL", secret="BENCH_SECRET", concurrency=8, allow_private=True)
    began = time.perf_counter()
    (outcome,) = deliver_all(lambda: connect(application="bench"), {"web": webhook}, seconds)
    if outcome.problem:
        raise SystemExit(outcome.problem)
    return (time.perf_counter() - began) * 1000 / outcome.delivered


def measure(sizes: list[int], url: str) -> list[str]:
    """The lines of the tables."""
    from orders_sync.config.subscriptions import check_subscription
    from orders_sync.database.embedded import stop_if_last
    from orders_sync.database.engine import connect
    from orders_sync.subscriptions.registration import register
    from orders_sync.testing.databases import orders_database

    made = check_subscription({"sql": {"role": "erp"}}, "bench")
    lines = ["| events that wait | ms an event, SQL | ms an event, webhook |", "|---:|---:|---:|"]
    try:
        for events in sizes:
            with orders_database(), connect(application="bench") as connection:
                register(connection, {"erp": made, "web": made})
                for statement in (*FILL, EVENTS):
                    connection.execute(statement.encode(), {"orders": events // 2})
                connection.execute("ANALYZE")
                by_sql, by_webhook = consumed_by_sql(connection, MEASURED), sent(url, 5)
                lines.append(f"| {events:,} | {by_sql:.2f} | {by_webhook:.2f} |")
        lines += ["", "| subscriptions | ms to store 1,000 events |", "|---:|---:|"]
        for count in (0, 1, 10):
            with orders_database(), connect(application="bench") as connection:
                register(connection, {f"s{number}": made for number in range(count)})
                began = time.perf_counter()
                connection.execute(EVENTS.encode(), {"orders": 10_000})
                lines.append(f"| {count} | {(time.perf_counter() - began) * 1000 / 20:.1f} |")
    finally:
        stop_if_last()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[100, 10_000, 100_000], help="events that wait")
    parser.add_argument("--write", action="store_true", help="write the tables into bench/README.md")
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="osbench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        lines = measure(options.events, f"http://127.0.0.1:{server.server_address[1]}/")
    what = f"What an event costs: claimed with its content and acknowledged, up to {MEASURED:,} of those that wait:"
    if options.write:
        write_part(SUBSCRIPTIONS_HEADING, [what, "", *lines])
    print("\n".join([what, "", *lines]))


if __name__ == "__main__":
    main()
