"""`python -m orders_sync_tests.fuzz --seconds 3600`: as many trials as fit into that CPU time, and their figures.

What is stored goes into a real PostgreSQL, as json and as jsonb. Exits with 1 if a trial failed; each kind of failure is
printed once, with its input and the seed that repeats it (`--seed`, `--trials 1`).
"""

import argparse
import re
import sys
import time
from collections import Counter
from random import Random

import psycopg

from orders_sync.marketplaces.kit.adapter import Adapter
from orders_sync.testing.databases import orders_database
from orders_sync.testing.record_outcomes import OutcomeError, Stored
from orders_sync_tests.fuzz.inputs import CONTRACTS
from orders_sync_tests.fuzz.trial import result_of, try_care_record, try_order, try_page

RESULTS = ("stored", "flawed", "rejected", "page", "refused page", "failed")
BATCH = 500
"""Stored records for one query."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzes the decoding of all adapters.")
    parser.add_argument("--seconds", type=float, default=300, help="CPU time of this process")
    parser.add_argument("--seed", type=int, default=1, help="the first trial's seed; each further one has the next")
    parser.add_argument("--trials", type=int, default=sys.maxsize)
    options = parser.parse_args()
    figures: dict[str, Counter[str]] = {name: Counter() for name in CONTRACTS}
    failures: dict[str, str] = {}
    adapters = {name: contract.open() for name, contract in CONTRACTS.items()}
    with orders_database() as url, psycopg.connect(url, autocommit=True) as connection:
        stored: list[tuple[int, bytes]] = []
        for seed in range(options.seed, options.seed + options.trials):
            marketplace = list(CONTRACTS)[seed % len(CONTRACTS)]
            try:
                result, raw = _trial(marketplace, adapters[marketplace], Random(seed))
            except OutcomeError as problem:
                result, raw = "failed", None
                failures.setdefault(f"{marketplace}: {_kind(problem)}", f"seed {seed}: {str(problem)[:3_000]}")
            figures[marketplace][result] += 1
            if raw is not None:
                stored.append((seed, raw))
            is_over = time.process_time() > options.seconds
            if len(stored) >= BATCH or is_over:
                failures.update(_refused_by_postgresql(connection, stored))
                stored.clear()
            if is_over:
                break
        failures.update(_refused_by_postgresql(connection, stored))
    for adapter in adapters.values():
        adapter.close()
    _print(figures, failures)
    return 1 if failures else 0


def _trial(marketplace: str, adapter: Adapter, random: Random) -> tuple[str, bytes | None]:
    """The result, and what is stored."""
    match random.choice(["order", "order", "order", "care record", "page"]):
        case "page":
            return try_page(marketplace, random), None
        case "order":
            outcome = try_order(marketplace, adapter, random)
        case _:
            outcome = try_care_record(marketplace, adapter, random)
    return result_of(outcome), outcome.raw if isinstance(outcome, Stored) else None


def _refused_by_postgresql(connection: psycopg.Connection, stored: list[tuple[int, bytes]]) -> dict[str, str]:
    """The failures of PostgreSQL to take what is stored, one by one if it does not take all."""
    try:
        _cast(connection, [raw for _, raw in stored])
    except psycopg.Error:
        failures: dict[str, str] = {}
        for seed, raw in stored:
            try:
                _cast(connection, [raw])
            except psycopg.Error as error:
                if not isinstance(error, psycopg.errors.NumericValueOutOfRange):  # an exponent beyond numeric's range
                    failures[f"PostgreSQL: {_kind(error)}"] = f"seed {seed}: {error}; stored: {raw[:3_000]!r}"
        return failures
    return {}


def _cast(connection: psycopg.Connection, raws: list[bytes]) -> None:
    texts = [raw.decode() for raw in raws]
    connection.execute("SELECT count(text::json), count(text::jsonb) FROM unnest(%s::text[]) AS text", [texts])


def _kind(problem: Exception) -> str:
    return re.sub(r"\d+", "N", re.split("; record: |; page: |\n", str(problem))[0])[:120]


def _print(figures: dict[str, Counter[str]], failures: dict[str, str]) -> None:
    total = sum(figures.values(), Counter[str]())
    print(f"{'':<12}{'inputs':>12}" + "".join(f"{result:>14}" for result in RESULTS))
    for name, counts in [*figures.items(), ("all", total)]:
        print(f"{name:<12}{counts.total():>12,}" + "".join(f"{counts[result]:>14,}" for result in RESULTS))
    print(f"{time.process_time():,.0f} CPU seconds, {len(failures)} kinds of failure")
    for kind, example in failures.items():
        print(f"\n{kind}\n  {example}")


if __name__ == "__main__":
    sys.exit(main())
