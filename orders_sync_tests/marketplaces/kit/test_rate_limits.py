"""The rate limiter: shared by all processes, never above the limit."""

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
limiter = SharedRateLimiter("shop", [limit], 1.0)
for _ in range(60):
    requested = time.time()
    limiter.wait([limit])
    print(requested, time.time())
"""


def test_two_processes_together_keep_to_one_limit(database_url: str) -> None:
    """Of calls that certainly began within one second (requested and allowed in it), there are no more than 40."""
    runs = [subprocess.Popen([sys.executable, "-c", CALLS], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    calls = sorted(
        (float(requested), float(allowed))
        for run in runs
        for requested, allowed in (line.split() for line in run.communicate(timeout=limit(60))[0].splitlines())
    )
    assert len(calls) == 120
    for start, _ in calls:
        assert sum(1 for requested, allowed in calls if start <= requested and allowed < start + 1.0) <= 40 + 4
    first, last = calls[0][0], max(allowed for _, allowed in calls)
    assert last - first >= (120 - 4) / 40 - 0.1, "each process has a limiter of its own"


def test_a_block_holds_for_the_whole_account(database_url: str) -> None:
    edge = RateLimit("edge", 1000, 1.0)
    first, second = SharedRateLimiter("shop", [edge], 1.0), SharedRateLimiter("shop", [edge], 1.0)
    other = SharedRateLimiter("other", [edge], 1.0)
    first.block(1.0)
    began = time.monotonic()
    assert other.wait([edge]) == 0
    second.wait([edge])
    assert time.monotonic() - began >= 0.9
    for limiter in (first, second, other):
        limiter.close()


def test_a_used_up_limit_per_day_is_an_error(connection: Connection) -> None:
    limit = RateLimit("care_list", 1000, 1.0, per_day=3)
    limiter = SharedRateLimiter("shop", [limit], 1.0)
    for _ in range(3):
        limiter.wait([limit])
    with pytest.raises(DailyBudgetSpentError, match="allows 3 calls per day to care_list"):
        limiter.wait([limit])
    limiter.close()
