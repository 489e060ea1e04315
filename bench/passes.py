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
import statistics
import sys
from collections.abc import Iterable
from typing import Any

from bench.checkouts import Checkout, add_checkout_option, open_checkouts
from bench.serving import BenchServer, bench_server

CHANGED_SHARE = 0.02
SCENES = ("first load", "unchanged", "2 % changed")


def measure(checkout: Checkout, scene: str, server: BenchServer, expected: dict[str, int]) -> None:
    """Runs one pass and keeps its result. Ends the bench if its counts differ from `expected`."""
    result: dict[str, float] = json.loads(checkout.call("one_pass.py", "pass", server.url).splitlines()[-1])
    found = {name: result[name] for name in expected}
    if found != expected:
        raise SystemExit(f"{checkout.name}, {scene}: the pass counted {found}, expected were {expected}.")
    checkout.results[scene].append(result)


def rate(checkout: Checkout, scene: str) -> float:
    """Orders per second, the median of all rounds."""
    return statistics.median(result["fetched"] / result["seconds"] for result in checkout.results[scene])


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
            measure(checkout, scene, server, expected[scene])


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
                "rate": round(rate(checkout, scene)),
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
    add_checkout_option(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    chosen = parser.parse_args()
    with bench_server(chosen.orders) as server, open_checkouts(chosen.checkout) as checkouts:
        for number in range(chosen.runs):
            run_round(number, chosen.orders, checkouts, server)
            print(f"round {number + 1} of {chosen.runs}", file=sys.stderr, flush=True)
    document = as_document(checkouts, chosen.orders, chosen.runs)
    print(json.dumps(document) if chosen.json else as_markdown(document))


if __name__ == "__main__":
    main()
