"""Rate limits that are obeyed, not hit: one pace an account and endpoint, shared by all processes.

The pace is kept in PostgreSQL (table rate_limits) by the server's clock, so that lanes, machines and the CLI
share it. It is the generic cell rate algorithm: calls are spaced evenly, a short burst is allowed after a pause.
Even spacing rather than a full window at once, because how a marketplace cuts its windows is not published.
"""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.marketplaces.kit.errors import DailyBudgetSpentError


class RateLimit(NamedTuple):
    """A published limit: `calls` in any `seconds`, and at most `a_day` in a UTC day where one is published."""

    bucket: str
    calls: int
    seconds: float
    a_day: int | None = None


class RateLimiter(Protocol):
    """Who decides when the next call may start."""

    def wait(self, limits: Sequence[RateLimit]) -> float:
        """Waits until a call under all `limits` may start; returns the seconds waited."""
        ...

    def block(self, seconds: float) -> None:
        """The marketplace said to stop: nobody of this account calls for so long."""
        ...

    def close(self) -> None: ...


#: Calls that may start at once after a pause; small, since the window they fall into may be half full.
BURST = 4

_SPACE = """
INSERT INTO rate_limits AS known (account, bucket, next_slot, day, day_calls)
VALUES (%(account)s, %(bucket)s, clock_timestamp() + %(interval)s::interval,
  (clock_timestamp() AT TIME ZONE 'UTC')::date, 1)
ON CONFLICT (account, bucket) DO UPDATE SET
  next_slot = greatest(known.next_slot, clock_timestamp() - %(burst)s::interval, known.blocked_until)
    + %(interval)s::interval,
  day_calls = CASE WHEN known.day = excluded.day THEN known.day_calls ELSE 0 END + 1,
  day = excluded.day
RETURNING extract(epoch FROM next_slot - %(interval)s::interval - clock_timestamp())::float8, day_calls
"""
_BLOCK = """
INSERT INTO rate_limits AS known (account, bucket, next_slot, blocked_until)
SELECT %(account)s, bucket, clock_timestamp(), clock_timestamp() + %(seconds)s::interval
FROM unnest(%(buckets)s::text[]) AS bucket
ON CONFLICT (account, bucket) DO UPDATE SET
  blocked_until = greatest(known.blocked_until, excluded.blocked_until)
"""


class SharedRateLimiter:
    """The pace of an account, shared over PostgreSQL by everybody who asks that account's marketplace."""

    def __init__(self, account: str, limits: Sequence[RateLimit], share: float, url: str | None = None) -> None:
        self.account = account
        self.limits = list(limits)
        self.share = share
        self.url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def wait(self, limits: Sequence[RateLimit]) -> float:
        wait = max((self._slot(limit) for limit in limits), default=0.0)
        if wait <= 0:
            return 0.0
        time.sleep(wait)
        return wait

    def block(self, seconds: float) -> None:
        with self._lock:
            self._open().execute(
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

    def _slot(self, limit: RateLimit) -> float:
        spacing = limit.seconds / (limit.calls * self.share)
        with self._lock:
            row = (
                self._open()
                .execute(
                    _SPACE,
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
        if limit.a_day is not None and calls_today > limit.a_day:
            raise DailyBudgetSpentError(
                f"The marketplace allows {limit.a_day} calls a day to {limit.bucket}, and account "
                f"{self.account} has made them; it goes on after midnight UTC."
            )
        return float(wait)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url, application=f"orders_sync pace {self.account}")
        return self._connection


class LocalRateLimiter:
    """No published limit to keep; only what the marketplace says with a 429, within this process."""

    def __init__(self) -> None:
        self._until = 0.0

    def wait(self, limits: Sequence[RateLimit]) -> float:
        wait = self._until - time.monotonic()
        if wait <= 0:
            return 0.0
        time.sleep(wait)
        return wait

    def block(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)

    def close(self) -> None:
        pass


def rate_limiter_for(account: SellerAccount, limits: Sequence[RateLimit]) -> RateLimiter:
    """The pace of an account under its marketplace's published limits, as far as its file says to keep to them."""
    settings = account.settings.limits
    return SharedRateLimiter(account.name, limits, settings.share) if settings.enforced else LocalRateLimiter()


def _interval(seconds: float) -> str:
    return f"{seconds:.6f} seconds"
