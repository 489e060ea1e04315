"""Compares first loads of clean data and of real-life data, in turn.

    python -m bench.real_life --orders 20000 --runs 5

Real-life data has UTF-8 names, line breaks and backslashes in addresses, and a flaw in one order of fifty
(bench/server.py). Both are loaded by this checkout into the same empty database, over real HTTP, and who begins changes
from round to round.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.passes import ROOT, Checkout, empty, settle
from bench.serving import bench_server

DATA = ("clean", "real-life")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000, help="orders on each server (default: 20000)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: 5)")
    chosen = parser.parse_args()
    expected = {"fetched": chosen.orders, "created": chosen.orders, "changed": 0}
    with (
        tempfile.TemporaryDirectory(prefix="osbench-") as folder,
        bench_server(chosen.orders) as clean,
        bench_server(chosen.orders, is_real_life=True) as real_life,
    ):
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.database.embedded import embedded_url, stop_if_last

        try:
            url = embedded_url("bench_real_life")
            loads = {name: Checkout(name, ROOT, url) for name in DATA}
            loads["clean"].call("upgrade")
            servers = dict(zip(DATA, (clean, real_life), strict=True))
            for number in range(chosen.runs):
                for name in DATA if number % 2 == 0 else reversed(DATA):
                    empty(loads[name])
                    settle([loads[name]])
                    loads[name].measure("first load", servers[name], expected)
                print(f"round {number + 1} of {chosen.runs}", file=sys.stderr, flush=True)
        finally:
            stop_if_last()
    print(f"| first load of {chosen.orders:,} orders, median of {chosen.runs} | orders/s | CPU s | peak MB |")
    print("|---|---:|---:|---:|")
    for name, load in loads.items():
        cpu, peak = load.median("first load", "cpu_seconds"), load.median("first load", "peak_mb")
        print(f"| {name} | {load.rate('first load'):,.0f} | {cpu:.3f} | {peak:.1f} |")
    rounds = zip(*(load.results["first load"] for load in loads.values()), strict=True)
    ratio = statistics.median(clean["seconds"] / real["seconds"] for clean, real in rounds)
    print(f"| real-life / clean | {ratio:.3f} | | |")


if __name__ == "__main__":
    main()
