"""The watermark: it only moves forward, each lane has its own, and it moves with the transaction of its pass."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.database.engine import Connection
from orders_sync.lanes.history import started
from orders_sync.lanes.watermark import advance_watermark, watermark
from orders_sync.model.lane import Lane, SyncType

LANE, OTHER = Lane("shop", SyncType.NEW), Lane("shop", SyncType.MODIFIED)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _lanes_have_run(connection: Connection) -> None:
    for lane in (LANE, OTHER):
        started(connection, lane, "a run")


def test_a_lane_without_a_complete_pass_has_none(connection: Connection) -> None:
    assert watermark(connection, LANE) is None
    assert watermark(connection, Lane("unknown", SyncType.NEW)) is None


def test_it_never_moves_back_and_leaves_other_lanes_alone(connection: Connection) -> None:
    assert advance_watermark(connection, LANE, NOON) == NOON
    assert advance_watermark(connection, LANE, NOON - timedelta(days=30)) == NOON  # a backfill
    later = NOON + timedelta(microseconds=1)
    assert advance_watermark(connection, LANE, later) == later
    assert watermark(connection, LANE) == later
    assert watermark(connection, OTHER) is None


def test_it_stays_where_it_was_if_the_transaction_of_the_pass_fails(connection: Connection) -> None:
    advance_watermark(connection, LANE, NOON)
    with connection.transaction(force_rollback=True):
        assert advance_watermark(connection, LANE, NOON + timedelta(hours=1)) > NOON
    assert watermark(connection, LANE) == NOON
