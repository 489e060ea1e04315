"""The acceptance clock in Dagster: the check that warns in time, and the further passes before a deadline."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.config import code_location
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.operations.deadline_sensor import passes_before_deadlines
from orders_sync.defs.orders.acceptance_checks import no_acceptance_runs_out
from orders_sync.lanes.lock import hold
from orders_sync.marketplaces.kit import accounts
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.acceptance_clock import MAX_FURTHER_PASSES
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.levels import import_levels
from orders_sync.testing.deployment import write_account
from orders_sync.testing.marketplace import Marketplace, an_order, sandbox_account, sync
from orders_sync_tests.cli.command_line import add_account

RESOURCES = {"orders_database": OrdersDatabase()}
DEADLINE = timedelta(hours=24)
ANSWERS = {"accept_orderlines": True, "acceptance_deadline": "24h", "pass_before_deadline": True}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    """The project's accounts folder."""
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def passes() -> list[datetime]:
    """The next two passes of `new`."""
    return load_schedules().next_passes_of_new(datetime.now(UTC), 2)


def a_line_until(marketplace: Marketplace, deadline: datetime, number: int = 1) -> None:
    """Stores an order whose line waits, and runs out at this moment."""
    an_order(marketplace, number, state=1, line_state=1, age=datetime.now(UTC) - (deadline - DEADLINE))
    sync(sandbox_account(marketplace))


def check() -> dg.AssetCheckResult:
    result = no_acceptance_runs_out(orders_database=OrdersDatabase())
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_the_check_passes_while_there_is_time(marketplace: Marketplace, folder: Path) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS)
    a_line_until(marketplace, datetime.now(UTC) + timedelta(hours=23))
    result = check()
    assert (result.passed, result.description) == (True, None)
    assert result.metadata["all waiting lines"] == dg.MetadataValue.url("/operations/waiting")


def test_the_check_fails_where_an_accounts_file_has_an_error(marketplace: Marketplace, folder: Path) -> None:
    """Nothing answers its lines: the clock must not be silent just then."""
    add_account(folder, marketplace, "shop", **ANSWERS)
    a_line_until(marketplace, datetime.now(UTC) + timedelta(hours=23))
    write_account(folder, "shop", {"marketplace": "none"})
    result = check()
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == ("1 waiting orderlines are not answered, since the account files of shop have errors.")


def test_the_check_warns_where_only_one_pass_can_still_answer(marketplace: Marketplace, folder: Path) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS)
    next_pass, pass_after = passes()
    a_line_until(marketplace, pass_after)
    result = check()
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.description == (
        f"1 waiting orderlines run out soon; the next pass of `new` is at {next_pass:%Y-%m-%d %H:%M} UTC."
    )


def test_the_check_fails_where_lines_run_out_before_the_next_pass_has_answered_them(
    marketplace: Marketplace, folder: Path
) -> None:
    """Also in the night, in which `new` has no ticks."""
    add_account(folder, marketplace, "shop", **ANSWERS)
    next_pass, _ = passes()
    a_line_until(marketplace, next_pass + timedelta(minutes=5))
    a_line_until(marketplace, datetime.now(UTC) - timedelta(hours=1), number=2)
    result = check()
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(result.description).startswith(
        f"2 waiting orderlines run out before the next pass of `new`, at {next_pass:%Y-%m-%d %H:%M} UTC, has answered"
    )
    assert "the next pass accepts it" in str(result.metadata["first rows"].value)


def test_the_check_names_accounts_whose_lines_wait_without_a_deadline(marketplace: Marketplace, folder: Path) -> None:
    add_account(folder, marketplace, "shop", accept_orderlines=True)
    a_line_until(marketplace, datetime.now(UTC) - timedelta(days=3))
    result = check()
    assert result.passed
    assert result.metadata["without acceptance_deadline"].value == "shop"


def evaluate(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=RESOURCES) as context:
        result = passes_before_deadlines(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def why_not(instance: dg.DagsterInstance, cursor: str | None = None) -> str:
    result = evaluate(instance, cursor)
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def requested(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    result = evaluate(instance, cursor)
    assert isinstance(result, dg.SensorResult)
    return result


def test_one_further_pass_is_requested_for_lines_that_run_out_before_the_next_tick(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance
) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS)
    a_line_until(marketplace, passes()[0] + timedelta(minutes=5))
    first = requested(instance)
    (run,) = first.run_requests or []
    assert run.asset_selection == [dg.AssetKey(["shop", "new_orders"])]
    assert "a pass was requested for these lines already" in why_not(instance, first.cursor)
    a_line_until(marketplace, passes()[0] + timedelta(minutes=6), number=2)
    second = requested(instance, first.cursor)
    assert [each.run_key for each in second.run_requests or []] != [run.run_key]


def test_no_further_pass_is_requested_unless_the_account_asks_for_it(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance
) -> None:
    add_account(folder, marketplace, "shop", **{**ANSWERS, "pass_before_deadline": False})
    a_line_until(marketplace, passes()[0] + timedelta(minutes=5))
    assert why_not(instance) == "No account asks for it (pass_before_deadline)."


def test_no_further_pass_is_requested_for_lines_that_it_could_not_answer(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance, connection: Connection
) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS)
    import_levels(StockConnection(connection), {"PHONE": 0})
    a_line_until(marketplace, passes()[0] + timedelta(minutes=5))
    assert why_not(instance) == "No line that could be answered runs out before the next tick."


def test_further_passes_stay_within_the_budget(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance, connection: Connection
) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS)
    cursor = None
    for number in range(1, MAX_FURTHER_PASSES + 1):
        a_line_until(marketplace, passes()[0] + timedelta(minutes=5), number)
        cursor = requested(instance, cursor).cursor
    a_line_until(marketplace, passes()[0] + timedelta(minutes=5), MAX_FURTHER_PASSES + 1)
    assert "shop/new: 4 further passes were requested within 24 hours" in why_not(instance, cursor)
    with hold(Lane("shop", SyncType.NEW), "another-run"):
        assert "works on it" in why_not(instance)
    connection.execute(
        "INSERT INTO rate_limits (account, bucket, next_slot, blocked_until) "
        "VALUES ('shop', 'edge', now(), now() + interval '3 hours')"
    )
    assert "requested a pause of account shop" in why_not(instance)


def test_no_further_pass_is_requested_of_an_account_that_waits_for_a_reload(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was corrected after the definitions were loaded; the lines are stored from before."""
    add_account(folder, marketplace, "shop", **ANSWERS)
    a_line_until(marketplace, passes()[0] + timedelta(minutes=5))
    monkeypatch.setattr(code_location, "_loaded_accounts", frozenset(["another"]))
    assert why_not(instance) == "No account asks for it (pass_before_deadline)."


def test_no_further_pass_is_requested_of_a_sync_that_is_switched_off(
    marketplace: Marketplace, folder: Path, instance: dg.DagsterInstance
) -> None:
    add_account(folder, marketplace, "shop", **ANSWERS, syncs={"new": False})
    a_line_until(marketplace, datetime.now(UTC) + timedelta(minutes=1))
    with dg.build_sensor_context(instance=instance, resources=RESOURCES) as context:
        result = passes_before_deadlines(context)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "No account asks for it (pass_before_deadline)."
