"""The authority: what each phase allows, and that it stays while somebody acts."""

from datetime import datetime
from typing import cast

import pytest

from orders_sync.database.engine import Connection, connect
from orders_sync.lanes.authority import (
    AccountPhase,
    Phase,
    StillActingError,
    current_authority,
    hold_authority,
    stop_others,
)


def move(connection: Connection, to: Phase, account: str = "shop") -> datetime:
    """A move of the cutover as it is stored; account '': of the whole project, as it was before revision 0040."""
    ((at,),) = connection.execute(
        "INSERT INTO migration_moves (account, from_phase, to_phase, moved_by, forced, reason, checks) "
        "VALUES (%s, 'live', %s, 'a test', false, 'a test', '[]') RETURNING moved_at",
        [account, to],
    ).fetchall()
    return cast(datetime, at)


@pytest.mark.parametrize(
    ("phase", "has_moved", "is_live", "is_left_to_v1"),
    [
        (Phase.PARALLEL, True, False, True),
        (Phase.MONITOR, True, False, True),
        (Phase.LIVE, True, True, False),
        (Phase.LIVE, False, True, True),  # the demonstration's V1, before any cutover
    ],
)
def test_what_each_phase_allows(
    connection: Connection, phase: Phase, has_moved: bool, is_live: bool, is_left_to_v1: bool
) -> None:
    if has_moved:
        move(connection, phase)
    authority = current_authority(connection)
    assert authority.is_live("shop") == is_live
    assert (authority.is_left_to_v1("shop"), authority.v1_may_run(["shop"])) == (is_left_to_v1, is_left_to_v1)
    assert connection.execute("SELECT is_account_live('shop')").fetchone() == (is_live,)


def test_the_last_move_of_an_account_decides_its_phase_and_no_other_accounts(connection: Connection) -> None:
    for phase in (Phase.PARALLEL, Phase.MONITOR, Phase.LIVE, Phase.PARALLEL):
        at = move(connection, phase)
        assert current_authority(connection).of("shop") == AccountPhase(phase, at)
        assert current_authority(connection).of("other") == AccountPhase(Phase.LIVE, None)
    move(connection, Phase.LIVE, "canary")
    assert current_authority(connection).of("shop").phase is Phase.PARALLEL
    assert current_authority(connection).v1_may_run(["shop", "canary"])
    assert not current_authority(connection).v1_may_run(["canary"])


def test_a_move_of_the_whole_project_counts_until_an_account_moves(connection: Connection) -> None:
    move(connection, Phase.LIVE, "shop")
    at = move(connection, Phase.MONITOR, "")
    assert current_authority(connection).of("shop") == AccountPhase(Phase.MONITOR, at)
    move(connection, Phase.LIVE, "shop")
    authority = current_authority(connection)
    assert (authority.is_live("shop"), authority.is_live("other")) == (True, False)
    live = connection.execute("SELECT is_account_live('shop'), is_account_live('other')").fetchone()
    assert live == (True, False)


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
