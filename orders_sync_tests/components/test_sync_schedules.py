"""The ticks of the sync schedules, as Dagster evaluates them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.acts.by import By
from orders_sync.components.sync_schedules import sync_schedules
from orders_sync.config.schedules import check_schedules
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

    return lambda: evaluated(schedule, tmp_path)


def evaluated(schedule: dg.ScheduleDefinition, folder: Path) -> list[str] | str:
    with (
        dg.DagsterInstance.local_temp(str(folder)) as instance,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 3, 1, 8, tzinfo=UTC),
            resources={"orders_database": OrdersDatabase()},
        ) as context,
    ):
        data = schedule.evaluate_tick(context)
    return sorted(str(run.run_key) for run in data.run_requests or []) or str(data.skip_message)


def test_an_account_with_crons_of_its_own_has_a_schedule_of_its_own(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"incomplete": ["0 * * * *", "30 12 * * *"], "care": "0 5 * * *", "frequent_new": False}
    first, *others = SANDBOX_ACCOUNTS
    for name, attributes in SANDBOX_ACCOUNTS.items():
        more = {"schedules": own, "syncs": {"care": False}} if name == first else {}
        write_account(tmp_path / "accounts", name, {**attributes, **more})
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path / "accounts")
    repository = sync_schedules(check_schedules({"frequent_new": "*/10 * * * *"}, "f"))
    schedules = {each.name: each for each in repository.schedules or [] if isinstance(each, dg.ScheduleDefinition)}
    mine = schedules.pop(f"{first}_sync_incomplete_orders_schedule")
    # Its `care` is off, and may be switched on without a reload.
    assert "switched off" in str(evaluated(schedules.pop(f"{first}_sync_care_records_schedule"), tmp_path))
    assert sorted(schedules) == [  # the account takes no part in the frequent passes
        "sync_care_records_schedule", "sync_incomplete_orders_schedule", "sync_modified_orders_schedule",
        "sync_new_orders_frequent_schedule", "sync_new_orders_schedule",
    ]  # fmt: skip
    assert mine.cron_schedule == ["0 * * * *", "30 12 * * *"]
    assert "25 ticks per day, at least 25 API calls per day" in str(mine.description)
    assert evaluated(mine, tmp_path) == [f"{first}/{AT}"]
    assert evaluated(schedules["sync_incomplete_orders_schedule"], tmp_path) == [f"{each}/{AT}" for each in others]
    frequent = evaluated(schedules["sync_new_orders_frequent_schedule"], tmp_path)
    assert [str(key).split("/")[0] for key in frequent] == others
    # At the same moment, only one schedule's tick requests a run of a lane.
    assert evaluated(schedules["sync_new_orders_schedule"], tmp_path) == [f"{first}/{AT}".replace("incomplete", "new")]


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
