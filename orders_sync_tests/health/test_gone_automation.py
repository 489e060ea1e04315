"""Schedules and sensors that no longer exist: Dagster keeps their states, and no examination reports them."""

import time
from pathlib import Path

import pytest

from orders_sync.config import code_location
from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_instance.internals import InstigatorStatus
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync_tests.dagster_instance.dagster_sensors import store_failed_tick, store_sensor


@pytest.mark.usefixtures("shop")
def test_a_sensor_that_is_gone_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["dagster", "api", "grpc"])
    with open_instance() as instance:
        for name in ("here", "gone"):
            failing = store_sensor(instance, f"{name}_failing", time.time())
            store_failed_tick(instance, failing, time.time(), "ValueError")
            store_sensor(instance, f"{name}_off", time.time(), status=InstigatorStatus.STOPPED)

    def reported() -> set[str]:
        found = [finding for name in ("daemon", "schedules") for finding in EXAMINATIONS[name]() if not finding.ok]
        return {name for name in NAMES if any(name in finding.text for finding in found)}

    assert reported() == NAMES, "no code server runs here: nobody knows which are gone"
    code_location.note_code_location({}, ["here_failing", "here_off"])
    assert reported() == {"here_failing", "here_off"}


NAMES = {"here_failing", "here_off", "gone_failing", "gone_off"}
