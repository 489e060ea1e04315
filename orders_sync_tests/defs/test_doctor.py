"""The asset `doctor`: what the examinations find, as checks, by a sensor every hour and by hand."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest

from orders_sync.database.engine import Connection
from orders_sync.defs.operations.doctor import DOCTOR, doctor, doctor_sensor, examined
from orders_sync.health.examinations import EXAMINATIONS, SLOW

REJECTED = """
INSERT INTO rejected_records (account, kind, record_id, raw, reasons) VALUES ('shop', 'order', %s, '{}', '[]')
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_each_examination_is_a_check(connection: Connection) -> None:
    assert {key.name.replace("_", " ") for key in doctor.check_keys} == set(EXAMINATIONS)


def test_a_warning_is_a_failed_check_with_severity_warn_and_says_what_to_do(connection: Connection) -> None:
    (healthy,) = examined(["records"])
    assert healthy.passed
    connection.execute(REJECTED, ["1"])
    (found,) = examined(["records"])
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    table = found.metadata["what was found"]
    assert isinstance(table, dg.TableMetadataValue)
    (row,) = [record.data for record in table.records]
    assert row["finding"] == "shop: 1 rejected records"
    assert "`orders-sync rejected` shows the reasons" in str(row["what to do"])


def test_the_sensor_shows_all_results_each_hour_and_a_new_one_at_once(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    cursor: str | None = None

    def tick() -> list[str]:
        """The checks that a tick shows."""
        nonlocal cursor
        context = dg.build_sensor_context(instance, cursor=cursor)
        before = shown()
        doctor_sensor(context)
        cursor = context.cursor
        return shown()[len(before) :]

    def shown() -> list[str]:
        entries = instance.all_logs("")
        events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
        return [
            event.asset_check_evaluation_data.check_name
            for event in events
            if event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]

    assert len(tick()) == len(EXAMINATIONS) - len(SLOW)
    assert instance.get_latest_materialization_event(DOCTOR) is not None
    others = {"daemon"}  # what it finds of processes changes with those of the tests beside this one
    assert set(tick()) <= others
    connection.execute(REJECTED, ["1"])
    assert set(tick()) - others == {"records"}
    stored = json.loads(cursor or "")
    cursor = json.dumps({**stored, "at": stored["at"] - 3600})
    assert len(tick()) == len(EXAMINATIONS) - len(SLOW)


def test_a_person_examines_everything_by_materializing_it(connection: Connection) -> None:
    result = dg.materialize([doctor], raise_on_error=False)
    assert result.success
    assert len(result.get_asset_check_evaluations()) == len(EXAMINATIONS)
