"""What the passes of a lane cost in API calls, as measured."""

from collections.abc import Mapping
from typing import LiteralString

from orders_sync.database.engine import Connection
from orders_sync.model.lane import Lane, SyncType


def calls_per_pass(connection: Connection) -> Mapping[Lane, float]:
    """The median of the API calls of each lane's successful passes of the last 7 days; no entry without any.

    The median: a first pass fetches everything, and is no measure of those that follow.
    """
    return {Lane(account, SyncType(sync_type)): calls for account, sync_type, calls in connection.execute(_MEDIANS)}


_MEDIANS: LiteralString = """
SELECT account, sync_type, percentile_cont(0.5) WITHIN GROUP (ORDER BY (summary->>'api_calls')::int)
FROM lane_runs WHERE outcome = 'succeeded' AND started_at > now() - interval '7 days' AND summary ? 'api_calls'
GROUP BY 1, 2
"""
