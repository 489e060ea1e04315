"""The summary of the last day that a channel gets in the morning."""

from datetime import UTC, datetime
from typing import LiteralString

from orders_sync.alerts.messages import Message, grouped
from orders_sync.alerts.troubles import present
from orders_sync.database.engine import Connection
from orders_sync.model.control_characters import safe_text

_COUNTS: LiteralString = """
SELECT
  (SELECT count(*) FROM orders WHERE first_stored_at > now() - interval '1 day'),
  (SELECT count(*) FROM orders WHERE shipped_at > now() - interval '1 day'),
  (SELECT count(*) FROM lane_runs WHERE started_at > now() - interval '1 day'),
  (SELECT count(*) FROM lane_runs WHERE started_at > now() - interval '1 day' AND outcome = 'failed'),
  (SELECT coalesce(sum((summary->>'api_calls')::int), 0) FROM lane_runs WHERE started_at > now() - interval '1 day'),
  (SELECT count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL),
  (SELECT count(*) FROM stock_locks WHERE state = 'short'),
  (SELECT count(*) FROM troubles WHERE began_at > now() - interval '1 day')
"""
_WORDS = (
    "orders were stored for the first time",
    "orders were shipped",
    "passes ran",
    "of them failed",
    "API calls were made",
    "records are rejected",
    "items whose stock can't be locked",
    "troubles began",
)


def digest_message(connection: Connection) -> Message:
    """The last 24 hours in numbers, and what is wrong now."""
    counts = connection.execute(_COUNTS).fetchone() or (0,) * len(_WORDS)
    lines = [f"{count} {words}" for count, words in zip(counts, _WORDS, strict=True)]
    troubles = present(connection)
    now = [f"{each.level.upper()} {each.text}" for each in grouped(troubles)] or ["Nothing is wrong."]
    body = "\n".join(["In the last 24 hours:", *lines, "", "Now:", *now])
    title = f"orders_sync: the day until {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {counts[0]} new orders"
    return Message(title, safe_text(body))
