"""Measures everything in one run and writes the tables of bench/README.md.

    make bench          (for a quick look: python -m bench.compare --orders 20000)

Each pass runs in a process of its own, so that CPU seconds and peak memory are only its own. All passes write into one
embedded PostgreSQL with default settings. To compare two checkouts of this project, use bench/passes.py.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import README, parts_of_others
from bench.serving import BenchServer, bench_server
from bench.variants import ORM_SAMPLE, PAGE_SIZE


class Bench:
    """A new embedded PostgreSQL, and the passes measured on it."""

    def __init__(self, folder: str) -> None:
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.database.engine import connect, database_url
        from orders_sync.database.schema_upgrade import upgrade_schema

        url = database_url()
        upgrade_schema(url)
        socket = url.split("host=")[1]
        self.environment = {
            **os.environ,
            "ORDERS_DATABASE_URL": url,
            "BENCH_FOLDER": f"{folder}/dlt",
            "BENCH_DLT_URL": f"postgresql://postgres:none@localhost:5432/orders?host={socket}",
        }
        self.connection = connect(url)

    def empty_tables(self) -> None:
        """Removes all orders that this project has stored."""
        self.connection.execute("TRUNCATE orders, order_items, order_events, lanes, lane_runs")

    def settle(self) -> None:
        """Does now what autovacuum and the checkpointer would do within minutes, so that no pass pays for it."""
        self.connection.execute("VACUUM (ANALYZE)")
        self.connection.execute("CHECKPOINT")
        # With data checksums (the default since PostgreSQL 18), the first read after that writes a page once more.
        self.connection.execute("SELECT count(fingerprint) FROM orders")

    def measure(self, variant: str, server: BenchServer) -> dict[str, Any]:
        """Runs one pass of a variant. Returns orders, seconds, rate (orders per second), cpu_seconds, peak_mb, wal_mb
        and calls (API calls)."""
        before = self._position()
        served = server.served
        done = subprocess.run(
            [sys.executable, "-m", "bench.variants", variant, server.url],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{variant} failed:\n{done.stderr[-3000:]}")
        result = json.loads(done.stdout.splitlines()[-1])
        result["wal_mb"] = (self._position() - before) / 1e6
        result["calls"] = server.served - served
        result["rate"] = result["orders"] / result["seconds"]
        print(f"{variant}: {result['rate']:.0f} orders/s", flush=True)
        return result

    def _position(self) -> float:
        row = self.connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
        return float(row[0]) if row else 0.0


def pass_lines(bench: Bench, orders: int) -> list[str]:
    """First load, unchanged pass and a pass with 2 % of the orders changed, of every variant: Markdown lines."""
    rows: list[tuple[str, str, dict[str, Any]]] = []

    def add_row(scene: str, name: str, variant: str) -> dict[str, Any]:
        result = bench.measure(variant, server)
        rows.append((scene, name, result))
        return result

    fetching = {}
    firsts, unchanged = [], []
    with bench_server(orders) as server:
        for name, variant in (("fetching only", "fetch"), ("fetching and decoding", "fetch_and_decode")):
            fetching[variant] = add_row("fetch", name, variant)
        for _ in range(3):
            bench.empty_tables()
            firsts.append(bench.measure("ours", server))
        rows.append(("first load", "orders_sync (median of 3)", _median(firsts)))
        bench.settle()
        unchanged = [bench.measure("ours", server) for _ in range(3)]
        rows.append(("unchanged", "orders_sync (median of 3)", _median(unchanged)))
        others = (("SQLAlchemy ORM, one at a time", "orm"), ("dlt, REST source, merge", "dlt_rest"),
                  ("dlt, Arrow, Parquet, merge", "dlt_arrow"))  # fmt: skip
        theirs = {("first load", v): add_row("first load", name, v) for name, v in others}
        theirs |= {("unchanged", v): add_row("unchanged", name, v) for name, v in others}
        server.control(changed=0.02)
        before = bench.connection.execute("SELECT count(*) FROM orders WHERE revision > 1").fetchone()
        changed = add_row("2 % changed", "orders_sync", "ours")
        after = bench.connection.execute("SELECT count(*) FROM orders WHERE revision > 1").fetchone()
        for name, variant in others:
            add_row("2 % changed", name, variant)
    assert before
    assert after
    ours_first, ours_unchanged = _median(firsts), _median(unchanged)
    fewest = -(-orders // PAGE_SIZE)
    lines = _table(rows)
    lines += [
        "",
        f"* First load: {_times(ours_first, theirs['first load', 'dlt_rest'])} dlt's REST source (aim 7), "
        f"{_times(ours_first, theirs['first load', 'dlt_arrow'])} its fastest (aim 1.5), "
        f"{_times(ours_first, theirs['first load', 'orm'])} the ORM.",
        f"* Unchanged: {_times(ours_unchanged, theirs['unchanged', 'dlt_rest'])} dlt's REST source (aim 13), "
        f"{_times(ours_unchanged, theirs['unchanged', 'dlt_arrow'])} its fastest (aim 3); "
        f"{ours_unchanged['seconds'] / fetching['fetch_and_decode']['seconds']:.2f} times the time of fetching and "
        f"decoding (aim at most 1.8); {ours_unchanged['wal_mb']:.2f} MB of WAL (aim at most 1).",
        f"* 2 % changed: {after[0] - before[0]} of {changed['orders']} fetched orders were rewritten.",
        f"* API calls of a pass: {ours_unchanged['calls']}; the minimum is {fewest}.",
        f"* The ORM's figures come from a sample of {ORM_SAMPLE} orders.",
    ]
    return lines


def latency(bench: Bench) -> list[str]:
    """The rate at 150 ms per page, over one connection and over up to eight."""
    with bench_server(10_000) as server:
        server.control(latency=0.15)
        results = {}
        for name in ("ours_serial", "ours_8"):
            bench.empty_tables()
            results[name] = bench.measure(name, server)
    ratio = results["ours_8"]["rate"] / results["ours_serial"]["rate"]
    return [
        f"At 150 ms per page: {results['ours_serial']['rate']:.0f} orders/s over one connection, "
        f"{results['ours_8']['rate']:.0f} over up to eight: {ratio:.1f} times (aim 4)."
    ]


def memory(bench: Bench) -> list[str]:
    """The peak memory of a first load of 10,000 and of 300,000 orders."""
    peaks = {}
    for orders in (10_000, 300_000):
        with bench_server(orders) as server:
            bench.empty_tables()
            peaks[orders] = bench.measure("ours", server)["peak_mb"]
    return [
        f"Peak memory of a first load: {peaks[10_000]:.0f} MB at 10,000 orders, {peaks[300_000]:.0f} MB at 300,000: "
        f"{peaks[300_000] / peaks[10_000]:.2f} times (aim at most 1.3, and at most 150 MB)."
    ]


def rate_limit() -> list[str]:
    """A pass at the sandbox while it enforces the published limit: 200 calls in 10 s, or every call fails for 10 s."""
    from orders_sync.database.engine import connect
    from orders_sync.testing.marketplace import Marketplace, sandbox_account, sync

    with connect() as connection:
        connection.execute("TRUNCATE orders, order_items, order_events, lanes, lane_runs, rate_limits")
    with Marketplace(orders=6_000, days=90, limits=True) as marketplace:
        account = sandbox_account(marketplace, limits={"enforced": True, "connections": 8})
        began = time.monotonic()
        summary = sync(account, page_size=8)
        seconds = time.monotonic() - began
    used = summary.api_calls / seconds / 20
    return [
        f"Under the published limit (20 calls per second): {summary.api_calls} calls in {seconds:.0f} s, "
        f"{used:.0%} of the allowed rate (aim at least 90 %), {summary.too_many_requests} responses with status 429 "
        "(aim 0)."
    ]


def commit_to_lock(repetitions: int = 9) -> list[str]:
    """The time from the commit of an order to its stock lock, through Dagster's daemon, sensor, queue and run."""
    from orders_sync.testing.deployment import Deployment
    from orders_sync.testing.marketplace import Marketplace, an_order
    from orders_sync.testing.waiting import wait_for

    with tempfile.TemporaryDirectory(prefix="osb-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        an_order(marketplace, 1)
        seconds = []
        with Deployment(Path(folder), marketplace) as deployment:
            deployment.wait_until_synced()
            for number in range(2, 2 + repetitions):
                an_order(marketplace, number)
                assert deployment.cli("sync", "--type", "new").returncode == 0
                query = (
                    "SELECT extract(epoch FROM applied_at - recorded_at)::float8 FROM order_events "
                    "WHERE order_id = %s AND applied_at IS NOT NULL"
                )

                def locked(query: str = query, number: int = number) -> Any:
                    with deployment.connect() as connection:
                        return connection.execute(query.encode(), [str(number)]).fetchone()

                seconds.append(wait_for(locked, seconds=60)[0])
    return [
        f"From the commit of an order to its stock lock: {statistics.median(seconds):.1f} s, median of "
        f"{repetitions} ({min(seconds):.1f} to {max(seconds):.1f} s; aim less than 20)."
    ]


def _median(results: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def _times(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    return f"{ours['rate'] / theirs['rate']:.1f} times"


def _table(rows: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    lines = [
        "| pass | what | orders/s | CPU s | peak MB | WAL MB | API calls |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for scene, name, r in rows:
        lines.append(
            f"| {scene} | {name} | {r['rate']:,.0f} | {r['cpu_seconds']:.1f} | {r['peak_mb']:.0f} | "
            f"{r['wal_mb']:.2f} | {r['calls']:.0f} |"
        )
    return lines


def main() -> None:
    from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
    from orders_sync.database.embedded import stop_if_last

    provide_sandbox_credentials()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    orders = parser.parse_args().orders
    with tempfile.TemporaryDirectory(prefix="osbench-") as folder:
        Path(folder).chmod(0o755)
        bench = Bench(folder)
        version = bench.connection.info.server_version // 10_000
        text = [
            "# Figures",
            "",
            "`make bench` (`python -m bench.compare`) measured all of this in one run. No test asserts these figures.",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL "
            f"{version} (embedded, default settings). {orders:,} orders with {orders * 5 // 2:,} items in the form of "
            f"Back Market's contract (2.4 kB each), {PAGE_SIZE} per page, served from memory. orders_sync runs its "
            "whole `modified` pass: it decodes and checks every new or changed record, keeps the raw record and writes "
            "events.",
            "",
            *pass_lines(bench, orders),
            "",
            *(f"* {line}" for line in (*latency(bench), *memory(bench), *rate_limit())),
        ]
        bench.connection.close()
        stop_if_last()
    text += [f"* {line}" for line in commit_to_lock()]
    others = parts_of_others()
    README.write_text("\n".join(text) + "\n" + NOTES + (f"\n{others}" if others else ""))
    print(README.read_text())


NOTES = """
## What the measurements taught

* The raw record is stored as `json`, not `jsonb`: PostgreSQL then needs half the time to store an order (27 to 34 µs
  instead of 50 to 64 µs, measured alone), and keeps the record byte for byte.
* Threads that fetch pages from a server that answers at once cost more than they gain: 4 connections fetched 21,000
  orders/s, one connection 46,000. So a pass opens only as many connections as the latency of a page is worth.
* An unchanged pass is cheap because it looks stored orders up by primary key and compares 16-byte hashes.
* One Python core and one PostgreSQL core, side by side, limit a first load. These changes made it half as fast again:
  a batch is checked and written column by column instead of order by order; amounts stay the text that came (half a
  million Decimals took a tenth of the time); the garbage collector runs after 50,000 new objects instead of 700
  (another tenth); passes use httpx's transport instead of its client; the writing thread gets turns of 0.05 ms, and its
  send buffer holds a batch; indexes that no query needs are gone (1 to 2 µs per order each); an account without orders
  needs no look-up.
* PostgreSQL needs 31 µs per order, 7 of them to compress the raw record. An uncompressed record writes half as much WAL
  again.
* To make each record harmless takes 4 to 5 % of a first load's speed: 0.96 of that of commit 74a316d, which rejected
  records with odd values (40,000 orders, median of 5, `make bench-passes`). PostgreSQL's share is the same. The largest
  part that is not ours is HTTP: of 394 µs of CPU for each page, httpcore takes 282, and the sockets alone 39.
* Between the first load and the unchanged pass, the benchmark runs VACUUM and CHECKPOINT, as autovacuum would.
  Otherwise hint bits of freshly loaded pages count as WAL of the pass (124 MB, once).
"""


if __name__ == "__main__":
    main()
