"""The ticks of the sync schedules, as Dagster evaluates them."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.testing.deployment import SANDBOX_ACCOUNTS


@pytest.fixture
def schedule(definitions: dg.Definitions) -> dg.ScheduleDefinition:
    return definitions.get_repository_def().get_schedule_def("sync_incomplete_orders_schedule")


def test_a_tick_requests_a_run_per_account_and_says_why_it_requests_none(
    schedule: dg.ScheduleDefinition, connection: Connection, tmp_path: Path
) -> None:
    def tick() -> list[str] | str:
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

    at = "incomplete/2026-03-01T08:00:00+00:00"
    assert tick() == [f"{account}/{at}" for account in SANDBOX_ACCOUNTS]
    reasons = str(tick()).splitlines()
    assert len(reasons) == 3
    assert "Lane back_market_sandbox/incomplete: another daemon has taken this tick." in reasons
