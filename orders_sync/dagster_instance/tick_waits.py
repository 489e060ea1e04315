"""The ticks that wait for something to do (`dagster_support.patient_ticks`), as the daemon and its watch know them."""

from contextlib import suppress

import psycopg

from orders_sync.database.engine import connect
from orders_sync.model.errors import UserFacingError

WAIT_SECONDS = 50.0
"""How long a tick waits at most. Dagster gives one up after 60 s."""
PATIENT_SENSORS = frozenset({"order_events_sensor", "missing_passes", "dead_runs"})
"""The sensors whose ticks wait: how often one is due says nothing about how often one ends."""
ENDS_CHANNEL = "orders_sync_daemon_ends"
"""The channel of PostgreSQL by which the daemon ends the ticks that wait."""


def end_waiting_ticks() -> None:
    """Ends the ticks that wait. Where the orders database does not answer, they have ended by themselves."""
    with suppress(UserFacingError, psycopg.Error), connect(application="orders_sync daemon ends") as connection:
        connection.execute(f"NOTIFY {ENDS_CHANNEL}".encode())
