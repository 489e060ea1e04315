"""Measures three passes: the first load, one in which nothing changed, one in which 2 % of the orders changed.

    python -m bench.passes                             this checkout
    python -m bench.passes --checkout PATH             this checkout and another one, in turn
    python -m bench.passes --orders 100000 --runs 9    more orders, more rounds

Each pass is a process of its own, over real HTTP into an embedded PostgreSQL. Each checkout has a database of its own
on the same server. In each round both run every pass one after the other, and who begins changes from round to round:
so the load of the machine affects both alike. Figures are medians of all rounds; the comparison is the median of
the rounds' own ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.serving import BenchServer, bench_server

ROOT = Path(__file__).resolve().parent.parent
CHANGED_SHARE = 0.02
SCENES = ("first load", "unchanged", "2 % changed")


@dataclass
class Checkout:
    """A checkout of the project with a database of its own."""

    name: str
    root: Path
    url: str
    """Of its database."""
    results: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {scene: [] for scene in SCENES})
    """What one_pass.py measured, a row for each round, by scene."""

    def call(self, *arguments: str) -> str:
        """Runs one_pass.py with this checkout's code; returns what it printed. Ends the bench if it fails."""
        done = subprocess.run(
            [sys.executable, "-P", str(ROOT / "bench" / "one_pass.py"), *arguments],
            env={**os.environ, "PYTHONPATH": str(self.root), "ORDERS_DATABASE_URL": self.url},
            cwd=self.root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"A pass of {self.name} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    def measure(self, scene: str, server: BenchServer, expected: dict[str, int]) -> None:
        """Runs one pass and keeps its result. Ends the bench if its counts differ from `expected`."""
        result: dict[str, float] = json.loads(self.call("pass", server.url).splitlines()[-1])
        found = {name: result[name] for name in expected}
        if found != expected:
            raise SystemExit(f"{self.name}, {scene}: the pass counted {found}, expected were {expected}.")
        self.results[scene].append(result)

    def median(self, scene: str, name: str) -> float:
        return statistics.median(result[name] for result in self.results[scene])

    def rate(self, scene: str) -> float:
        """Orders per second, the median of all rounds."""
        return statistics.median(result["fetched"] / result["seconds"] for result in self.results[scene])


def empty(checkout: Checkout) -> None:
    """Removes all rows of a checkout's database."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(checkout.url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
        connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(Identifier(table) for (table,) in tables)))


def settle(checkouts: Iterable[Checkout]) -> None:
    """Does now what autovacuum and the checkpointer would do during the next pass."""
    import psycopg

    for checkout in checkouts:
        with psycopg.connect(checkout.url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")


def run_round(number: int, orders: int, checkouts: list[Checkout], server: BenchServer) -> None:
    """Measures all scenes once for each checkout."""
    turns = checkouts if number % 2 == 0 else checkouts[::-1]
    changed = orders // round(1 / CHANGED_SHARE)
    expected = {
        "first load": {"fetched": orders, "created": orders, "changed": 0},
        "unchanged": {"fetched": orders, "created": 0, "changed": 0},
        "2 % changed": {"fetched": orders, "created": 0, "changed": changed},
    }
    server.control(changed=0)
    for checkout in turns:
        empty(checkout)
    for scene in SCENES:
        settle(turns)
        if scene == "2 % changed":
            server.control(changed=CHANGED_SHARE)
        for checkout in turns:
            checkout.measure(scene, server, expected[scene])


def ratios(this: Checkout, other: Checkout, scene: str) -> dict[str, float]:
    """This checkout compared with another: the median over the rounds, over 1 means more."""
    pairs = list(zip(this.results[scene], other.results[scene], strict=True))
    return {
        "rate": statistics.median(theirs["seconds"] / ours["seconds"] for ours, theirs in pairs),
        "cpu": statistics.median(ours["cpu_seconds"] / theirs["cpu_seconds"] for ours, theirs in pairs),
        "peak": statistics.median(ours["peak_mb"] / theirs["peak_mb"] for ours, theirs in pairs),
    }


def as_document(checkouts: list[Checkout], orders: int, runs: int) -> dict[str, Any]:
    """All figures: rate (orders per second), cpu_seconds and peak_mb of each scene and checkout, and the ratios."""
    scenes: dict[str, Any] = {}
    for scene in SCENES:
        scenes[scene] = {
            checkout.name: {
                "rate": round(checkout.rate(scene)),
                "cpu_seconds": round(checkout.median(scene, "cpu_seconds"), 3),
                "peak_mb": round(checkout.median(scene, "peak_mb"), 1),
            }
            for checkout in checkouts
        }
        if len(checkouts) == 2:
            found = ratios(checkouts[0], checkouts[1], scene)
            scenes[scene]["this / other"] = {name: round(value, 3) for name, value in found.items()}
    return {"orders": orders, "runs": runs, "scenes": scenes}


def as_markdown(document: dict[str, Any]) -> str:
    """The document of `as_document` as a table."""
    lines = [
        f"| {document['orders']:,} orders, median of {document['runs']} | checkout | orders/s | CPU s | peak MB |",
        "|---|---|---:|---:|---:|",
    ]
    for scene, rows in document["scenes"].items():
        for name, row in rows.items():
            if name == "this / other":
                cells = [f"{row['rate']:.3f}", f"{row['cpu']:.3f}", f"{row['peak']:.3f}"]
            else:
                cells = [f"{row['rate']:,}", f"{row['cpu_seconds']:.3f}", f"{row['peak_mb']:.1f}"]
            lines.append(f"| {scene} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000, help="orders on the server (default: 20000)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--checkout", type=Path, help="the folder of another checkout to compare with")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    chosen = parser.parse_args()
    if chosen.checkout is not None and not (chosen.checkout / "orders_sync").is_dir():
        parser.error(f"--checkout: {chosen.checkout} holds no orders_sync")
    with tempfile.TemporaryDirectory(prefix="osbench-") as folder, bench_server(chosen.orders) as server:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.database.embedded import embedded_url, stop_if_last

        try:
            checkouts = [Checkout("this", ROOT, embedded_url("bench_this"))]
            if chosen.checkout is not None:
                checkouts.append(Checkout("other", chosen.checkout.resolve(), embedded_url("bench_other")))
            for checkout in checkouts:
                checkout.call("upgrade")
            for number in range(chosen.runs):
                run_round(number, chosen.orders, checkouts, server)
                print(f"round {number + 1} of {chosen.runs}", file=sys.stderr, flush=True)
        finally:
            stop_if_last()
    document = as_document(checkouts, chosen.orders, chosen.runs)
    print(json.dumps(document) if chosen.json else as_markdown(document))


if __name__ == "__main__":
    main()
