"""The ticks of the sync schedules, as Dagster evaluates them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.acts.by import By
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import pause_account
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS, write_account

AT = "incomplete/2026-03-01T08:00:00+00:00"


@pytest.fixture
def schedule(definitions: dg.Definitions) -> dg.ScheduleDefinition:
    return definitions.get_repository_def().get_schedule_def("sync_incomplete_orders_schedule")


Tick = Callable[[], list[str] | str]


@pytest.fixture
def tick(schedule: dg.ScheduleDefinition, tmp_path: Path) -> Tick:
    """Evaluates a tick: the keys of the runs that it requests, or why it requests none."""

    def evaluate() -> list[str] | str:
        with (
            dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
            dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=datetime(2026, 3, 1, 8, tzinfo=UTC),
                resources={"orders_database": OrdersDatabase()},
            ) as context,
        ):
            data = schedule.evaluate_tick(context)
        return sorted(str(run.run_key) for run in data.run_requests or []) or str(data.skip_message)

    return evaluate


def test_a_tick_requests_a_run_per_account_and_says_why_it_requests_none(tick: Tick, connection: Connection) -> None:
    assert tick() == [f"{account}/{AT}" for account in SANDBOX_ACCOUNTS]
    reasons = str(tick()).splitlines()
    assert len(reasons) == 3
    assert "Lane back_market_sandbox/incomplete: another daemon has taken this tick." in reasons


def test_a_tick_requests_no_run_of_an_account_that_a_person_has_paused(tick: Tick, connection: Connection) -> None:
    names = list(SANDBOX_ACCOUNTS)
    pause_account(connection, names[0], By("anna@desk", "it moves"))
    assert tick() == [f"{account}/{AT}" for account in names[1:]]
    for name in names[1:]:
        pause_account(connection, name, By("anna@desk", "it moves"))
    reasons = str(tick()).splitlines()
    assert [reason.split(" is paused since")[0] for reason in reasons] == [f"Account {name}" for name in names]


def test_a_tick_requests_no_run_of_a_sync_that_is_switched_off(
    tick: Tick, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, attributes in SANDBOX_ACCOUNTS.items():
        write_account(tmp_path / "accounts", name, {**attributes, "syncs": {"incomplete": False, "care": False}})
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path / "accounts")
    assert str(tick()).splitlines() == [
        f"Lane {name}/incomplete is switched off by `syncs` in the account's file." for name in SANDBOX_ACCOUNTS
    ]
