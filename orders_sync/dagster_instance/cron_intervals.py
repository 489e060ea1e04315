"""The shortest interval of a cron, which Dagster computes from a thousand ticks whenever it reads a freshness policy.

Each lane has a policy, and the daemon reads all of them again and again: this was a third of its work at rest.
"""

from functools import cache

from orders_sync.dagster_instance.internals import freshness

_COMPUTES = "get_smallest_cron_interval"


def compute_cron_intervals_once() -> None:
    """Lets this process compute it once for each cron. The result is the same: it depends on the cron alone."""
    computes = getattr(freshness, _COMPUTES)
    if not hasattr(computes, "cache_info"):
        setattr(freshness, _COMPUTES, cache(computes))
