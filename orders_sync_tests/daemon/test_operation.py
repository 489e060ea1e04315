"""The deployment at work: first passes, guards against overlap, events that wake the stock job, runs that die."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from psycopg.sql import SQL, Identifier

from orders_sync.testing.deployment import ACCOUNT, Deployment, environment
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import an_order
from orders_sync.testing.waiting import wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("daemon")]

TODAY = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


def today(deployment: Deployment) -> str:
    with deployment.connect() as connection:
        (day,) = connection.execute(TODAY).fetchone() or ("",)
        return str(day)


def test_the_first_passes_run_at_once_and_everything_is_materialised(deployment: Deployment) -> None:
    """Plain `dagster dev` with no environment variable set: four syncs and the stock job, without a click."""
    for asset in ("new_orders", "modified_orders", "care_records", "incomplete_orders"):
        runs = deployment.runs_of(asset)
        assert runs, asset
        assert runs[-1]["status"] == "SUCCESS"
    assert any(run["jobName"] == "apply_order_events" and run["status"] == "SUCCESS" for run in deployment.runs())
    with deployment.connect() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (40,)
        assert connection.execute("SELECT count(*) FROM stock_locks").fetchone() == (40,)
        check_invariants(connection)


def test_a_lane_never_overlaps_itself(deployment: Deployment) -> None:
    """A slow pass; meanwhile a tick (skipped, naming the run), a Materialize (queued, then runs), a CLI run (busy)."""
    fault = deployment.marketplace.fault("drip", path="/ws/orders", times=1, seconds=75)
    wait_for(lambda: fault.used, seconds=90, what="a scheduled pass that is slow")
    slow = next(run for run in deployment.runs_of("new_orders") if run["status"] in ("STARTED", "STARTING"))
    queued = deployment.materialize("new_orders", today(deployment))
    cli = deployment.cli("sync", "--type", "new", "--account", ACCOUNT)
    assert cli.returncode == 3, cli.stdout + cli.stderr
    assert re.search(rf"Lane shop/new is busy: run\s+{slow['runId']}", cli.stdout)

    def skipped() -> list[str]:
        reasons = [str(tick["skipReason"]) for tick in deployment.ticks("sync_new_orders_schedule")]
        return [reason for reason in reasons if slow["runId"][:8] in reason]

    told = wait_for(skipped, seconds=80, what="a tick on the busy lane")
    assert told[0].startswith(f"Lane shop/new is busy: run {slow['runId'][:8]} (started)")
    assert deployment.status_of(queued) == "QUEUED"
    wait_for(lambda: deployment.status_of(queued) == "SUCCESS", seconds=120, what="the queued Materialize")
    with deployment.connect() as connection:
        overlaps = connection.execute(
            """
            SELECT one.run_id, two.run_id FROM lane_runs one JOIN lane_runs two
              ON (one.account, one.sync_type) = (two.account, two.sync_type) AND one.lane_run_id < two.lane_run_id
            WHERE two.started_at < one.finished_at
            """
        ).fetchall()
    assert overlaps == []


def test_a_run_waits_for_a_lane_that_the_cli_holds(deployment: Deployment) -> None:
    """The queue knows nothing of the CLI: the lock in the database guards the lane."""
    fault = deployment.marketplace.fault("delay", path="/ws/sav", times=1, seconds=20)
    cli = deployment.spawn(sys.executable, "-m", "orders_sync.cli", "sync", "--type", "care")
    wait_for(lambda: fault.used, seconds=30, what="the CLI's pass")
    run = deployment.materialize("care_records", today(deployment))
    wait_for(lambda: deployment.status_of(run) == "SUCCESS", seconds=90, what="the run that waits for the CLI")
    assert cli.wait(5) == 0


def test_two_daemons_on_one_database_give_one_run_a_tick(deployment: Deployment) -> None:
    with (deployment.folder / "second.log").open("w") as log:
        second = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=deployment.folder,
            env=environment(DAGSTER_HOME=_home_with_yaml(deployment)),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        before = {tick["timestamp"] for tick in deployment.ticks("sync_new_orders_schedule")}
        wait_for(
            lambda: len({t["timestamp"] for t in deployment.ticks("sync_new_orders_schedule")} - before) >= 2,
            seconds=180,
            what="two ticks with two daemons",
        )
        assert second.poll() is None, (deployment.folder / "second.log").read_text()[-2000:]
    finally:
        os.killpg(second.pid, signal.SIGKILL)
    ticks = Counter(
        tag["value"]
        for run in deployment.runs_of("new_orders")
        for tag in run["tags"]
        if tag["key"] == "dagster/run_key"
    )
    assert ticks
    assert max(ticks.values()) == 1, ticks


def _home_with_yaml(deployment: Deployment) -> str:
    """A DAGSTER_HOME with the project's dagster.yaml, as a server would have it."""
    home = deployment.folder / "home"
    home.mkdir(exist_ok=True)
    shutil.copy(deployment.folder / "dagster.yaml", home)
    return str(home)


def test_an_event_wakes_the_stock_job(deployment: Deployment) -> None:
    an_order(deployment.marketplace, 900, state=1, line_state=1)
    assert deployment.cli("sync", "--type", "new", "--wait", "60").returncode == 0

    def locked() -> bool:
        with deployment.connect() as connection:
            return connection.execute("SELECT 1 FROM stock_locks WHERE order_id = '900'").fetchone() is not None

    wait_for(locked, seconds=60, what="the lock of the new order")


def test_the_doctor_is_content_and_says_what_is_wrong(deployment: Deployment) -> None:
    report = deployment.cli("doctor")
    assert "FAIL database" not in report.stdout
    assert "ok   daemon: the scheduler daemon was alive" in report.stdout, report.stdout + report.stderr
    account = deployment.folder / "orders_sync" / "defs" / "accounts" / "other" / "defs.yaml"
    account.parent.mkdir()
    account.write_text(
        "type: orders_sync.components.account.Account\nattributes:\n  marketplace: back_market\n  token: OTHER_TOKEN\n"
    )
    try:
        report = deployment.cli("doctor")
        assert report.returncode == 1
        assert "the environment variable OTHER_TOKEN is not set" in report.stdout
        assert "→ Set it for the daemon" in report.stdout
    finally:
        account.unlink()
        account.parent.rmdir()


def test_no_buyers_data_reaches_dagster_or_a_log(deployment: Deployment) -> None:
    """Planted names, also in records that are rejected and in errors, are in the orders database and nowhere else."""
    planted = {
        "firstName": "Zyxwvut",
        "lastName": "Qplanted",
        "street": "Secretstreet 17",
        "phoneNumber": "+49301234567",
    }
    an_order(deployment.marketplace, 901, shipping_address=planted)
    an_order(deployment.marketplace, 902, shipping_address=planted, currency="???")
    an_order(deployment.marketplace, 903, shipping_address={**planted, "city": 5})
    run = deployment.materialize("modified_orders", today(deployment))
    wait_for(lambda: deployment.status_of(run) in ("SUCCESS", "FAILURE"), seconds=120, what="the pass")
    with deployment.connect() as connection:
        assert connection.execute("SELECT 1 FROM orders WHERE shipping_last_name = 'Qplanted'").fetchone()
    found = []
    with deployment.connect("dagster") as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            count = connection.execute(
                SQL("SELECT count(*) FROM {} t WHERE t::text ~ 'Zyxwvut|Qplanted|Secretstreet|4930123'").format(
                    Identifier(table)
                )
            )
            if count.fetchone() != (0,):
                found.append(table)
    files = [
        p for p in deployment.folder.rglob("*") if p.is_file() and "postgres" not in p.parts and p.suffix != ".pyc"
    ]
    found += [str(p) for p in files if re.search(rb"Zyxwvut|Qplanted|Secretstreet|4930123", p.read_bytes())]
    assert found == []


def test_a_wrong_token_makes_a_red_run_with_one_clear_line(deployment: Deployment) -> None:
    deployment.marketplace.fault("status", status=401, times=1, path="/ws/sav")
    run = deployment.materialize("care_records", today(deployment))
    wait_for(lambda: deployment.status_of(run) == "FAILURE", seconds=90, what="the red run")
    with deployment.connect("dagster") as connection:
        events = connection.execute("SELECT event FROM event_logs WHERE run_id = %s", [run]).fetchall()
    assert any("the credential is wrong or lacks a right" in event for (event,) in events)


def test_a_host_that_dies_leaves_no_lane_held(deployment: Deployment) -> None:
    """All processes killed at once: Dagster alone leaves the run STARTED, and its lane's queue stuck, for ever."""
    fault = deployment.marketplace.fault("delay", path="/ws/sav", times=1, seconds=60)
    run = deployment.materialize("care_records", today(deployment))
    wait_for(lambda: fault.used, seconds=60, what="the doomed run's first call")
    deployment.kill()
    deployment.start()
    assert deployment.status_of(run) == "STARTED"
    again = deployment.materialize("care_records", today(deployment))
    wait_for(lambda: deployment.status_of(run) == "FAILURE", seconds=120, what="the dead run's failure")
    wait_for(lambda: deployment.status_of(again) == "SUCCESS", seconds=120, what="the next run of the lane")
    with deployment.connect() as connection:
        check_invariants(connection)
