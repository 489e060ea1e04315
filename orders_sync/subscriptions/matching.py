"""Which stored events a subscription gets: the trigger `fan_out` (revision 0036) asks the same of new ones."""

from collections.abc import Sequence
from typing import LiteralString

MATCHING: LiteralString = """
subscriptions getting JOIN order_events event ON event.kind = ANY (getting.kinds)
  AND (getting.accounts IS NULL OR event.account = ANY (getting.accounts))
  AND (getting.statuses IS NULL OR event.new_status = ANY (getting.statuses))
"""
"""For a FROM: the subscriptions as `getting`, each with the events that it gets, as `event`."""


def matching_text(kinds: Sequence[str], accounts: Sequence[str] | None, statuses: Sequence[str] | None) -> str:
    """Which events a subscription gets, in words. None: all."""
    of_accounts = f" of {', '.join(accounts)}" if accounts is not None else ""
    of_statuses = f" that lead to {' or '.join(statuses)}" if statuses is not None else ""
    return f"{', '.join(kinds)}{of_accounts}{of_statuses}"
