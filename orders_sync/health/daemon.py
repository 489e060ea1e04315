"""Whether Dagster's daemon is alive and evaluates ticks."""

import time
from collections.abc import Iterator

from orders_sync.health.finding import Finding
from orders_sync.health.silence import overdue
from orders_sync.model.time_words import span

DAEMON_SILENT_SECONDS = 120
"""A part of Dagster's daemon that sent no heartbeat for longer counts as dead."""
_START = "Start it: `make run`, `dagster dev`, or `orders-sync daemon` on a server. See .state/logs/daemon.log."
RESTART = (
    "The daemon does not run, or its code server has died or hangs. Restart both; `orders-sync watch` does so by "
    "itself. See .state/logs/code_server.log."
)


def examine_daemon() -> Iterator[Finding]:
    """Whether the parts of the daemon are alive, and ticks are evaluated without errors."""
    from orders_sync.config.code_location import is_loaded
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.dagster_instance.ticks import evaluations

    with open_instance() as instance:
        heartbeats = instance.get_daemon_heartbeats()
        silent = overdue(instance, DAEMON_SILENT_SECONDS)
        failures = evaluations(instance).failures
    for name in ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR"):
        heartbeat = heartbeats.get(name)
        age = time.time() - heartbeat.timestamp if heartbeat else None
        if age is None or age > DAEMON_SILENT_SECONDS:
            seen = f"last seen {span(age)} ago" if age is not None else "never seen"
            what = f"the {name.lower()} daemon is not alive ({seen})"
            yield Finding(False, what, _START, kind="daemon", page="/deployment/daemons")
        else:
            yield Finding(True, f"the {name.lower()} daemon was alive {span(age)} ago")
    evaluated = "ticks of schedules and sensors are evaluated"
    yield Finding(silent is None, silent or evaluated, RESTART, kind="no ticks", page="/deployment/daemons")
    for name, error in failures.items():
        if not is_loaded(name):
            continue
        yield Finding(
            False,
            f"the last tick of {name} failed: {error}",
            "See its ticks in the UI, Automation.",
            kind=f"tick {name}",
            page="/automation",
        )
