"""The pace: shared over processes, never above the limit."""

import subprocess
import sys
import time

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.errors import DailyBudgetSpentError
from orders_sync.marketplaces.kit.rate_limits import RateLimit, SharedRateLimiter
from orders_sync.testing.waiting import limit

CALLS = """
import sys, time
from orders_sync.marketplaces.kit.rate_limits import RateLimit, SharedRateLimiter
limit = RateLimit("edge", 40, 1.0)
pace = SharedRateLimiter("shop", [limit], 1.0)
for _ in range(60):
    asked = time.time()
    pace.wait([limit])
    print(asked, time.time())
"""


def test_two_processes_keep_one_pace(database_url: str) -> None:
    """Of calls that certainly began within one second (asked for and allowed in it), there are no more than 40."""
    runs = [subprocess.Popen([sys.executable, "-c", CALLS], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    calls = sorted(
        (float(asked), float(allowed))
        for run in runs
        for asked, allowed in (line.split() for line in run.communicate(timeout=limit(60))[0].splitlines())
    )
    assert len(calls) == 120
    for start, _ in calls:
        assert sum(1 for asked, allowed in calls if start <= asked and allowed < start + 1.0) <= 40 + 4
    first, last = calls[0][0], max(allowed for _, allowed in calls)
    assert last - first >= (120 - 4) / 40 - 0.1, "each process keeps a pace of its own"


def test_a_block_holds_for_the_whole_account(database_url: str) -> None:
    edge = RateLimit("edge", 1000, 1.0)
    first, second = SharedRateLimiter("shop", [edge], 1.0), SharedRateLimiter("shop", [edge], 1.0)
    other = SharedRateLimiter("other", [edge], 1.0)
    first.block(1.0)
    began = time.monotonic()
    assert other.wait([edge]) == 0
    second.wait([edge])
    assert time.monotonic() - began >= 0.9
    for pace in (first, second, other):
        pace.close()


def test_the_daily_budget_is_told_when_it_is_spent(connection: Connection) -> None:
    limit = RateLimit("care_list", 1000, 1.0, per_day=3)
    pace = SharedRateLimiter("shop", [limit], 1.0)
    for _ in range(3):
        pace.wait([limit])
    with pytest.raises(DailyBudgetSpentError, match="allows 3 calls per day to care_list"):
        pace.wait([limit])
    pace.close()
