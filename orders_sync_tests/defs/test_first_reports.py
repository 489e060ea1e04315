"""The first reports: made once each lane has had its first pass, not in the first night."""

from collections.abc import Iterator

import dagster as dg
import pytest

from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.operations.shown_sensors import DAILY_SUMMARY, first_reports
from orders_sync.lanes.history import finished, started
from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts
from orders_sync.model.pass_summary import PassSummary


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(instance: dg.DagsterInstance) -> object:
    with dg.build_sensor_context(instance, resources={"orders_database": OrdersDatabase()}) as context:
        return first_reports(context)


def test_the_first_reports_wait_for_the_first_pass_of_each_lane(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    lanes = lanes_on(load_accounts()[0])
    for lane in lanes[1:]:
        finished(connection, lane, started(connection, lane, "1"), PassSummary(), None)
    waits = tick(instance)
    assert isinstance(waits, dg.SkipReason)
    assert waits.skip_message == f"Waits for the first pass of {lanes[0]}."
    finished(connection, lanes[0], started(connection, lanes[0], "1"), PassSummary(), "also a failed one counts")
    request = tick(instance)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "first reports"
    assert DAILY_SUMMARY in (request.asset_selection or [])


def test_reports_that_were_made_are_left_to_their_schedules(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(DAILY_SUMMARY))
    made = tick(instance)
    assert isinstance(made, dg.SkipReason)
    assert made.skip_message == "The first reports were made."
