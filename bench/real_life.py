"""Compares first loads of clean data and of real-life data, in turn.

    python -m bench.real_life --orders 20000 --runs 5

Real-life data has UTF-8 names, line breaks and backslashes in addresses, and a flaw in one order of fifty
(bench/server.py). Both are loaded by this checkout into the same empty database, over real HTTP, and who begins changes
from round to round.
"""

import argparse
import statistics
import sys

from bench.checkouts import open_checkouts
from bench.passes import empty, measure, rate, settle
from bench.serving import bench_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000, help="orders on each server (default: 20000)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: 5)")
    chosen = parser.parse_args()
    expected = {"fetched": chosen.orders, "created": chosen.orders, "changed": 0}
    with (
        bench_server(chosen.orders) as clean,
        bench_server(chosen.orders, is_real_life=True) as real_life,
        open_checkouts(None) as (checkout,),
    ):
        servers = {"clean": clean, "real-life": real_life}
        for number in range(chosen.runs):
            for name in servers if number % 2 == 0 else reversed(servers):
                empty(checkout)
                settle([checkout])
                measure(checkout, name, servers[name], expected)
            print(f"round {number + 1} of {chosen.runs}", file=sys.stderr, flush=True)
    print(f"| first load of {chosen.orders:,} orders, median of {chosen.runs} | orders/s | CPU s | peak MB |")
    print("|---|---:|---:|---:|")
    for name in servers:
        cpu, peak = checkout.median(name, "cpu_seconds"), checkout.median(name, "peak_mb")
        print(f"| {name} | {rate(checkout, name):,.0f} | {cpu:.3f} | {peak:.1f} |")
    rounds = zip(*(checkout.results[name] for name in servers), strict=True)
    ratio = statistics.median(clean["seconds"] / real["seconds"] for clean, real in rounds)
    print(f"| real-life / clean | {ratio:.3f} | | |")


if __name__ == "__main__":
    main()
