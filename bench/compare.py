"""Measures everything in one run and writes the tables of bench/README.md.

    make bench          (or: python -m bench.compare --orders 20000, for a quick look)

Each pass is a process of its own, so that CPU seconds and peak memory are its alone. All write into the same
embedded PostgreSQL with its default settings.
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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.migration import MARK as WEEK
from bench.variants import ORM_SAMPLE, PAGE_SIZE

PORT = 8907
README = Path(__file__).parent / "README.md"


class Bench:
    """A fresh embedded PostgreSQL, and the passes measured against it."""

    def __init__(self, folder: str) -> None:
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.database.engine import connect, database_url
        from orders_sync.database.schema import upgrade_schema

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

    def forget(self) -> None:
        """Empties our tables."""
        self.connection.execute("TRUNCATE orders, order_items, order_events, lanes, lane_runs")

    def settle(self) -> None:
        """What autovacuum and the checkpointer do within minutes, now: else their writes count as the pass's."""
        self.connection.execute("VACUUM (ANALYZE)")
        self.connection.execute("CHECKPOINT")
        # Data checksums (on by default since PostgreSQL 18) write a page once more when it is first read after that.
        self.connection.execute("SELECT count(fingerprint) FROM orders")

    def measure(self, variant: str) -> dict[str, Any]:
        """One pass of a variant: orders, seconds, cpu_seconds, peak_mb, wal_mb, calls."""
        before = self._position()
        served = control()["served"]
        done = subprocess.run(
            [sys.executable, "-m", "bench.variants", variant, f"http://127.0.0.1:{PORT}"],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{variant} failed:\n{done.stderr[-3000:]}")
        result = json.loads(done.stdout.splitlines()[-1])
        result["wal_mb"] = (self._position() - before) / 1e6
        result["calls"] = control()["served"] - served
        result["rate"] = result["orders"] / result["seconds"]
        print(f"{variant}: {result['rate']:.0f} orders/s", flush=True)
        return result

    def _position(self) -> float:
        row = self.connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
        return float(row[0]) if row else 0.0


def control(**settings: float) -> dict[str, Any]:
    """Tells the bench server what to serve, and asks what it served."""
    query = "&".join(f"{name}={value}" for name, value in settings.items())
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/bench?{query}") as answer:
        return json.load(answer)


@contextmanager
def server(orders: int) -> Iterator[None]:
    """The bench server with so many orders."""
    command = [sys.executable, "-m", "bench.server", "--orders", str(orders), "--port", str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def passes(bench: Bench, orders: int) -> list[str]:
    """First load, unchanged pass and a pass with 2 % changed, of every variant."""
    rows: list[tuple[str, str, dict[str, Any]]] = []

    def note(scene: str, name: str, variant: str) -> dict[str, Any]:
        result = bench.measure(variant)
        rows.append((scene, name, result))
        return result

    fetching = {}
    firsts, unchanged = [], []
    with server(orders):
        for name, variant in (("fetching alone", "fetch"), ("fetching and decoding", "fetch_and_decode")):
            fetching[variant] = note("fetch", name, variant)
        for _ in range(3):
            bench.forget()
            firsts.append(bench.measure("ours"))
        rows.append(("first load", "orders_sync (median of 3)", _median(firsts)))
        bench.settle()
        unchanged = [bench.measure("ours") for _ in range(3)]
        rows.append(("unchanged", "orders_sync (median of 3)", _median(unchanged)))
        others = (("SQLAlchemy ORM, one at a time", "orm"), ("dlt, REST source, merge", "dlt_rest"),
                  ("dlt, Arrow, Parquet, merge", "dlt_arrow"))  # fmt: skip
        theirs = {("first load", v): note("first load", name, v) for name, v in others}
        theirs |= {("unchanged", v): note("unchanged", name, v) for name, v in others}
        control(changed=0.02)
        before = bench.connection.execute("SELECT count(*) FROM orders WHERE revision > 1").fetchone()
        changed = note("2 % changed", "orders_sync", "ours")
        after = bench.connection.execute("SELECT count(*) FROM orders WHERE revision > 1").fetchone()
        for name, variant in others:
            note("2 % changed", name, variant)
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
        f"* 2 % changed: {after[0] - before[0]} orders rewritten, of {changed['orders']} fetched.",
        f"* API calls of a pass: {ours_unchanged['calls']}, the fewest possible are {fewest}.",
        f"* The ORM's figures are of a sample of {ORM_SAMPLE} orders.",
    ]
    return lines


def latency(bench: Bench) -> list[str]:
    """150 ms a page: one connection beside eight."""
    with server(10_000):
        control(latency=0.15)
        results = {}
        for name in ("ours_serial", "ours_8"):
            bench.forget()
            results[name] = bench.measure(name)
    ratio = results["ours_8"]["rate"] / results["ours_serial"]["rate"]
    return [
        f"With 150 ms a page: {results['ours_serial']['rate']:.0f} orders/s over one connection, "
        f"{results['ours_8']['rate']:.0f} with 8 allowed: {ratio:.1f} times (aim 4)."
    ]


def memory(bench: Bench) -> list[str]:
    """Peak memory at 10,000 and at 300,000 orders, first load."""
    peaks = {}
    for orders in (10_000, 300_000):
        with server(orders):
            bench.forget()
            peaks[orders] = bench.measure("ours")["peak_mb"]
    return [
        f"Peak memory of a first load: {peaks[10_000]:.0f} MB at 10,000 orders, {peaks[300_000]:.0f} MB at 300,000: "
        f"{peaks[300_000] / peaks[10_000]:.2f} times (aim at most 1.3, and at most 150 MB)."
    ]


def rate_limit() -> list[str]:
    """A pass against the sandbox with its published limit on (200 calls in 10 s, then 10 s of refusals)."""
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
        f"Under the published limit (20 calls a second): {summary.api_calls} calls in {seconds:.0f} s, "
        f"{used:.0%} of the allowed rate (aim at least 90 %), {summary.too_many_requests} answers of 429 (aim 0)."
    ]


def commit_to_lock(repetitions: int = 9) -> list[str]:
    """From the commit of an order to its stock lock, by Dagster's daemon, sensor, queue and a run's process."""
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
        f"From the commit of an order to its stock lock: {statistics.median(seconds):.1f} s in the median of "
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
            "Made by `make bench` (`python -m bench.compare`), all in one run. Nothing here is asserted by a test.",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL "
            f"{version} (embedded, default settings). {orders:,} orders with {orders * 5 // 2:,} items in the form of "
            f"Back Market's contract (2.4 kB each), {PAGE_SIZE} a page, served from memory. orders_sync runs its whole "
            "`modified` pass: every new or changed record typed and checked, raw record kept, events written.",
            "",
            *passes(bench, orders),
            "",
            *(f"* {line}" for line in (*latency(bench), *memory(bench), *rate_limit())),
        ]
        bench.connection.close()
        stop_if_last()
    text += [f"* {line}" for line in commit_to_lock()]
    week = README.read_text().partition(WEEK)
    README.write_text("\n".join(text) + "\n" + NOTES + ("\n" + WEEK + week[2] if week[1] else ""))
    print(README.read_text())


NOTES = """
## What was learned

* The raw record as `json` instead of `jsonb` halves what PostgreSQL needs to store an order (27 to 34 instead of 50 to
  64 µs, measured alone), and keeps the record byte for byte.
* Threads that fetch pages from a server that answers at once cost more than they bring: with 4 connections 21,000
  orders/s were fetched, with one 46,000. So a pass opens as many connections as the latency of a page is worth.
* Looking up by primary key what is known, and comparing 16-byte hashes, is what makes an unchanged pass cheap.
* A first load is bound by one Python core and one of PostgreSQL, side by side. What made it half as fast again: a batch
  checked and written field by field instead of order by order; amounts kept as the text that came (half a million
  Decimals were a tenth); the garbage collector asked to look after 50,000 objects instead of 700 (a tenth); httpx's
  transport instead of its client; turns of 0.05 ms for the writing thread, and a send buffer that holds a batch; no
  index that nobody needs (1 to 2 µs an order each); no look-up while an account has no orders.
* Of PostgreSQL's 31 µs an order, 7 compress the raw record. Kept uncompressed, it costs half as much WAL again.
* Between load and unchanged pass the bench runs VACUUM and CHECKPOINT, as autovacuum would: else hint bits of freshly
  loaded pages count as the pass's WAL (124 MB, once).
"""


if __name__ == "__main__":
    main()
