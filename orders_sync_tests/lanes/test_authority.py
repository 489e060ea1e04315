"""The authority: what each phase allows, and that it stays while somebody acts."""

import pytest

from orders_sync.database.engine import Connection, connect
from orders_sync.lanes.authority import (
    Authority,
    Phase,
    StillActingError,
    current_authority,
    current_phase,
    hold_authority,
    stop_others,
)


def move(connection: Connection, to: Phase) -> None:
    """A move of the cutover as it is stored."""
    connection.execute(
        "INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks) "
        "VALUES (%s, %s, 'a test', false, 'a test', '[]')",
        [current_phase(connection), to],
    )


@pytest.mark.parametrize(
    ("phase", "had_a_v1", "v2_acts", "v1_may_run"),
    [
        (Phase.PARALLEL, True, False, True),
        (Phase.MONITOR, True, False, True),
        (Phase.LIVE, True, True, False),
        (Phase.LIVE, False, True, True),  # the demonstration's V1, before any cutover
    ],
)
def test_what_each_phase_allows(phase: Phase, had_a_v1: bool, v2_acts: bool, v1_may_run: bool) -> None:
    authority = Authority(phase, had_a_v1)
    assert (authority.may_accept_orderlines, authority.may_lock_stock) == (v2_acts, v2_acts)
    assert authority.v1_may_run == v1_may_run


def test_the_last_move_decides_the_phase(connection: Connection) -> None:
    assert current_authority(connection) == Authority(Phase.LIVE, had_a_v1=False)
    for phase in (Phase.PARALLEL, Phase.MONITOR, Phase.LIVE):
        move(connection, phase)
        assert current_authority(connection) == Authority(phase, had_a_v1=True)


def test_several_act_at_once_and_a_move_waits_for_each_of_them(connection: Connection, database_url: str) -> None:
    with (
        connect(database_url, application="the stock job") as stock,
        connect(database_url, application="a pass") as pass_,
        hold_authority(stock) as authority,
    ):
        with hold_authority(pass_) as same:
            assert same == authority
            with pytest.raises(StillActingError, match=r"^a pass, the stock job did not finish within 0\.1 s"):
                stop(connection)
        with pytest.raises(StillActingError, match=r"^the stock job did not finish within 0\.1 s"):
            stop(connection)
    stop(connection)


def stop(connection: Connection) -> None:
    with connection.transaction():
        stop_others(connection, wait_seconds=0.1)


def test_the_wait_of_a_move_limits_no_later_statement(connection: Connection) -> None:
    with connection.transaction():
        stop_others(connection, wait_seconds=0.1)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("1min",)
