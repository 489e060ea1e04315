"""The cutover in Dagster: jobs that move accounts, an asset per account, and what alerts of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from orders_sync.acts.manual_acts import Selection, stored_acts
from orders_sync.cutover.phases import moves, note_moves
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.lanes.authority import Phase, current_authority
from orders_sync.sandbox.v1 import TABLES
from orders_sync_tests.cutover.moved import BY

ACCOUNT = "back_market_sandbox"


@pytest.fixture
def v1(v1_url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(v1_url, autocommit=True)
    connection.execute(TABLES)
    return connection


def run(definitions: dg.Definitions, job: str, **config: object) -> dg.ExecuteInProcessResult:
    """Runs a job as ann."""
    (op,) = [node.name for node in definitions.resolve_job_def(job).nodes]
    with open_instance() as instance:
        return definitions.resolve_job_def(job).execute_in_process(
            raise_on_error=False, instance=instance, tags={"user": "ann@shop.example"},
            run_config={"ops": {op: {"config": config}}},
        )  # fmt: skip


def problem(result: dg.ExecuteInProcessResult) -> str:
    data = result.get_step_failure_events()[0].step_failure_data
    return f"{data.error} {data.user_failure_data}"


@pytest.mark.usefixtures("v1")
class TestTheJobs:
    """They do what the commands do."""

    def test_they_move_an_account_there_and_back(self, definitions: dg.Definitions, connection: Connection) -> None:
        begun = run(definitions, "cutover_begin", reason="V2 is installed")
        assert begun.success
        events = [
            event.asset_key.to_user_string() for event in begun.get_asset_materialization_events() if event.asset_key
        ]
        assert events == ["migration_phase"]
        assert not run(definitions, "cutover_begin", reason="again").success
        for _ in range(2):
            assert run(definitions, "cutover_advance", accounts=[ACCOUNT], reason="it agrees", force=True).success
        assert current_authority(connection).of(ACCOUNT).phase is Phase.LIVE
        assert run(definitions, "cutover_back", reason="a doubt").success
        assert [(move.to_phase, move.moved_by, move.reason, move.forced) for move in moves(connection)] == [
            (Phase.PARALLEL, "ann@shop.example", "V2 is installed", False),
            (Phase.MONITOR, "ann@shop.example", "it agrees", True),
            (Phase.LIVE, "ann@shop.example", "it agrees", True),
            (Phase.PARALLEL, "ann@shop.example", "a doubt", False),
        ]
        (act, *_) = stored_acts(connection, Selection())
        assert (act.account, act.act, act.via) == (ACCOUNT, "move_cutover", "Dagster job cutover_begin")

    def test_checks_that_do_not_pass_are_named_and_nothing_moves(
        self, definitions: dg.Definitions, connection: Connection
    ) -> None:
        run(definitions, "cutover_begin", reason="V2 is installed")
        refused = run(definitions, "cutover_advance", reason="now")
        assert not refused.success
        assert f"compared: {ACCOUNT}: no order was compared" in problem(refused)
        assert len(moves(connection)) == 1

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"accounts": ["back_market_sandbx"], "reason": "a test"}, "V1 has no account back_market_sandbx"),
            ({"accounts": [], "reason": " "}, "reason"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, definitions: dg.Definitions, connection: Connection, config: dict[str, object], says: str
    ) -> None:
        refused = run(definitions, "cutover_begin", **config)
        assert not refused.success
        assert says in problem(refused)
        assert moves(connection) == []


def test_each_account_has_an_asset_with_its_phase_and_its_checks(
    definitions: dg.Definitions, connection: Connection, v1: psycopg.Connection[Any]
) -> None:
    note_moves(connection, [ACCOUNT], Phase.LIVE, Phase.PARALLEL, BY)
    day = str(datetime.now(UTC).date() - timedelta(days=1))
    made = definitions.resolve_job_def("compare_v1_and_v2").execute_in_process(partition_key=day)
    (materialized,) = made.get_asset_materialization_events()
    assert materialized.asset_key == dg.AssetKey([ACCOUNT, "v1_v2_comparison"])
    metadata = materialized.materialization.metadata
    assert metadata["phase"].value == "parallel"
    assert metadata["days_still_needed"].value == 7
    assert "data:image/png;base64," in str(metadata["plot"].value)
    checks = {check.check_name: check for check in made.get_asset_check_evaluations()}
    assert not checks["days_compared"].passed
    assert ACCOUNT in str(checks["days_compared"].metadata["result"].value)


def test_it_is_compared_each_morning_while_v1_has_it(definitions: dg.Definitions, connection: Connection) -> None:
    schedule = definitions.resolve_schedule_def("compare_v1_and_v2_schedule")

    def requested() -> list[dg.RunRequest]:
        at = datetime(2026, 3, 10, 5, 30, tzinfo=UTC)
        with (
            open_instance() as instance,
            dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=at,
                repository_def=definitions.get_repository_def(),
                resources={"orders_database": OrdersDatabase()},
            ) as context,
        ):
            return list(schedule.evaluate_tick(context).run_requests or [])

    assert requested() == []
    note_moves(connection, [ACCOUNT], Phase.LIVE, Phase.PARALLEL, BY)
    (request,) = requested()
    assert (request.partition_key, request.asset_selection) == (
        "2026-03-09", [dg.AssetKey([ACCOUNT, "v1_v2_comparison"])],
    )  # fmt: skip
    note_moves(connection, [ACCOUNT], Phase.PARALLEL, Phase.LIVE, BY)
    assert requested() == []


def test_a_v1_that_writes_once_v2_has_the_account_is_an_alert(
    definitions: dg.Definitions, connection: Connection, v1: psycopg.Connection[Any]
) -> None:
    def found() -> list[str]:
        with open_instance() as instance:  # a real one: it knows schedules
            definitions.resolve_job_def("check_orders").execute_in_process(raise_on_error=False, instance=instance)
        return [finding.text for finding in EXAMINATIONS["cutover"]() if not finding.ok]

    note_moves(connection, [ACCOUNT], Phase.LIVE, Phase.MONITOR, BY)
    v1.execute(
        "INSERT INTO orders (marketplace, marketplace_order_id, updated_at) VALUES ('back_market', '1', %s)",
        [datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=5)],
    )
    assert found() == []
    note_moves(connection, [ACCOUNT], Phase.MONITOR, Phase.LIVE, BY)
    assert found() == [f"{ACCOUNT}: V1 has written 1 orders since V2 has the account: both may accept and lock"]
    v1.execute("DELETE FROM orders")
    assert found() == []
