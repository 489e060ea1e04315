"""Rate limiters keep the calls of an account below its marketplace's published limits, over all processes.

The state is in PostgreSQL (table rate_limits) and follows the server's clock, so lanes, machines and the CLI share it.
The algorithm is the generic cell rate algorithm (GCRA): calls are spaced evenly, and a short burst may follow a pause.
Calls are spaced instead of sent in one burst per window, since marketplaces do not publish when their windows begin.
"""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.kit.errors import DailyBudgetSpentError


class RateLimit(NamedTuple):
    """A published limit: at most `calls` in any `seconds`, and at most `per_day` in a UTC day if that is published."""

    bucket: str
    """The name of what is counted, e.g. an endpoint; the key in the table rate_limits."""
    calls: int
    seconds: float
    per_day: int | None = None


class RateLimiter(Protocol):
    """Decides when the next call of an account may start."""

    def wait(self, limits: Sequence[RateLimit]) -> float:
        """Waits until a call that counts against all `limits` may start. Returns the seconds waited.

        Raises DailyBudgetSpentError if a limit per day is used up.
        """
        ...

    def block(self, seconds: float) -> None:
        """Lets no call of this account start for `seconds`, since the marketplace demands a pause."""
        ...

    def close(self) -> None:
        """Closes what the rate limiter holds open."""
        ...


#: How many calls may start at once after a pause. Small, since the marketplace's window may be half full.
BURST = 4

_TAKE_SLOT = """
INSERT INTO rate_limits AS stored (account, bucket, next_slot, day, day_calls)
VALUES (%(account)s, %(bucket)s, clock_timestamp() + %(interval)s::interval,
  (clock_timestamp() AT TIME ZONE 'UTC')::date, 1)
ON CONFLICT (account, bucket) DO UPDATE SET
  next_slot = greatest(stored.next_slot, clock_timestamp() - %(burst)s::interval, stored.blocked_until)
    + %(interval)s::interval,
  day_calls = CASE WHEN stored.day = excluded.day THEN stored.day_calls ELSE 0 END + 1,
  day = excluded.day
RETURNING extract(epoch FROM next_slot - %(interval)s::interval - clock_timestamp())::float8, day_calls
"""
_BLOCK = """
INSERT INTO rate_limits AS stored (account, bucket, next_slot, blocked_until)
SELECT %(account)s, bucket, clock_timestamp(), clock_timestamp() + %(seconds)s::interval
FROM unnest(%(buckets)s::text[]) AS bucket
ON CONFLICT (account, bucket) DO UPDATE SET
  blocked_until = greatest(stored.blocked_until, excluded.blocked_until)
"""


class SharedRateLimiter:
    """The rate limiter of an account, shared over PostgreSQL by all processes that call for this account."""

    def __init__(self, account: str, limits: Sequence[RateLimit], share: float, url: str | None = None) -> None:
        """`limits`: all limits of the marketplace, which `block` stops together.

        `share`: the part of each limit to use, above 0 and at most 1. `url`: of the orders database, by default that
        of the environment.
        """
        self.account = account
        self.limits = list(limits)
        self.share = share
        self.url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def wait(self, limits: Sequence[RateLimit]) -> float:
        wait = max((self._take_slot(limit) for limit in limits), default=0.0)
        if wait <= 0:
            return 0.0
        time.sleep(wait)
        return wait

    def block(self, seconds: float) -> None:
        with self._lock:
            self._opened().execute(
                _BLOCK,
                {
                    "account": self.account,
                    "buckets": [limit.bucket for limit in self.limits],
                    "seconds": _interval(seconds),
                },
            )

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _take_slot(self, limit: RateLimit) -> float:
        """The seconds until the slot that this call has taken; negative if it has begun."""
        spacing = limit.seconds / (limit.calls * self.share)
        with self._lock:
            row = (
                self._opened()
                .execute(
                    _TAKE_SLOT,
                    {
                        "account": self.account,
                        "bucket": limit.bucket,
                        "interval": _interval(spacing),
                        "burst": _interval(spacing * min(BURST, limit.calls // 10)),
                    },
                )
                .fetchone()
            )
        assert row is not None
        wait, calls_today = row
        if limit.per_day is not None and calls_today > limit.per_day:
            raise DailyBudgetSpentError(
                f"The marketplace allows {limit.per_day} calls per day to {limit.bucket}, and account "
                f"{self.account} has used them; the next call is possible after midnight UTC."
            )
        return float(wait)

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url, application=f"orders_sync rate limiter {self.account}")
        return self._connection


class LocalRateLimiter:
    """A rate limiter without limits: it waits only after `block`, and only within this process."""

    def __init__(self) -> None:
        self._blocked_until = 0.0

    def wait(self, limits: Sequence[RateLimit]) -> float:
        wait = self._blocked_until - time.monotonic()
        if wait <= 0:
            return 0.0
        time.sleep(wait)
        return wait

    def block(self, seconds: float) -> None:
        self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)

    def close(self) -> None:
        pass


def rate_limiter_for(account: SellerAccount, limits: Sequence[RateLimit]) -> RateLimiter:
    """The rate limiter of an account: shared, with all `limits`, or local if its file has `limits.enforced: false`."""
    settings = account.settings.limits
    return SharedRateLimiter(account.name, limits, settings.share) if settings.enforced else LocalRateLimiter()


def _interval(seconds: float) -> str:
    return f"{seconds:.6f} seconds"
