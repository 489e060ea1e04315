"""Notices that Dagster evaluates no ticks any more, from outside Dagster.

When the code server has died, the daemon goes on and sends its heartbeats, but no schedule and no sensor is evaluated;
not even the sensor that fails dead runs.
"""

import time
from typing import TYPE_CHECKING

from orders_sync.cli.status_changes import StatusChange, status_changes
from orders_sync.health.silence import SILENT_SECONDS, silence

if TYPE_CHECKING:  # importing Dagster takes two seconds
    import dagster as dg

LOOK_SECONDS = 5.0
"""How often the watchdog looks into Dagster's storage, however often it is called."""
LONGEST_GAP_SECONDS = 30.0
"""After so much more time between two looks, the ticks are given the time of a start."""
START_SECONDS = 180.0
"""How long it may take until the first tick after a start; twice as long each time that nothing helped."""
LONGEST_START_SECONDS = 900.0


class Watchdog:
    """Looks again and again whether ticks are evaluated. Measures with a clock that never jumps."""

    def __init__(
        self, instance: "dg.DagsterInstance", seconds: float = SILENT_SECONDS, every: float = LOOK_SECONDS
    ) -> None:
        """Expects the first tick within START_SECONDS.

        `seconds`: how long a tick may be overdue. `every`: seconds between two looks.
        """
        self._every = every
        self._look_at = self._looked_at = time.monotonic()
        self._instance = instance
        self._seconds = seconds
        self._seen: frozenset[float] = frozenset()
        self._latest: float | None = None
        self._patience = START_SECONDS
        self._is_starting = True
        self._problems: dict[str, str] = {}
        self._reported: dict[str, str] = {}
        self.wait_for_start()

    def wait_for_start(self) -> None:
        """Expects the next tick within the time that a start may take: something was just started (again)."""
        self._since = time.monotonic()
        self._is_starting = True

    def look(self) -> str | None:
        """What there is to report when no tick was evaluated for too long; then a start is expected. Else None.

        While Dagster's database does not answer, no tick can be: that is no silence, but `changes` reports it.
        """
        from orders_sync.dagster_instance.ticks import StorageUnreachableError, evaluations

        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + self._every
        if now - self._looked_at > self._every + LONGEST_GAP_SECONDS:  # everything may have stood still meanwhile
            self.wait_for_start()
        self._looked_at = now
        try:
            found = evaluations(self._instance)
        except StorageUnreachableError as problem:
            self._problems = {"Dagster's database": f"does not answer: {problem.reason}"}
            self.wait_for_start()
            return None
        self._problems = {f"the tick of {name}": f"failed: {error}" for name, error in found.failures.items()}
        if evaluated := found.moments - self._seen:
            if self._latest is not None:  # the first one that is seen may be of before
                self._is_starting, self._patience = False, START_SECONDS
            self._latest, self._since = max(evaluated), (self._since if self._is_starting else now)
            self._seen = found.moments
        if found.interval is None and self._latest is not None:  # all sensors are switched off: nothing is due
            self._since = now
            return None
        allowed = self._patience if self._is_starting else self._seconds + (found.interval or 0)
        if now - self._since < allowed:
            return None
        if self._is_starting:
            self._patience = min(2 * self._patience, LONGEST_START_SECONDS)
        silent = now - self._since
        self.wait_for_start()
        return silence(self._latest, silent)

    def changes(self) -> list[StatusChange]:
        """What has become wrong or right again by the looks since the last call, apart from silence."""
        before, self._reported = self._reported, self._problems
        # Only that it is wrong is new: how long it has been wrong changes with each look.
        return status_changes(before, {what: before.get(what, how) for what, how in self._problems.items()})
