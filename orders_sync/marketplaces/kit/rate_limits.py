"""Rate limiters keep the calls of an account below its marketplace's published limits, over all processes.

The state is in PostgreSQL (table rate_limits) and follows the server's clock, so lanes, machines and the CLI share it.
The algorithm is the generic cell rate algorithm (GCRA): calls are spaced evenly, and a short burst may follow a pause.
Calls are spaced instead of sent in one burst per window, since marketplaces do not publish when their windows begin.
"""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import psycopg

from orders_sync.config.account import SellerAccount
from orders_sync.database.engine import Connection, connect
from orders_sync.lanes.lock import held_lanes
from orders_sync.marketplaces.kit.errors import DailyBudgetSpentError, MarketplaceUnavailableError
from orders_sync.marketplaces.kit.waits import PAUSE, RATE_LIMIT, waiting

OUTAGE_MINUTES = 20.0
"""How long a call waits for a marketplace that answers `not now`, where the account does not say it."""
MIN_LONGEST_WAIT_SECONDS = 60.0
"""A wait that the marketplace names is waited for within a pass if it is no longer, whatever the account says."""


def longest_wait(outage_minutes: float) -> float:
    """The longest Retry-After, in seconds, that a pass waits for. A longer one fails the pass."""
    return max(60.0 * outage_minutes, MIN_LONGEST_WAIT_SECONDS)


class PausedError(MarketplaceUnavailableError):
    """The marketplace requested a pause that is too long for a pass, and it is not over. No call was made."""

    def __init__(self, account: str, until: datetime) -> None:
        super().__init__(
            f"The marketplace requested a pause of account {account} until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} "
            "UTC (Retry-After), so no call is made before; the first pass after that continues where the last one "
            "stopped."
        )


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

        Raises DailyBudgetSpentError if a limit per day is used up, and PausedError during a pause that is too long.
        """
        ...

    def block(self, seconds: float, *, remember: bool = False) -> None:
        """Lets no call of this account start for `seconds`, since the marketplace requested a pause.

        `remember`: the pause is too long for a pass, and later ones must know of it.
        """
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
WHERE stored.blocked_until IS NULL OR stored.blocked_until <= clock_timestamp() + %(longest_wait)s::interval
RETURNING extract(epoch FROM next_slot - %(interval)s::interval - clock_timestamp())::float8, day_calls,
  blocked_until IS NOT NULL AND blocked_until > clock_timestamp()
"""
_BLOCK = """
INSERT INTO rate_limits AS stored (account, bucket, next_slot, blocked_until)
SELECT %(account)s, bucket, clock_timestamp(), clock_timestamp() + %(seconds)s::interval
FROM unnest(%(buckets)s::text[]) AS bucket
ON CONFLICT (account, bucket) DO UPDATE SET
  blocked_until = greatest(stored.blocked_until, excluded.blocked_until)
"""
_PAUSE = "SELECT max(blocked_until) FROM rate_limits WHERE account = %s AND blocked_until > clock_timestamp()"


def pause_end(connection: Connection, account: str) -> datetime | None:
    """When the pause of an account ends that the marketplace requested, by our clock; None if there is none."""
    row = connection.execute(_PAUSE, [account]).fetchone()
    return row[0] if row is not None else None


def check_pause(connection: Connection, account: SellerAccount) -> None:
    """Raises PausedError if the marketplace requested a pause of the account that is too long for a pass.

    An account that ignores the published limits begins no pass at all during a pause that is remembered.
    """
    until = pause_end(connection, account.name)
    limits = account.settings.limits
    allowed = longest_wait(limits.outage_minutes) if limits.enforced else 0.0
    if until is not None and until > datetime.now(UTC) + timedelta(seconds=allowed):
        raise PausedError(account.name, until)


def _store_pause(connection: Connection, account: str, limits: Sequence[RateLimit], seconds: float) -> None:
    buckets = [limit.bucket for limit in limits]
    connection.execute(_BLOCK, {"account": account, "buckets": buckets, "seconds": _interval(seconds)})


class _Slot(NamedTuple):
    """The slot of a call."""

    seconds: float
    """The seconds until it begins; negative if it has begun."""
    is_paused: bool
    """Whether it lies behind a pause that the marketplace requested."""


class SharedRateLimiter:
    """The rate limiter of an account, shared over PostgreSQL by all processes that call for this account."""

    def __init__(
        self,
        account: str,
        limits: Sequence[RateLimit],
        share: float,
        url: str | None = None,
        *,
        longest_wait: float = 60.0 * OUTAGE_MINUTES,
    ) -> None:
        """`limits`: all limits of the marketplace, which `block` stops together.

        `share`: the part of each limit to use, above 0 and at most 1. `url`: of the orders database, by default that
        of the environment. `longest_wait`: seconds; a longer pause is not waited for.
        """
        self.longest_wait = longest_wait
        self.account = account
        self.limits = list(limits)
        self.share = share
        self.url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def wait(self, limits: Sequence[RateLimit]) -> float:
        slots = [self._take_slot(limit) for limit in limits]
        wait = max((slot.seconds for slot in slots), default=0.0)
        if wait <= 0:
            return 0.0
        with waiting(PAUSE if any(slot.is_paused for slot in slots) else RATE_LIMIT, wait):
            held_lanes().sleep(wait)
        return wait

    def block(self, seconds: float, *, remember: bool = False) -> None:
        with self._lock:
            _store_pause(self._opened(), self.account, self.limits, seconds)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _take_slot(self, limit: RateLimit) -> _Slot:
        """Takes the next slot for this call."""
        spacing = limit.seconds / (limit.calls * self.share)
        values = {
            "account": self.account,
            "bucket": limit.bucket,
            "interval": _interval(spacing),
            "burst": _interval(spacing * min(BURST, limit.calls // 10)),
            "longest_wait": _interval(self.longest_wait),
        }
        with self._lock:
            connection = self._opened()
            try:
                row = connection.execute(_TAKE_SLOT, values).fetchone()
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                # A proxy may have cut it during a long wait. A slot that is taken twice costs a little time.
                row = self._opened().execute(_TAKE_SLOT, values).fetchone()
            if row is None:
                raise PausedError(self.account, pause_end(self._opened(), self.account) or datetime.now(UTC))
        wait, calls_today, is_paused = row
        if limit.per_day is not None and calls_today > limit.per_day:
            raise DailyBudgetSpentError(
                f"The marketplace allows {limit.per_day} calls per day to {limit.bucket}, and account "
                f"{self.account} has used them; the next call is possible after midnight UTC."
            )
        return _Slot(float(wait), bool(is_paused))

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url, application=f"orders_sync rate limiter {self.account}")
        return self._connection


class LocalRateLimiter:
    """A rate limiter without limits: it waits only after `block`, and only within this process.

    A pause that is too long for a pass is remembered for the account, if there is one.
    """

    def __init__(
        self,
        account: str = "",
        limits: Sequence[RateLimit] = (),
        *,
        longest_wait: float = 60.0 * OUTAGE_MINUTES,
    ) -> None:
        """`account` and `limits`: the names under which a long pause is remembered. `longest_wait`: seconds."""
        self.account = account
        self.limits = list(limits)
        self.longest_wait = longest_wait
        self._blocked_until = 0.0

    def wait(self, limits: Sequence[RateLimit]) -> float:
        wait = self._blocked_until - time.monotonic()
        if wait <= 0:
            return 0.0
        if wait > self.longest_wait:
            raise PausedError(self.account, datetime.now(UTC) + timedelta(seconds=wait))
        with waiting(PAUSE, wait):
            held_lanes().sleep(wait)
        return wait

    def block(self, seconds: float, *, remember: bool = False) -> None:
        self._blocked_until = max(self._blocked_until, time.monotonic() + seconds)
        if remember and self.account:
            with connect(application=f"orders_sync rate limiter {self.account}") as connection:
                _store_pause(connection, self.account, self.limits, seconds)

    def close(self) -> None:
        pass


def rate_limiter_for(account: SellerAccount, limits: Sequence[RateLimit]) -> RateLimiter:
    """The rate limiter of an account: shared, with all `limits`, or local if its file has `limits.enforced: false`."""
    settings = account.settings.limits
    longest = longest_wait(settings.outage_minutes)
    if settings.enforced:
        return SharedRateLimiter(account.name, limits, settings.share, longest_wait=longest)
    return LocalRateLimiter(account.name, limits, longest_wait=longest)


def _interval(seconds: float) -> str:
    return f"{seconds:.6f} seconds"
