"""The cutover account by account: a move is about the accounts that it names, and no other account notices it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orders_sync.config import v1 as v1_settings
from orders_sync.config.v1 import CutoverError, CutoverSettings, Run
from orders_sync.cutover import moves
from orders_sync.cutover.moves import accounts_in, accounts_to_move_back
from orders_sync.cutover.phases import moves as moves_made
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.lanes.authority import Phase
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cutover.moved import BY
from orders_sync_tests.cutover.three_accounts import ACCOUNTS, ALONE, V1, advance, locks, of, phases, shop


@pytest.fixture
def settings(settings_of_three: CutoverSettings) -> CutoverSettings:
    return settings_of_three


@pytest.mark.usefixtures("v1")
class TestWhichAccountsMove:
    """Those that are named, or else all that the move can be about."""

    def test_begin_is_about_v1s_accounts_and_no_other(self, connection: Connection, settings: CutoverSettings) -> None:
        made = moves.begin(connection, settings, BY)
        assert [(move.account, move.from_phase, move.to_phase) for move in made] == [
            (account, Phase.LIVE, Phase.PARALLEL) for account in ACCOUNTS
        ]
        assert phases(connection) == {**dict.fromkeys(ACCOUNTS, Phase.PARALLEL), ALONE: Phase.LIVE}

    def test_begin_names_accounts_and_the_others_go_on_live(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        moves.begin(connection, settings, BY, ["small"])
        assert {name for name, phase in phases(connection).items() if phase is not Phase.LIVE} == {"small"}
        with pytest.raises(CutoverError, match=r"begun already \(small: parallel\)"):
            moves.begin(connection, settings, BY)
        moves.begin(connection, settings, BY, ["canary", "large"])
        assert phases(connection) == {**dict.fromkeys(ACCOUNTS, Phase.PARALLEL), ALONE: Phase.LIVE}

    def test_nothing_begins_while_nobody_has_said_whether_v1_has_an_account(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        """V2 would go on accepting its orders beside V1."""
        forgotten = settings.model_copy(update={"accounts_without_v1": []})
        with pytest.raises(CutoverError, match=r"accepting orders of without_v1, which .* does not name"):
            moves.begin(connection, forgotten, BY)
        assert moves_made(connection) == []

    def test_an_account_that_v1_does_not_have_is_named(self, connection: Connection, settings: CutoverSettings) -> None:
        for account in (ALONE, "canry"):
            with pytest.raises(
                CutoverError, match=f"V1 has no account {account}; those of .* are canary, large, small"
            ):
                moves.begin(connection, settings, BY, [account])

    def test_accounts_in_different_phases_move_by_their_names(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        moves.begin(connection, settings, BY)
        advance(connection, settings, "canary")
        with pytest.raises(
            CutoverError, match=r"different phases \(canary: monitor, large: parallel, small: parallel\)"
        ):
            accounts_in(connection, settings)
        advance(connection, settings, "canary")
        assert phases(connection) == {
            "canary": Phase.LIVE, "large": Phase.PARALLEL, "small": Phase.PARALLEL, ALONE: Phase.LIVE,
        }  # fmt: skip
        assert accounts_in(connection, settings) == ["large", "small"], "those that are left"
        advance(connection, settings, times=2)
        assert set(phases(connection).values()) == {Phase.LIVE}
        with pytest.raises(CutoverError, match="No account is in a cutover"):
            advance(connection, settings)

    def test_back_is_about_those_that_have_moved_on(self, connection: Connection, settings: CutoverSettings) -> None:
        moves.begin(connection, settings, BY, ["canary", "large"])
        advance(connection, settings, "canary", times=2)
        with pytest.raises(CutoverError, match="different phases"):
            accounts_to_move_back(connection, settings, [])
        moves.back(connection, ["canary"], BY)
        assert phases(connection)["canary"] is Phase.PARALLEL
        with pytest.raises(CutoverError, match="first phase"):
            moves.back(connection, accounts_to_move_back(connection, settings, []), BY)


@pytest.mark.usefixtures("v1")
class TestV1sSchedules:
    """They are V1's for all of its accounts: they go off with the last one."""

    @pytest.fixture(autouse=True)
    def monitored(self, connection: Connection, settings: CutoverSettings) -> None:
        moves.begin(connection, settings, BY)
        advance(connection, settings)

    def test_they_go_off_with_the_last_account_alone(self, connection: Connection, settings: CutoverSettings) -> None:
        switched: list[str] = []

        @contextmanager
        def off() -> Iterator[list[str]]:
            switched.append("off")
            yield []

        advance(connection, settings, "canary", v1_off=off)
        advance(connection, settings, "large", v1_off=off)
        assert switched == []
        advance(connection, settings, "small", v1_off=off)
        assert switched == ["off"]

    def test_an_account_does_not_move_while_dagster_runs_v1_for_it(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        deaf = settings.model_copy(update={"run": Run(kind="command", command="v1 {command}")})
        with pytest.raises(
            CutoverError, match=r"refresh_new_schedule would go on with canary: .* Write \{marketplaces\}"
        ):
            advance(connection, deaf, "canary", v1_schedules_on=lambda: ["refresh_new_schedule"])
        assert phases(connection)["canary"] is Phase.MONITOR
        advance(connection, deaf, "canary", v1_schedules_on=list)
        advance(connection, settings, "large", v1_schedules_on=lambda: ["refresh_new_schedule"])
        assert phases(connection)["small"] is Phase.MONITOR


class TestOneStock:
    """All accounts share it, whoever has the authority over them."""

    def test_a_move_changes_no_lock_that_both_have(
        self, connection: Connection, settings: CutoverSettings, v1: V1
    ) -> None:
        stock = shop(connection, of("canary", 1), of("large", 2))
        v1.holds("canary", "1")
        v1.holds("large", "2")
        before = locks(stock), stock.execute("SELECT count(*) FROM stock_lock_history").fetchone()
        moves.begin(connection, settings, BY)
        advance(connection, settings, "canary", times=2)
        moves.back(connection, ["canary"], BY)
        assert (locks(stock), stock.execute("SELECT count(*) FROM stock_lock_history").fetchone()) == before

    def test_what_v1_holds_for_its_other_accounts_is_not_taken(
        self, connection: Connection, settings: CutoverSettings, v1: V1
    ) -> None:
        """V1 has promised a piece to each of them."""
        stock = shop(
            connection, of("canary", 1, quantity=2), of("large", 2), of("canary", 3),
            of(ALONE, 4, quantity=9),
        )  # fmt: skip
        assert locks(stock) == {"canary/1": (2, 0), "large/2": (1, 0), "canary/3": (0, 1), "without_v1/4": (0, 9)}
        v1.holds("canary", "3")
        v1.holds("large", "2")
        moves.begin(connection, settings, BY)
        advance(connection, settings, "canary", times=2)
        assert locks(stock) == {"canary/1": (1, 1), "large/2": (1, 0), "canary/3": (1, 0), "without_v1/4": (0, 9)}
        check_invariants(connection)

    def test_locks_that_v1_has_forgotten_are_listed_and_not_taken(
        self, connection: Connection, settings: CutoverSettings, v1: V1
    ) -> None:
        stock = shop(
            connection,
            of("canary", 1, "refunded_before_shipping"),
            of("canary", 2),
            of("large", 3, "cancelled"),
        )
        for account, item_id in (("canary", "1"), ("canary", "2"), ("large", "3"), ("canary", "unknown")):
            v1.holds(account, item_id)
        moves.begin(connection, settings, BY)
        (move,) = advance(connection, settings, "canary", times=2)
        assert move.not_taken == [
            {"order_id": "1", "item_id": "1", "status": "refunded_before_shipping"},
            {"order_id": "", "item_id": "unknown", "status": "not in V2"},
        ]
        assert moves_made(connection)[-1].not_taken == move.not_taken
        assert locks(stock) == {"canary/2": (1, 0)}

    def test_a_move_that_fails_leaves_everything_as_it_was(
        self,
        connection: Connection,
        settings: CutoverSettings,
        v1: V1,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stock = shop(connection, of("canary", 1, "unknown"))
        v1.holds("canary", "1")
        moves.begin(connection, settings, BY)
        advance(connection, settings)

        def fails(*_: object, **__: object) -> None:
            raise ValueError("the disk is full")

        monkeypatch.setattr(moves, "note_moves", fails)
        with pytest.raises(ValueError, match="the disk is full"):
            advance(connection, settings, "canary")
        assert locks(stock) == {}
        assert phases(connection)["canary"] is Phase.MONITOR


def test_v2_accepts_for_the_accounts_that_it_has(
    connection: Connection, settings: CutoverSettings, marketplace: Marketplace
) -> None:
    an_order(marketplace, 1, state=1, line_state=1)
    moves.begin(connection, settings, BY, ["canary"])
    sync(sandbox_account(marketplace, name="canary", accept_orderlines=True))
    assert marketplace.sandbox.writes == []
    sync(sandbox_account(marketplace, name="large", accept_orderlines=True))
    assert len(marketplace.sandbox.writes) == 1


def test_v1s_command_gets_the_marketplaces_that_are_left_to_it(settings: CutoverSettings) -> None:
    assert settings.run.arguments("refresh:new", ["1", "a b"]) == ["v1", "refresh:new", "1,a b"]
    by_url = Run(kind="url", url="https://v1.example/{command}?m={marketplaces}")
    assert by_url.can_leave_out
    assert by_url.address("refresh:new", ["1", "a b"]) == "https://v1.example/refresh:new?m=1,a%20b"
    assert not Run(kind="url", url="https://v1.example/{command}", command="{marketplaces}").can_leave_out


@pytest.mark.usefixtures("v1")
def test_an_account_that_the_settings_lose_while_v1_has_it_is_found(
    connection: Connection, settings: CutoverSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else V2 would accept nothing for it, and nobody would know."""
    moves.begin(connection, settings, BY)
    fewer = settings.model_copy(update={"marketplaces": {"v1 large": "large", "v1 small": "small"}})
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: fewer)
    (found,) = (each for each in EXAMINATIONS["cutover"]() if not each.ok)
    assert (found.about, found.kind) == ("canary", "no V1")
    assert "v1.yaml names no marketplace of V1 for this account" in found.what
    status = run("cutover", "status")
    assert "V1 has the authority over canary, so V2 accepts no orderlines" in " ".join(status.output.split())
    assert json.loads(run("cutover", "status", "--json").output)["left_out"] == ["canary"]
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: settings)
    assert [each for each in EXAMINATIONS["cutover"]() if not each.ok] == []
