"""Readiness: what each check says about the stored comparisons, without running one. Nothing passes on nothing."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from orders_sync.alerts.calls import note_call
from orders_sync.config.v1 import CutoverSettings, Readiness, Tables
from orders_sync.config.v1_tables import LevelsTable
from orders_sync.cutover import readiness
from orders_sync.cutover.readiness import Check, accounts_of, checks_to_live, checks_to_monitor, days_still_needed
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.marketplace import Marketplace
from orders_sync_tests.cli.command_line import add_account
from orders_sync_tests.cutover.moved import begin
from orders_sync_tests.stock.stored_orders import StoredItem, StoredOrder, store_order

TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
DAYS = 3
NO_FIGURES: Mapping[str, object] = {}
OF_COMPARISONS = {
    "days compared", "agreement", "nothing missing", "locks", "stock levels", "V1's clock", "API budget",
}  # fmt: skip


@pytest.fixture
def settings() -> CutoverSettings:
    """Two accounts, three days; V1's database is one that nobody has."""
    return CutoverSettings(
        database="NO_V1_DATABASE_URL",
        marketplaces={"back_market": "shop", "mirakl": "store"},
        readiness=Readiness(days=DAYS, agreement=99.5, calls_per_day=1000),
    )


def compared(
    connection: Connection, days_ago: int, account: str = "shop", figures: Mapping[str, object] = NO_FIGURES
) -> None:
    """A good comparison, but for these figures; it is the latest one of its day."""
    day = TODAY - timedelta(days=days_ago)
    morning = datetime.combine(day + timedelta(days=1), time(6), UTC)
    row: dict[str, object] = {
        "account": account, "day": day, "compared_at": morning, "orders_v1": 10, "orders_v2": 10, "orders_in_both": 10,
        "compared_orders": 10, "zone_offset_minutes": 0, "is_whole_day": True, "v1_ran": True, "v2_ran": True, "only_in_v1": 0, "only_in_v2": 0, "differing": 0, "in_flight": 0,
        "agreement": 100, "correct": 100, "locks_v1": 0, "locks_v2": 0, "locks_differing": 0, "first_in_v1": 0,
        "first_in_v2": 10, "calls_v2": 1000, "too_many_requests_v2": 0, "verdict": "", **figures,
    }  # fmt: skip
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    connection.execute(f"INSERT INTO migration_comparisons ({names}) VALUES ({places})".encode(), list(row.values()))


def all_good(connection: Connection) -> None:
    for account in ("shop", "store"):
        for days_ago in range(1, DAYS + 1):
            compared(connection, days_ago, account)


def checks(connection: Connection, settings: CutoverSettings, now: datetime = NOW) -> dict[str, Check]:
    return {check.name: check for check in checks_to_live(connection, settings, accounts_of(settings), now)}


def test_good_comparisons_of_every_account_and_day_pass(connection: Connection, settings: CutoverSettings) -> None:
    all_good(connection)
    assert {name for name, check in checks(connection, settings).items() if check.passed} >= OF_COMPARISONS


def test_no_check_of_either_list_passes_on_nothing(connection: Connection, settings: CutoverSettings) -> None:
    """Nothing was compared, no account has a file, V1 can't be read, nobody is alerted."""
    allowed = {"stock levels"}  # the file says that V1 has none to compare
    for found in (checks_to_monitor, checks_to_live):
        assert {
            check.name for check in found(connection, settings, accounts_of(settings), NOW) if check.passed
        } <= allowed


def test_settings_that_name_no_account_pass_no_check(connection: Connection, settings: CutoverSettings) -> None:
    all_good(connection)
    nothing = settings.model_copy(update={"marketplaces": {}})
    found = checks(connection, nothing)
    assert not found["days compared"].passed
    assert not found["accounts"].passed
    assert days_still_needed(connection, nothing, accounts_of(nothing), TODAY) == DAYS


def test_days_that_are_missing_are_named_and_counted(connection: Connection, settings: CutoverSettings) -> None:
    compared(connection, 1)
    compared(connection, 1, "store")
    compared(connection, DAYS + 1)  # too long ago
    compared(connection, 0)  # today is not over
    assert checks(connection, settings)["days compared"] == Check(
        "days compared",
        False,
        "4 of 6 account days are still needed: shop 2026-03-07; shop 2026-03-08; store 2026-03-07 and 1 more",
    )


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"compared_orders": 0}, "no order was compared"),
        ({"is_whole_day": False}, "it was compared before its end"),
        ({"v1_ran": False}, "V1 wrote no order"),
        ({"v2_ran": False}, "V2 has not fetched everything until its end"),
        ({"orders_in_both": 7}, "only 7 of its orders are in both: the mapping may be wrong"),
    ],
)
def test_a_day_on_which_nothing_is_proved_does_not_count(
    connection: Connection, settings: CutoverSettings, figures: dict[str, object], why: str
) -> None:
    all_good(connection)
    compared(connection, 2, figures=figures)
    found = checks(connection, settings)["days compared"]
    assert found.what == f"1 of 6 account days are still needed: shop 2026-03-08 ({why})"
    assert days_still_needed(connection, settings, accounts_of(settings), TODAY) == 2


@pytest.mark.parametrize(
    ("figures", "name", "finding"),
    [
        ({"correct": 99.49}, "agreement", "shop 2026-03-08: 99.49 %"),
        ({"missing_in_v2": 2}, "nothing missing", "shop 2026-03-08: 2"),
        ({"locks_differing": 3}, "locks", "shop 2026-03-08: 3"),
        ({"calls_v2": 1001}, "API budget", "shop 2026-03-08: 1001 calls"),
        (
            {"zone_offset_minutes": 120},
            "V1's clock",
            "shop 2026-03-08: V1's times are +2 h off for the time zone of v1.yaml",
        ),
        ({"clock_skew_seconds": -90}, "V1's clock", "shop 2026-03-08: V1's clock is -90 s off"),
    ],
)
def test_one_bad_figure_fails_its_check_only(
    connection: Connection, settings: CutoverSettings, figures: dict[str, object], name: str, finding: str
) -> None:
    all_good(connection)
    compared(connection, 2, figures=figures)
    found = checks(connection, settings)
    assert found[name] == Check(name, False, finding)
    assert all(found[other].passed for other in OF_COMPARISONS - {name})


def test_a_day_that_was_first_compared_long_afterwards_proves_nothing(
    connection: Connection, settings: CutoverSettings
) -> None:
    """All has converged by then. A day that was compared in time may be compared again."""
    all_good(connection)
    long_afterwards = {"compared_at": NOW + timedelta(days=2)}
    compared(connection, 2, figures=long_afterwards)
    assert checks(connection, settings)["days compared"].passed
    connection.execute("DELETE FROM migration_comparisons WHERE account = 'shop' AND day = '2026-03-08'")
    compared(connection, 2, figures=long_afterwards)
    what = checks(connection, settings)["days compared"].what
    assert what.endswith("shop 2026-03-08 (it was not compared within 36 hours of its end)")


def test_a_zone_that_no_day_can_tell_is_not_taken_for_granted(
    connection: Connection, settings: CutoverSettings
) -> None:
    for account in ("shop", "store"):
        for days_ago in range(1, DAYS + 1):
            compared(connection, days_ago, account, {"zone_offset_minutes": None})
    assert not checks(connection, settings)["V1's clock"].passed
    compared(connection, 1)
    assert checks(connection, settings)["V1's clock"].passed


@pytest.mark.parametrize(("differing", "what"), [(None, "not compared"), (2, "2 SKUs"), (0, "")])
def test_stock_levels_must_agree_where_v1_has_some(
    connection: Connection, settings: CutoverSettings, differing: int | None, what: str
) -> None:
    mapped = settings.model_copy(update={"tables": Tables(levels=LevelsTable(table="shelf"))})
    all_good(connection)
    compared(connection, 1, figures={"levels_differing": 0})
    compared(connection, 1, "store", figures={"levels_differing": differing})
    found = checks(connection, mapped)["stock levels"]
    assert (found.passed, found.what.startswith(f"store 2026-03-09: {what}")) == (not what, bool(what))


def test_a_later_comparison_of_a_day_counts_and_the_earlier_one_stays(
    connection: Connection, settings: CutoverSettings
) -> None:
    all_good(connection)
    compared(connection, 2, figures={"missing_in_v2": 1})
    assert not checks(connection, settings)["nothing missing"].passed
    compared(connection, 2)
    assert checks(connection, settings)["nothing missing"].passed
    rows = connection.execute(
        "SELECT count(*) FROM migration_comparisons WHERE account = 'shop' AND day = '2026-03-08'"
    )
    assert rows.fetchone() == (3,)


def test_the_agreement_that_is_required_is_enough(connection: Connection, settings: CutoverSettings) -> None:
    all_good(connection)
    compared(connection, 2, figures={"correct": 99.5})
    assert checks(connection, settings)["agreement"] == Check(
        "agreement", True, "at least 99.5 % of each day's orders agree, or V2 is right as the marketplace says"
    )


def test_one_answer_of_429_is_no_reason_the_budget_is(connection: Connection, settings: CutoverSettings) -> None:
    all_good(connection)
    compared(connection, 2, figures={"too_many_requests_v2": 1})
    found = checks(connection, settings)["API budget"]
    assert found.passed
    assert "; 1 were answered with 429" in found.what


@pytest.mark.parametrize(("bad_days_ago", "needed"), [((), 0), ((1,), 3), ((2,), 2), ((3,), 1), ((3, 1), 3)])
def test_the_days_still_needed_follow_the_last_bad_day(
    connection: Connection, settings: CutoverSettings, bad_days_ago: tuple[int, ...], needed: int
) -> None:
    all_good(connection)
    for days_ago in bad_days_ago:
        compared(connection, days_ago, figures={"missing_in_v2": 1})
    assert days_still_needed(connection, settings, accounts_of(settings), TODAY) == needed


def test_a_day_counts_only_once_every_account_is_compared(connection: Connection, settings: CutoverSettings) -> None:
    for days_ago in range(1, DAYS + 1):
        compared(connection, days_ago, "shop")
    assert days_still_needed(connection, settings, accounts_of(settings), TODAY) == DAYS


class TestPhases:
    """A phase lasts its days by the calendar, however good the comparisons of the past are."""

    def test_comparisons_of_the_past_do_not_shorten_a_phase(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        begin(connection, settings)
        ((began,),) = connection.execute("SELECT max(moved_at) FROM migration_moves").fetchall()
        all_good(connection)
        for after, passed in ((timedelta(days=DAYS, minutes=-1), False), (timedelta(days=DAYS), True)):
            check = checks(connection, settings, began + after)["phase"]
            assert check.passed == passed
            assert f"at least {DAYS} days are needed" in check.what

    def test_one_day_side_by_side_is_needed_before_days_are_counted(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        begin(connection, settings)
        ((began,),) = connection.execute("SELECT max(moved_at) FROM migration_moves").fetchall()
        for hours, passed in ((23, False), (25, True)):
            at = began + timedelta(hours=hours)
            found = checks_to_monitor(connection, settings, accounts_of(settings), at)
            assert {check.name: check for check in found}["phase"].passed == passed

    def test_each_account_must_have_been_compared_in_this_phase(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        compared(connection, 1)
        begin(connection, settings)
        later = {"compared_at": datetime.now(UTC) + timedelta(minutes=1)}
        compared(connection, 1, "store", figures=later)
        found = {check.name: check for check in checks_to_monitor(connection, settings, accounts_of(settings))}
        assert found["compared"].what == "shop: no order was compared; run `orders-sync cutover compare`"
        compared(connection, 1, figures={**later, "compared_orders": 0})
        assert not {c.name: c for c in checks_to_monitor(connection, settings, accounts_of(settings))}[
            "compared"
        ].passed
        compared(connection, 1, figures=later)
        assert {c.name: c for c in checks_to_monitor(connection, settings, accounts_of(settings))}["compared"].passed


class TestBeforeLive:
    """What V2 needs on the day when it takes over."""

    @pytest.fixture
    def shops(
        self, tmp_path: Path, marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch, settings: CutoverSettings
    ) -> CutoverSettings:
        monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
        for name in ("shop", "store"):
            add_account(tmp_path, marketplace, name, accept_orderlines=True)
        return settings

    def test_an_account_that_does_not_exist_is_named(self, connection: Connection, shops: CutoverSettings) -> None:
        assert checks(connection, shops)["accounts"].passed
        misspelled = shops.model_copy(update={"marketplaces": {"back_market": "shpo"}})
        found = checks(connection, misspelled)
        assert not found["accounts"].passed
        assert found["accounts"].what.startswith("shpo: there is no such account; shop is no account of V1's")
        assert not found["lanes"].passed
        assert not found["credentials"].passed

    def test_each_credential_must_work_and_v2_may_accept(
        self,
        connection: Connection,
        shops: CutoverSettings,
        tmp_path: Path,
        marketplace: Marketplace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert checks(connection, shops)["credentials"].passed
        add_account(tmp_path, marketplace, "store")
        found = checks(connection, shops)["credentials"]
        assert found.what == "store: `accept_orderlines` is false: nobody would accept orderlines once V1 is off"
        add_account(tmp_path, marketplace, "store", accept_orderlines=True)
        monkeypatch.delenv("BACK_MARKET_SANDBOX_TOKEN")
        assert "BACK_MARKET_SANDBOX_TOKEN is not set" in checks(connection, shops)["credentials"].what

    def test_a_stock_list_must_be_there_and_have_the_pieces_of_each_lock(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        begin(connection, settings)
        stock = StockConnection(connection)
        missing = "no stock list was imported; `orders-sync stock import FILE` imports one"
        assert checks(connection, settings)["stock list"] == Check("stock list", False, missing)
        import_levels(stock, {"PHONE": 1})
        store_order(connection, StoredOrder("1", [StoredItem("1", quantity=3)]))
        apply_pending(stock)
        found = checks(connection, settings)["stock list"]
        assert found == Check("stock list", False, "PHONE: 2 pieces are missing")
        import_levels(stock, {"PHONE": 3})
        apply_pending(stock)
        assert checks(connection, settings)["stock list"].passed

    def test_a_v1_that_locks_no_stock_needs_a_list_as_well(
        self, connection: Connection, settings: CutoverSettings
    ) -> None:
        """V2 locks."""
        without = settings.model_copy(update={"tables": Tables(locks=None)})
        assert not checks(connection, without)["stock list"].passed
        assert checks(connection, without)["locks"].what.startswith("not compared")

    def test_an_account_that_v1_never_had_must_be_named_as_such(
        self, connection: Connection, shops: CutoverSettings
    ) -> None:
        """V2 accepts nothing of it until it is live."""
        one = shops.model_copy(update={"marketplaces": {"back_market": "shop"}})
        what = "store is no account of V1's marketplaces: add it to `marketplaces`, or to `accounts_without_v1`"
        assert checks(connection, one)["accounts"] == Check("accounts", False, what)
        assert checks(connection, one.model_copy(update={"accounts_without_v1": ["store"]}))["accounts"].passed

    def test_alerts_must_have_reached_somebody(
        self, connection: Connection, settings: CutoverSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from orders_sync.config.alerts import check_alerts

        assert checks(connection, settings)["alerts"].what.startswith("no channel is named")
        made = check_alerts({"channels": {"team": {"url": "TEAM_URL"}}}, "defs/alerts/defs.yaml")
        monkeypatch.setattr(readiness, "read_alerts", lambda: made)
        assert checks(connection, settings)["alerts"].what.startswith("no channel has been reached yet")
        note_call(connection, "team", "HTTP 404")
        assert not checks(connection, settings)["alerts"].passed
        note_call(connection, "team", None)
        assert checks(connection, settings)["alerts"] == Check("alerts", True, "team can be reached")
