"""Each failure that does not heal is a line at level ERROR in the sync log, and a finding of the doctor.

Others are tested where they belong: no ticks and dead daemons (test_watch, test_daemon), a part of `up` that ends again
and again (test_up).
"""

import re

import dagster as dg
import pytest

from orders_sync.config.environment import sync_log_file
from orders_sync.dagster_support import orders_database
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection
from orders_sync.defs.operations.sensors import dead_runs
from orders_sync.health.examinations import EXAMINATIONS
from orders_sync.lanes.history import started
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.sync_log import log_to_file
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import MAX_ATTEMPTS, StockConnection
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync_tests.cli.command_line import run

LANE = Lane("shop", SyncType.NEW)


@pytest.fixture(autouse=True)
def log(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync log of the test's own."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path_factory.mktemp("state")))


def errors() -> list[str]:
    """The errors in the sync log, without their time."""
    lines = sync_log_file().read_text().splitlines()
    return [line.partition(" ERROR OrderSync ")[2] for line in lines if " ERROR " in line]


def findings(name: str) -> list[str]:
    """What an examination of the doctor finds wrong. Each has a remedy."""
    found = [finding for finding in EXAMINATIONS[name]() if not finding.ok]
    assert all(finding.remedy for finding in found)
    return [finding.text for finding in found]


def test_a_refused_credential(shop: Marketplace) -> None:
    shop.fault("status", status=401, path="/ws/orders")
    assert run("sync", "--type", "new").exit_code == 1
    failed, paused = errors()
    assert re.fullmatch(r"shop/new: run cli-\w+ failed: .*the credential is wrong or lacks a right.*", failed)
    assert paused == (
        "shop/new: all lanes of the account pause until the account's file or credential has changed, or somebody runs "
        "it by hand."
    )
    lanes = findings("lanes")
    assert len(lanes) == 4
    assert all(text.startswith(f"shop/{each}: pauses: ") for each, text in zip(SyncType, lanes, strict=True))


def test_a_credential_without_a_right(shop: Marketplace) -> None:
    shop.fault("status", status=403, path="/ws/sav")
    run("sync", "--type", "care")
    assert errors()[-1].startswith("shop/care: the lane pauses until ")


def test_passes_that_fail_again_and_again(shop: Marketplace) -> None:
    shop.fault("status", status=404, path="/ws/orders", times=0)
    for _ in range(3):
        assert run("sync", "--type", "new").exit_code == 1
    assert len(errors()) == 3
    assert all(re.match(r"shop/new: run cli-\w+ failed: ", line) for line in errors())
    assert findings("lanes")[0].startswith("shop/new: its last 3 runs failed: ")


@pytest.mark.usefixtures("shop")
def test_a_stalled_pass_that_was_ended(connection: Connection) -> None:
    with hold(LANE, "run-1") as holding:
        started(holding, LANE, "run-1")
        connection.execute("UPDATE lane_runs SET progressed_at = now() - interval '11 minutes'")
        assert findings("lanes")[0] == "shop/new: run run-1: no progress for 11 min"
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, resources={"orders_database": OrdersDatabase()}) as context,
        ):
            dead_runs(context)
    assert errors() == ["shop/new: run run-1: it made no progress for 11 min, and was ended"]
    assert findings("lanes")[0] == "shop/new: its last run failed: it made no progress for 11 min, and was ended"


def test_an_event_that_is_given_up(shop: Marketplace, connection: Connection) -> None:
    an_order(shop, 1)
    run("sync", "--type", "new")
    connection.execute("ALTER TABLE stock_lock_history ADD CONSTRAINT none CHECK (false) NOT VALID")
    with log_to_file():
        for _ in range(MAX_ATTEMPTS):
            assert errors() == []
            apply_pending(StockConnection(connection))
    (line,) = errors()
    assert re.match(r"shop: event \d+ of order 1 is given up after 5 attempts: CheckViolation\. Mend the cause, ", line)
    assert findings("records") == ["shop: 1 order events that could not be applied"]


def test_a_schema_that_the_code_does_not_work_with(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_database, "SCHEMA_CHECK_SECONDS", 30.0)
    monkeypatch.setattr(orders_database, "_schema_checks", {})
    monkeypatch.setattr(orders_database, "_schema_reports", {})
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.execute("UPDATE schema_compatibility SET oldest_revision = '9999'")

    def tick() -> None:
        with (
            pytest.raises(dg.DagsterError, match="orders_database"),
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, resources={"orders_database": OrdersDatabase()}) as context,
        ):
            dead_runs(context)

    tick()
    tick()
    (line,) = errors()
    assert line.startswith(
        "No sync and no stock job can run: The schema of the orders database is at revision 9999, which this version"
    )
    assert line.endswith("Install the version of orders-sync that upgraded it, or a newer one.")
    monkeypatch.setattr(orders_database, "SCHEMA_CHECK_SECONDS", 0.0)
    tick()
    assert errors() == [line, line]
    output = run("doctor").output
    assert "FAIL database: The schema of the orders database is at revision 9999, which this version" in output
