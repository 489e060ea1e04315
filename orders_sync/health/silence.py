"""Whether the ticks of schedules and sensors are evaluated, by this machine's clock."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orders_sync.model.time_words import moment, span

if TYPE_CHECKING:  # importing Dagster takes two seconds
    import dagster as dg

SILENT_SECONDS = 40.0
"""A tick that is overdue for so long was not evaluated."""


def overdue(instance: "dg.DagsterInstance", seconds: float = SILENT_SECONDS) -> str | None:
    """What there is to report when no tick was evaluated for too long by this machine's clock. Else None."""
    from orders_sync.dagster_instance.ticks import evaluations, last_evaluated

    found = evaluations(instance)
    latest = found.latest if found.latest is not None else last_evaluated(instance)
    if latest is None:
        return silence(None, 0)
    age = time.time() - latest
    return None if found.interval is None or age < seconds + found.interval else silence(latest, age)


def silence(latest: float | None, seconds: float) -> str:
    """One line about ticks that were not evaluated. `latest`: the last one (epoch seconds), `seconds` ago."""
    if latest is None:
        return "no tick of a schedule or sensor was ever evaluated"
    return (
        f"no tick of a schedule or sensor was evaluated since {moment(datetime.fromtimestamp(latest, UTC))} UTC, "
        f"for {span(seconds)}"
    )
