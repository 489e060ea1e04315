"""Which stored events a subscription gets: the trigger `fan_out` (revision 0036) asks the same of new ones."""

from typing import LiteralString

MATCHING: LiteralString = """
subscriptions getting JOIN order_events event ON event.kind = ANY (getting.kinds)
  AND (getting.accounts IS NULL OR event.account = ANY (getting.accounts))
  AND (getting.statuses IS NULL OR event.new_status = ANY (getting.statuses))
"""
"""For a FROM: the subscriptions as `getting`, each with the events that it gets, as `event`."""
