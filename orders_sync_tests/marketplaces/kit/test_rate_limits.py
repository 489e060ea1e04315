"""The rate limiter: shared by all processes, never above the limit."""

import subprocess
import sys
import time

import pytest

from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit.errors import DailyBudgetSpentError
from orders_sync.marketplaces.kit.rate_limits import RateLimit, SharedRateLimiter

CALLS = """
import sys, time
from orders_sync.marketplaces.kit.rate_limits import RateLimit, SharedRateLimiter
limit = RateLimit("edge", 40, 1.0)
limiter = SharedRateLimiter("shop", [limit], 1.0)
end = time.time() + 3
while time.time() < end:
    limiter.wait([limit]); print(time.time(), flush=True)
"""


def test_two_processes_together_keep_to_one_limit(database_url: str) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", CALLS], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    times = sorted(float(line) for run in runs for line in run.communicate()[0].split())
    assert len(times) >= 100, "the limit is used"
    for start in times:
        assert sum(1 for at in times if start <= at < start + 1.0) <= 40 + 4 + 1


def test_a_block_holds_for_the_whole_account(database_url: str) -> None:
    limit = RateLimit("edge", 1000, 1.0)
    first, second = SharedRateLimiter("shop", [limit], 1.0), SharedRateLimiter("shop", [limit], 1.0)
    other = SharedRateLimiter("other", [limit], 1.0)
    first.block(1.0)
    began = time.monotonic()
    assert other.wait([limit]) == 0
    second.wait([limit])
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
