"""Notes the progress of a pass while it works, so that others see whether it is stuck."""

import contextlib
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from orders_sync.database.engine import Connection, DatabaseUnreachableError, connect
from orders_sync.database.heartbeat import every
from orders_sync.lanes.progress import Wait, note_progress
from orders_sync.marketplaces.kit.waits import longest_wait
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

BEAT_SECONDS = 5.0
"""How often the progress of a pass is noted."""


@contextmanager
def progress_noted(pass_: RunningPass, lane_run_id: int) -> Generator[None]:
    """For the length of the block, notes every few seconds in lane_runs whether the pass has made progress.

    Progress is a call to the marketplace, or a record that was stored; and a wait that will end. A short pass, or a
    database that does not answer, costs nothing: what is not noted now is noted with the next beat.
    """
    with contextlib.closing(_Notes(pass_, lane_run_id)) as notes, every(BEAT_SECONDS, notes.beat, "notes progress"):
        yield


class _Notes:
    """What was noted last, and a connection of its own: that of the pass may be within a transaction."""

    def __init__(self, pass_: RunningPass, lane_run_id: int) -> None:
        self._pass = pass_
        self._lane_run_id = lane_run_id
        self._connection: Connection | None = None
        self._noted: tuple[object, str | None] | None = None
        self._is_ended = False

    def beat(self) -> None:
        waits = longest_wait()
        state = (self._pass.work_done(), waits and waits[0])
        if waits is None and state == self._noted:
            return
        wait = Wait(waits[0], datetime.now(UTC) + timedelta(seconds=waits[1])) if waits is not None else None
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(application=f"orders_sync progress {self._pass.lane}")
            is_running = note_progress(self._connection, self._lane_run_id, wait)
        except (psycopg.Error, DatabaseUnreachableError) as error:
            log.warning("%s: its progress could not be noted: %s", self._pass.lane, type(error).__name__)
            self.close()
            return
        if not is_running and self._noted is not None and not self._is_ended:
            self._is_ended = True
            log.warning("%s: this pass was ended from outside, since it made no progress", self._pass.lane)
        self._noted = state

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
