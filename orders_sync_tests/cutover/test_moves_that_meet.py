"""Moves of accounts that meet others: of other accounts, of before, and of V1's own doing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orders_sync.config import v1 as v1_settings
from orders_sync.config.v1 import CutoverError, CutoverSettings, Run
from orders_sync.cutover import moves
from orders_sync.cutover.moves import accounts_to_move_back
from orders_sync.cutover.phases import moves as moves_made
from orders_sync.cutover.phases import note_moves, note_v1_writes
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection, connect
from orders_sync.defs.cutover import checks, jobs
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.lanes.authority import Phase, current_authority
from orders_sync.marketplaces.kit import accounts as account_files
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.levels import import_levels
from orders_sync.testing.invariants import check_invariants
from orders_sync_tests.cli.command_line import run
from orders_sync_tests.cutover.moved import BY
from orders_sync_tests.cutover.three_accounts import ACCOUNTS, ALONE, V1, advance, locks, of, phases, shop


@pytest.fixture
def settings(settings_of_three: CutoverSettings) -> CutoverSettings:
    return settings_of_three


@pytest.fixture
def other(database_url: str) -> Iterator[Connection]:
    """A second session."""
    with connect(database_url) as connection:
        yield connection


def test_the_last_account_goes_live_while_another_goes_back(
    connection: Connection, settings: CutoverSettings, v1: V1, other: Connection
) -> None:
    """`still_v1` is read before the phases are held: the locks of the one that went back are not protected."""
    stock = shop(connection, of("large", 8), of("small", 9))
    import_levels(stock, {"PHONE": 1})
    apply_pending(stock)
    moves.begin(connection, settings, BY)
    advance(connection, settings)
    advance(connection, settings, "large")
    advance(connection, settings, "canary")
    v1.holds("large", "8")
    v1.holds("small", "9")
    import_levels(stock, {"PHONE": 1})
    before = locks(stock)
    switched: list[str] = []

    @contextmanager
    def off() -> Iterator[list[str]]:
        switched.append("off")
        moves.back(other, ["large"], BY)
        yield []

    try:
        advance(connection, settings, "small", v1_off=off)
    except CutoverError:
        return
    print(before, locks(stock), phases(connection))
    assert locks(stock)["large/8"] == before["large/8"], "V1 has large again, and has promised this piece"
    assert not switched, "V1's schedules are off though V1 has large"


def test_two_last_accounts_at_once_leave_v1s_schedules_on(
    connection: Connection, settings: CutoverSettings, v1: V1, other: Connection
) -> None:
    moves.begin(connection, settings, BY)
    advance(connection, settings)
    advance(connection, settings, "canary")
    switched: list[str] = []

    @contextmanager
    def off() -> Iterator[list[str]]:
        switched.append("off")
        yield []

    def meanwhile() -> list[str]:
        advance(other, settings, "large", v1_off=off)
        return ["refresh_new_schedule"]

    try:
        advance(connection, settings, "small", v1_off=off, v1_schedules_on=meanwhile)
    except CutoverError:
        return
    assert set(phases(connection).values()) == {Phase.LIVE}
    assert switched == ["off"], "V2 has all accounts, and V1's schedules are still on"


def test_accounts_without_v1_end_their_legacy_phase(connection: Connection, settings: CutoverSettings, v1: V1) -> None:
    """Before 0040 a move was of the whole project, so also of the accounts that V1 never had."""
    connection.execute(
        "INSERT INTO migration_moves (account, from_phase, to_phase, moved_by, forced, reason, checks) VALUES "
        "('', 'live', 'parallel', 'ann', false, 'begin', '[]'), ('', 'parallel', 'monitor', 'ann', false, 'on', '[]')"
    )
    advance(connection, settings)
    assert phases(connection) == dict.fromkeys((*ACCOUNTS, ALONE), Phase.LIVE)


def test_moving_one_by_one_keeps_the_promises_that_moving_at_once_keeps(
    connection: Connection, settings: CutoverSettings, v1: V1
) -> None:
    """V1 has promised a piece to canary/10 and to large/8, and none to V2's own 1 and 2."""
    stock = shop(connection, of(ALONE, 1), of(ALONE, 2), of("large", 8), of("canary", 10))
    import_levels(stock, {"PHONE": 2})
    apply_pending(stock)
    v1.holds("large", "8")
    v1.holds("canary", "10")
    moves.begin(connection, settings, BY)
    advance(connection, settings, "canary", times=2)
    print(locks(stock))
    advance(connection, settings, "large", times=2)
    assert locks(stock) == {
        "without_v1/1": (0, 1), "without_v1/2": (0, 1), "large/8": (1, 0), "canary/10": (1, 0),
    }  # fmt: skip
    check_invariants(connection)


def test_going_live_leaves_v1s_schedules_on_for_accounts_that_have_not_begun(
    connection: Connection, settings: CutoverSettings, v1: V1
) -> None:
    """Accounts that are not named go on as they were: V1's commands run for large and small."""
    moves.begin(connection, settings, BY, ["canary"])
    authority = current_authority(connection)
    assert authority.is_left_to_v1("large")
    switched: list[str] = []

    @contextmanager
    def off() -> Iterator[list[str]]:
        switched.append("off")
        yield []

    advance(connection, settings, "canary", times=2, v1_off=off)
    assert not switched


def test_what_v1_holds_for_accounts_that_have_not_begun_is_not_taken(
    connection: Connection, settings: CutoverSettings, v1: V1
) -> None:
    stock = shop(connection, of("large", 8), of("canary", 9))
    import_levels(stock, {"PHONE": 1})
    apply_pending(stock)
    v1.holds("large", "8")
    v1.holds("canary", "9")
    moves.begin(connection, settings, BY, ["canary"])
    advance(connection, settings, "canary", times=2)
    assert locks(stock) == {"large/8": (1, 0), "canary/9": (0, 1)}


def test_back_is_no_way_around_begin(connection: Connection, settings: CutoverSettings, v1: V1) -> None:
    """`back --account small`, which has never begun: nothing begins while an account is not named."""
    forgotten = settings.model_copy(update={"accounts_without_v1": []})
    with pytest.raises(CutoverError):
        moves.back(connection, accounts_to_move_back(connection, forgotten, ["small"]), BY)
    assert moves_made(connection) == []


def test_nothing_begins_while_an_account_that_can_not_be_used_is_not_named(
    connection: Connection, settings: CutoverSettings, v1: V1
) -> None:
    folder = account_files.accounts_folder()
    broken = folder / "fifth"
    broken.mkdir()
    text = (folder / ALONE / "defs.yaml").read_text()
    (broken / "defs.yaml").write_text(text.replace("accept_orderlines: true", "accept_orderlines: 7x"))
    with pytest.raises(CutoverError):
        moves.begin(connection, settings, BY)


def found(monkeypatch: pytest.MonkeyPatch, settings: CutoverSettings) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: settings)
    return [(each.about, each.kind, each.what) for each in EXAMINATIONS["cutover"]() if not each.ok]


def test_v1s_writes_of_an_earlier_live_phase_are_no_news(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves.begin(connection, settings, BY)
    advance(connection, settings, "canary", times=2)
    note_v1_writes(connection, {"canary": 5})
    assert found(monkeypatch, settings)
    moves.back(connection, ["canary"], BY)
    assert not found(monkeypatch, settings)
    advance(connection, settings, "canary", times=2)
    assert not found(monkeypatch, settings)


def insert(connection: Connection, table: str, **values: Any) -> None:
    """A row of a table, with what it must have filled in."""
    columns = connection.execute(
        "SELECT column_name, data_type, is_nullable, column_default, is_identity FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position", [table],
    ).fetchall()  # fmt: skip
    for name, kind, nullable, default, identity in columns:
        if name in values or nullable == "YES" or default or identity == "YES":
            continue
        values[name] = {"integer": 0, "numeric": 0, "text": "", "boolean": True, "jsonb": "[]"}.get(kind)
        if "timestamp" in kind:
            values[name] = datetime.now(UTC)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})".encode(),
        list(values.values()),
    )


def compared(connection: Connection, account: str, **differing: Any) -> None:
    """A comparison, of yesterday by default."""
    good: dict[str, Any] = {
        "account": account, "day": datetime.now(UTC).date() - timedelta(days=1), "compared_orders": 10,
        "orders_v1": 10, "orders_v2": 10, "orders_in_both": 10, "agreement": 100, "correct": 100, "missing_in_v2": 0,
        "locks_differing": 0, "is_whole_day": True, "v1_ran": True, "v2_ran": True, "verdict": "all agree",
    }  # fmt: skip
    insert(connection, "migration_comparisons", **good | differing)


@pytest.mark.parametrize(
    "differing",
    [{"v1_ran": False}, {"v2_ran": False}, {"orders_in_both": 5, "orders_v1": 10}, {"is_whole_day": False}],
)
def test_a_day_that_does_not_count_is_alerted(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch,
    differing: dict[str, Any],
) -> None:  # fmt: skip
    """Such a day sets the days that are still needed back to seven, as one with differences does."""
    moves.begin(connection, settings, BY)
    advance(connection, settings)
    for account in ACCOUNTS:
        compared(connection, account)
    assert not found(monkeypatch, settings)
    compared(connection, "canary", **differing)
    assert found(monkeypatch, settings)


def test_a_day_that_nobody_compared_is_alerted(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is green for want of looking."""
    moves.begin(connection, settings, BY)
    advance(connection, settings)
    connection.execute("UPDATE migration_moves SET moved_at = now() - interval '5 days'")
    assert found(monkeypatch, settings)


# -- V1's commands


def test_locks_not_taken_over_have_odd_ids(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: settings)
    v1.holds("canary", "[bold]x[/y] ann@buyer.example")
    moves.begin(connection, settings, BY)
    advance(connection, settings, "canary")
    done = run("cutover", "advance", "--account", "canary", "--force", "--reason", "a test")
    print(done.output, done.exception)
    assert done.exit_code == 0, done.output


def test_the_pick_list_does_not_send_out_what_v1_sends_out(
    connection: Connection, settings: CutoverSettings, v1: V1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While V1 has an account, the warehouse packs its orders from V1's list: here they are listed again, unmarked."""
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: settings)
    shop(connection, of("canary", 1), of(ALONE, 2))
    moves.begin(connection, settings, BY)
    done = run("export", "pick-list", "--by-order", "--to", str(tmp_path / "list.csv"))
    assert done.exit_code == 0, done.output
    listed = (tmp_path / "list.csv").read_text()
    print(done.output, done.stderr, listed)
    assert "without_v1" in listed
    assert "canary" not in listed or "V1" in listed + done.output + done.stderr


def test_an_account_that_is_renamed_in_mid_cutover_is_shown(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder and v1.yaml get the new name: V2 accepts for it at once, beside V1."""
    moves.begin(connection, settings, BY)
    folder = account_files.accounts_folder()
    (folder / "canary").rename(folder / "canary2")
    renamed = settings.model_copy(
        update={"marketplaces": {"v1 canary": "canary2", "v1 large": "large", "v1 small": "small"}}
    )
    assert current_authority(connection).is_live("canary2")
    assert found(monkeypatch, renamed)


def test_an_account_that_is_added_in_mid_cutover_and_not_named_is_shown(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves.begin(connection, settings, BY)
    forgotten = settings.model_copy(update={"accounts_without_v1": []})
    assert found(monkeypatch, forgotten), "V2 accepts for without_v1, and nobody has said whether V1 has it"


def test_the_status_has_the_days_of_each_account(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven days are needed, of each of three accounts; 14 comparisons are shown in all."""
    monkeypatch.setattr(v1_settings, "load_cutover_settings", lambda: settings)
    moves.begin(connection, settings, BY)
    today = datetime.now(UTC).date()
    for account in ACCOUNTS:
        for back in range(1, 8):
            compared(connection, account, day=today - timedelta(days=back))
    state = json.loads(run("cutover", "status", "--json").output)
    shown = {(each["account"], each["day"]) for each in state["comparisons"]}
    assert len(shown) == 21


def test_bad_days_of_a_live_account_are_over(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves.begin(connection, settings, BY)
    compared(connection, "canary", correct=50)
    advance(connection, settings, "canary", times=2)
    assert not found(monkeypatch, settings)


def test_v1s_command_is_not_run_for_an_account_that_v2_has(
    connection: Connection, settings: CutoverSettings, v1: V1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedules were off at the move, and are switched on afterwards; the command takes no {marketplaces}."""

    said = tmp_path / "said"
    deaf = settings.model_copy(update={"run": Run(kind="command", command=f"sh -c 'echo {{command}} >> {said}'")})
    moves.begin(connection, deaf, BY)
    advance(connection, deaf, "canary", times=2)
    monkeypatch.setattr(jobs, "load_cutover_settings", lambda: deaf)

    result = jobs.refresh_new.execute_in_process(raise_on_error=False, resources={"orders_database": OrdersDatabase()})
    assert not (result.success or said.exists()), "V1 ran for canary as well, which V2 has"


def test_v1_that_can_not_be_read_is_not_green_while_it_has_an_account(
    connection: Connection, settings: CutoverSettings, v1: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is not gone, and nobody knows what it writes. Once V2 has all accounts, V1 may be gone."""
    moves.begin(connection, settings, BY)
    advance(connection, settings, "canary", times=2)
    monkeypatch.setattr(checks, "load_cutover_settings", lambda: settings)

    def stays_off() -> bool:
        with open_instance() as instance:
            context = dg.build_asset_check_context(instance=instance)
            found = checks.v1_stays_off(context, orders_database=OrdersDatabase())
        assert isinstance(found, dg.AssetCheckResult)
        return found.passed

    monkeypatch.setenv("V1_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    assert not stays_off()
    note_moves(connection, ["large", "small"], Phase.PARALLEL, Phase.LIVE, BY)
    assert stays_off()
