"""`python -m orders_sync_tests.stock.stress --seconds 60`: stock under load, and its figures.

Processes change thousands of orders at random, as a marketplace may; other processes apply the events; one imports
levels, adjusts, decides and books returns. In the end everything pending is applied. Exits with 1 if a lock is wrong, an
invariant of orders_sync.testing.invariants is broken, a SKU has other pieces than its last count and what moved since
leave, or an event failed. With `--sku-case ignore`, orders spell SKUs in upper or lower case, and the setting changes
again and again.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from random import Random
from typing import Any, TypeAlias

from orders_sync.database.engine import Connection, connect
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.by_hand import By, StockActError, adjust, decide, return_to_stock
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import has_left, held, still_here
from orders_sync.stock.input import StockInputError
from orders_sync.stock.levels import import_levels
from orders_sync.stock.needs import Decision
from orders_sync.stock.settings import set_sku_case
from orders_sync.stock.sku_case import SkuCase
from orders_sync.stock.stock_skus import StockSku, import_stock_skus
from orders_sync.stock.wrong_locks import wrong_locks
from orders_sync.testing.databases import orders_database
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_label, store_order

SKUS = [f"SKU{number}" for number in range(40)]
ALIASES = [StockSku("", "ALIAS", "SKU0", 1), StockSku("", "SET", "SKU1", 1), StockSku("", "SET", "SKU2", 2)]
OFFERED = [*SKUS, "ALIAS", "SET"]
NEXT = {
    "awaiting_payment": ["pending", "unpaid"],
    "pending": ["accepted", "accepted", "cancelled", "refunded_before_shipping", "unknown"],
    "accepted": ["shipped", "shipped", "cancelled", "refunded_before_shipping", "refunded_after_shipping", "unknown"],
    "unknown": ["accepted", "cancelled"],
    "shipped": ["returned", "refunded_after_shipping"],
}
"""The changes of status that may happen; an item in another status changes no more."""
MERGERS, WORKERS = 2, 2
DECISIONS = [Decision.LOCK, Decision.RELEASE, Decision.SHIPPED, Decision.NOT_SHIPPED]
START_SECONDS = 120
"""How long the processes may take to start."""
BY = By("stress@test", "a random act")


@dataclass(frozen=True)
class Figures:
    """What a run did, and what it left behind."""

    orders: int
    seconds: float
    changes: int
    events: int
    acts: Counter[str]
    transitions: Counter[str]
    deadlocks: int
    failed_events: int
    wrong_items: int
    wrong_skus: list[str]
    """SKUs that have other pieces on hand than their last count and what moved since leave."""
    broken: str | None
    """The first invariant that does not hold."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.wrong_items or self.wrong_skus or self.failed_events or self.broken)


Results: TypeAlias = "Queue[Counter[str] | str]"
"""What each process did, or why it failed."""


def stress(url: str, seconds: float, orders: int, seed: int = 1, sku_case: SkuCase = SkuCase.EXACT) -> Figures:
    """Runs all processes for so long on an empty orders database, and returns the figures.

    `sku_case`: IGNORE if that is to be the setting at times, and in the end. Raises RuntimeError if a process fails.
    """
    with connect(url) as connection:
        stock = StockConnection(connection)
        import_levels(stock, dict.fromkeys(SKUS, orders // len(SKUS)))
        import_stock_skus(stock, ALIASES)
        random = Random(seed)
        with connection.transaction():
            for number in range(orders):
                store_order(connection, _new_order(random, number, sku_case))
                if number % 3:
                    store_label(connection, str(number))
    context = multiprocessing.get_context("spawn")
    results: Results = context.Queue()
    jobs = [
        *((_change_orders, (orders, part, seed, sku_case)) for part in range(MERGERS)),
        *((_apply_events, (seed + part,)) for part in range(WORKERS)),
        (_act_by_hand, (orders, seed, sku_case)),
    ]
    started = context.Barrier(len(jobs), timeout=START_SECONDS)
    processes = [
        context.Process(target=_report, args=(results, started, url, seconds, job, arguments))
        for job, arguments in jobs
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    if problems := [each for each in found if isinstance(each, str)]:
        raise RuntimeError("\n".join(problems))
    counts = Counter[str]()
    for each in found:
        if not isinstance(each, str):
            counts.update(each)
    return _figures(url, orders, seconds, counts, sku_case)


def _figures(url: str, orders: int, seconds: float, counts: Counter[str], sku_case: SkuCase) -> Figures:
    with connect(url) as connection:
        stock = StockConnection(connection)
        set_sku_case(stock, sku_case, BY)
        last = apply_pending(stock)
        wrong = wrong_locks(stock)
        wrong_skus = _wrong_skus(stock, {sku: _with(counts, "counted ")[sku] for sku in SKUS})
        broken = None
        try:
            check_invariants(connection)
        except AssertionError as problem:
            broken = str(problem)
        row = connection.execute(
            "SELECT (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()), "
            "(SELECT count(*) FROM order_events WHERE attempts > 1 OR problem IS NOT NULL)"
        ).fetchone()
        deadlocks, failed = row or (0, 0)
    return Figures(
        orders=orders + counts["placed"],
        seconds=seconds,
        changes=counts["changes"],
        events=counts["events"] + last.events,
        acts=_with(counts, "act "),
        transitions=_with(counts, "to ") + last.transitions,
        deadlocks=deadlocks,
        failed_events=failed,
        wrong_items=len({(each.account, each.item_id) for each in wrong}),
        wrong_skus=wrong_skus,
        broken=broken,
    )


def _wrong_skus(stock: StockConnection, counted: dict[str, int]) -> list[str]:
    """SKUs that have other pieces on hand than their last count, `counted`, and what moved since leave."""
    return [sku for (sku,) in stock.execute(_WRONG_SKUS, [list(counted), list(counted.values())])]


_WRONG_SKUS = """
SELECT sku FROM stock_levels level JOIN unnest(%s::text[], %s::int[]) AS counted (sku, pieces) USING (sku)
WHERE level.on_hand - level.missing <> counted.pieces + (
  SELECT coalesce(sum(moved.pieces), 0) FROM stock_movements moved WHERE moved.sku = level.sku
    AND moved.kind <> 'counted' AND coalesce(moved.moved_at, moved.at) > level.counted_at)
ORDER BY sku
"""


def _with(counts: Counter[str], prefix: str) -> Counter[str]:
    return Counter({name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)})


def _report(results: Results, started: Barrier, url: str, seconds: float, job: Any, arguments: tuple[Any, ...]) -> None:
    """Runs a job in its process, once all have started; puts its counts, or its failure in one text."""
    try:
        started.wait()
        results.put(job(url, time.time() + seconds, *arguments))
    except BaseException as failure:
        results.put(f"{job.__name__}: {type(failure).__name__}: {failure}")


def _offered(random: Random, sku_case: SkuCase) -> str:
    """A SKU as an order spells it."""
    sku = random.choice(OFFERED)
    return random.choice([sku, sku.lower()]) if sku_case is SkuCase.IGNORE else sku


def _new_order(random: Random, number: int, sku_case: SkuCase) -> StoredOrder:
    now = datetime.now(UTC)
    items = [
        StoredItem(f"{number}-{part}", _offered(random, sku_case), random.randint(1, 3), random.choice(list(NEXT)[:3]))
        for part in range(random.randint(1, 2))
    ]
    age = timedelta(minutes=random.randint(0, 10_000))
    return StoredOrder(str(number), items, created_at=now - age, modified_at=now)


def _change_orders(url: str, end: float, orders: int, part: int, seed: int, sku_case: SkuCase) -> Counter[str]:
    """Changes the orders of this part at random, and places new ones."""
    random = Random(f"{seed} {part}")
    counts: Counter[str] = Counter()
    numbers = [*range(part, orders, MERGERS)]
    with connect(url) as connection:
        while time.time() < end:
            with connection.transaction():
                for number in sorted(random.sample(numbers, 5)):
                    store_order(connection, _changed_order(random, connection, number, sku_case))
                numbers.append(numbers[-1] + MERGERS)
                store_order(connection, _new_order(random, numbers[-1], sku_case))
            counts["changes"] += 6
            counts["placed"] += 1
    return counts


def _changed_order(random: Random, connection: Connection, number: int, sku_case: SkuCase) -> StoredOrder:
    rows = connection.execute(
        "SELECT item_id, sku, quantity, status, cancelled, shipped, kind FROM order_items "
        "WHERE account = %s AND order_id = %s ORDER BY item_id",
        [ACCOUNT, str(number)],
    )
    items = [_changed_item(random, StoredItem(*row), sku_case) for row in rows]
    return StoredOrder(str(number), items, random.choice(["accepted", "unknown"]), modified_at=datetime.now(UTC))


def _changed_item(random: Random, item: StoredItem, sku_case: SkuCase) -> StoredItem:
    is_open = item.status in ("pending", "accepted", "unknown")
    rest = item.quantity - (item.shipped or 0) - (item.cancelled or 0)
    match random.choice(["status", "status", "quantity", "sku", "ship", "cancel", "nothing"]):
        case "status" if item.status in NEXT:
            return item._replace(status=random.choice(NEXT[item.status]))
        case "quantity" if is_open:
            return item._replace(quantity=item.quantity - rest + random.randint(1, 4))
        case "sku" if is_open:
            return item._replace(sku=_offered(random, sku_case))
        case "ship" if is_open and rest > 0:
            return item._replace(shipped=(item.shipped or 0) + random.randint(1, rest))
        case "cancel" if is_open and rest > 0:
            return item._replace(cancelled=(item.cancelled or 0) + random.randint(1, rest))
        case _:
            return item


def _apply_events(url: str, end: float, seed: int) -> Counter[str]:
    random = Random(seed)
    counts: Counter[str] = Counter()
    with connect(url) as connection:
        stock = StockConnection(connection)
        while time.time() < end:
            applied = apply_pending(stock, batch=random.choice([1, 10, 100, 500]))
            counts["events"] += applied.events
            counts.update({f"to {state}": count for state, count in applied.transitions.items()})
            if not applied.events:
                time.sleep(0.01)
    return counts


def _act_by_hand(url: str, end: float, orders: int, seed: int, sku_case: SkuCase) -> Counter[str]:
    """Imports and acts of a person, some ten a second. Also counts the pieces of each SKU, as last imported."""
    random = Random(f"{seed} by hand")
    counts = Counter({f"counted {sku}": orders // len(SKUS) for sku in SKUS})
    left: list[str] = []
    acts = ["import", "adjust", "decide", "return", "skus", "held", *(["case"] if sku_case is SkuCase.IGNORE else [])]
    with connect(url) as connection:
        stock = StockConnection(connection)
        while time.time() < end:
            left = left or random.sample(acts, len(acts))  # each act has its turn, also on a slow machine
            act = left.pop()
            key = (ACCOUNT, f"{random.randrange(orders)}-0")
            with suppress(StockActError, StockInputError):
                match act:
                    case "import":
                        counted_at = datetime.now(UTC) - timedelta(seconds=random.choice([0, 0, 1]))
                        levels = {sku: random.randint(0, orders // 20) for sku in random.sample(SKUS, 20)}
                        outdated = import_levels(stock, levels, counted_at=counted_at).outdated
                        for sku in levels.keys() - set(outdated):
                            counts[f"counted {sku}"] = levels[sku]
                    case "adjust":
                        adjust(stock, random.choice(SKUS), random.randint(-20, 20), BY)
                    case "decide":
                        decide(stock, key, random.choice(DECISIONS), BY)
                    case "held":
                        found = random.choice(held(stock) or [None])
                        if found is not None:
                            random.choice([still_here, has_left])(stock, (found.account, found.item_id), None, BY)
                    case "return":
                        return_to_stock(stock, {key: 1}, BY)
                    case "case":
                        set_sku_case(stock, random.choice(list(SkuCase)), BY)
                    case _:
                        import_stock_skus(stock, random.choice([ALIASES, ALIASES[:1], []]))
                counts[f"act {act}"] += 1
            time.sleep(0.05)
    return counts


def main() -> int:
    """Prints the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Changes, events, imports and acts by hand, all at once.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--orders", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("--sku-case", type=SkuCase, choices=list(SkuCase), default=SkuCase.EXACT)
    options = parser.parse_args()
    with orders_database() as url:
        figures = stress(url, options.seconds, options.orders, options.seed, options.sku_case)
    print(
        f"sku_case {options.sku_case}, seed {options.seed}: {MERGERS} processes changed orders, {WORKERS} applied events, one acted by hand"
    )
    print(f"{figures.orders:,} orders, {figures.seconds:g} s, {figures.changes:,} changes, {figures.events:,} events")
    for what, counts in (("locks became", figures.transitions), ("acts", figures.acts)):
        print(f"{what}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())))
    print(f"{figures.deadlocks} deadlocks, {figures.failed_events} failed events, {figures.wrong_items} wrong items")
    print(f"SKUs with wrong pieces on hand: {', '.join(figures.wrong_skus) or 'none'}")
    if figures.broken:
        print(f"An invariant does not hold: {figures.broken}")
    return 0 if figures.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
