"""The deployment at work: first passes, guards against overlap, events that wake the stock job, runs that die."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from orders_sync.testing.deployment import ACCOUNT, Deployment
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import an_order
from orders_sync.testing.shared_deployment import SHARED
from orders_sync.testing.waiting import limit, wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("deployment")]

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
        # The lane is done a moment before Dagster calls its run a success.
        assert deployment.wait_for_run(str(runs[-1]["runId"])) == "SUCCESS"

    def stock_job_succeeded() -> bool:
        return any(run["jobName"] == "apply_order_events" and run["status"] == "SUCCESS" for run in deployment.runs())

    wait_for(stock_job_succeeded, what="the stock job")
    with deployment.connect() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (40,)
        assert connection.execute("SELECT count(*) FROM stock_locks").fetchone() == (40,)
        check_invariants(connection)


def test_its_runs_are_forked_from_one_process_with_all_imports_done(deployment: Deployment) -> None:
    """Else each run would spend seconds of CPU on imports."""
    lines = [" ".join(process.cmdline()) for process in deployment.own_processes()]
    (forking,) = [line for line in lines if "multiprocessing.forkserver" in line]
    assert "orders_sync.definitions" in forking


def test_the_doctor_is_content_and_says_what_is_wrong(deployment: Deployment) -> None:
    short = deployment.cli("doctor")
    assert short.returncode == 1
    assert "warn records: shop: 40 items whose stock can't be locked" in short.stdout, short.stdout + short.stderr
    (deployment.folder / "stock.csv").write_text("sku,on_hand\nPHONE,1000\n")
    assert deployment.cli("stock", "import", "stock.csv").returncode == 0
    report = deployment.cli("doctor")
    assert report.returncode == 0, report.stdout + report.stderr
    assert "FAIL" not in report.stdout
    for line in ("ok   database: PostgreSQL", "ok   daemon: the scheduler daemon was alive", "ok   records: no items"):
        assert line in report.stdout
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


@dataclass(frozen=True)
class Minute:
    """What happened while two daemons ran and one slow pass worked on the lane of `new`, over at least one tick."""

    slow: str
    """The id of the slow pass's run; it was launched by hand."""
    cli: "subprocess.CompletedProcess[str]"
    """`orders-sync sync` on the busy lane."""
    skipped: str
    """Why the schedule of `new` skipped its tick."""
    queued: tuple[str, str]
    """The status of a second run of the lane: after the tick, and in the end."""
    runs_by_tick: Counter[str]
    """How many runs each tick of `incomplete` launched, without Dagster's repetitions of those that died."""


@pytest.fixture(scope="module")
def minute() -> Minute:
    """The one wait for a real tick of the clock: what has to be seen of ticks is seen in the same minute."""
    deployment = SHARED.get()
    ticking = ("sync_new_orders_schedule", "sync_incomplete_orders_schedule")
    # A tick's own run must not come before the slow pass: it would be the one that waits at the gate.
    for name in ticking:
        deployment.switch_off(name)

    def is_idle() -> bool:
        no_tick = all(tick["status"] != "STARTED" for name in ticking for tick in deployment.ticks(name))
        return no_tick and not deployment.runs_under_way()

    wait_for(is_idle, seconds=120, what="the end of the runs under way")
    with deployment.marketplace.closed_gate("/ws/orders") as gate:
        slow = deployment.materialize("new_orders", today(deployment))
        wait_for(lambda: gate.reached, seconds=90, what="the first call of the slow pass")
        queued = deployment.materialize("new_orders", today(deployment))
        for name in ticking:
            deployment.switch_on(name)
        cli = deployment.cli("sync", "--type", "new", "--account", ACCOUNT)

        def skips() -> list[str]:
            reasons = [str(tick["skipReason"]) for tick in deployment.ticks("sync_new_orders_schedule")]
            return [reason for reason in reasons if f"{slow[:8]} (started)" in reason]

        # The runs by hand are launched by one daemon: two of them may launch a queued run twice.
        with second_daemon(deployment) as second_log:

            def tick_of_both_daemons() -> set[str]:
                return evaluated(deployment.log()) & evaluated(second_log())

            skipped = wait_for(skips, seconds=120, what="a tick on the busy lane")[0]
            meanwhile = deployment.status_of(queued)
            wait_for(tick_of_both_daemons, seconds=180, what="a tick that both daemons evaluate")
        gate.is_open = True
        wait_for(lambda: deployment.status_of(queued) == "SUCCESS", seconds=120, what="the queued Materialize")
    for name in ticking:
        deployment.switch_off(name)  # no further tick is looked at, and each costs the machine a run
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in deployment.runs_of("incomplete_orders")]
    # A repetition of a run that died on a slow machine has the run key of the first one.
    first_runs = [each for each in tags if "dagster/parent_run_id" not in each]
    launched = Counter(each["dagster/run_key"] for each in first_runs if "dagster/run_key" in each)
    return Minute(slow, cli, skipped, (meanwhile, deployment.status_of(queued)), launched)


@contextmanager
def second_daemon(deployment: Deployment) -> Iterator[Callable[[], str]]:
    """Another daemon on the deployment's databases, as on a second machine; gives what reads its log."""
    file = deployment.folder / "second.log"
    with file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=deployment.folder,
            env=deployment.environment | {"DAGSTER_HOME": _home_with_yaml(deployment)},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def runs() -> bool:
        assert process.poll() is None, file.read_text()[-2000:]
        return "SchedulerDaemon" in file.read_text()

    try:
        wait_for(runs, seconds=60, what="the second daemon")
        yield file.read_text
        assert process.poll() is None, file.read_text()[-2000:]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(limit(10))


def _home_with_yaml(deployment: Deployment) -> str:
    """A DAGSTER_HOME with the project's dagster.yaml, as a server would have it."""
    home = deployment.folder / "home"
    home.mkdir(exist_ok=True)
    shutil.copy(deployment.folder / "dagster.yaml", home)
    return str(home)


def evaluated(log: str) -> set[str]:
    """The ticks of `incomplete` that a daemon says it evaluated."""
    return set(re.findall(r"Evaluating schedule `sync_incomplete_orders_schedule` at (\S+ \S+)", log))


def test_a_lane_never_overlaps_itself(minute: Minute, deployment: Deployment) -> None:
    """A slow pass; meanwhile a tick (skipped, naming the run), a Materialize (queued, then runs), a CLI run (busy)."""
    assert minute.skipped.startswith(f"Lane shop/new is busy: run {minute.slow[:8]} (started)")
    assert minute.queued == ("QUEUED", "SUCCESS")
    assert minute.cli.returncode == 3, minute.cli.stdout + minute.cli.stderr
    assert re.search(rf"Lane shop/new is busy: run\s+{minute.slow}", minute.cli.stderr)
    with deployment.connect() as connection:
        # On a slow machine the gate stays closed for so long that the first attempt fails, and Dagster repeats it.
        outcomes = connection.execute(
            "SELECT outcome FROM lane_runs WHERE run_id = %s ORDER BY lane_run_id", [minute.slow]
        ).fetchall()
    assert passes_at_once(deployment) == []
    assert [outcome for (outcome,) in outcomes if outcome != "failed"] == ["succeeded"]


@pytest.mark.usefixtures("deployment")
def test_two_daemons_on_one_database_give_one_run_a_tick(minute: Minute) -> None:
    assert minute.runs_by_tick
    assert max(minute.runs_by_tick.values()) == 1, minute.runs_by_tick


def test_a_run_waits_for_a_lane_that_the_cli_holds(deployment: Deployment) -> None:
    """The queue knows nothing of the CLI: the lock in the database guards the lane."""
    with deployment.marketplace.closed_gate("/ws/sav") as gate:
        cli = deployment.spawn(sys.executable, "-m", "orders_sync.cli", "sync", "--type", "care")
        wait_for(lambda: gate.reached, seconds=60, what="the CLI's pass")
        run = deployment.materialize("care_records", today(deployment))
        waits = "Lane shop/care is busy: run cli-"
        wait_for(lambda: waits in deployment.sync_log(), seconds=90, what="the run that waits for the CLI")
        assert deployment.status_of(run) == "STARTED"
        gate.is_open = True
        assert cli.wait(limit(60)) == 0
        assert deployment.wait_for_run(run) == "SUCCESS"


def test_an_event_wakes_the_stock_job(deployment: Deployment) -> None:
    an_order(deployment.marketplace, 900, state=1, line_state=1)
    assert deployment.cli("sync", "--type", "new", "--wait", "60").returncode == 0

    def locked() -> bool:
        with deployment.connect() as connection:
            return connection.execute("SELECT 1 FROM stock_locks WHERE order_id = '900'").fetchone() is not None

    wait_for(locked, seconds=60, what="the lock of the new order")


def test_no_buyers_data_reaches_dagster_or_a_log(deployment: Deployment) -> None:
    """Planted names, also in records that are rejected and in errors, are in the orders database and nowhere else."""
    planted = {
        "firstName": "Zyxwvut",
        "lastName": "Qplanted",
        "street": "Secretstreet 17",
        "phoneNumber": "+49301234567",
    }
    an_order(deployment.marketplace, 901, shipping_address=planted)
    an_order(deployment.marketplace, 902, shipping_address=planted, orderlines=[])
    an_order(deployment.marketplace, 903, shipping_address={**planted, "city": 5})
    run = deployment.materialize("modified_orders", today(deployment))
    assert deployment.wait_for_run(run) == "SUCCESS"
    with deployment.connect() as connection:
        assert connection.execute("SELECT 1 FROM orders WHERE shipping_last_name = 'Qplanted'").fetchone()
        rejected = "SELECT record_id FROM rejected_records WHERE raw LIKE '%Qplanted%'::bytea ORDER BY 1"
        assert connection.execute(rejected).fetchall() == [("902",)]
    found = []
    with deployment.connect("dagster") as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        assert ("event_logs",) in tables
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
    assert {"output.log", "sync.log"} <= {file.name for file in files}
    found += [str(p) for p in files if re.search(rb"Zyxwvut|Qplanted|Secretstreet|4930123", p.read_bytes())]
    assert found == []


def test_a_wrong_token_makes_a_red_run_with_one_clear_line(deployment: Deployment) -> None:
    deployment.marketplace.fault("status", status=401, times=1, path="/ws/sav")
    run = deployment.materialize("care_records", today(deployment))
    assert deployment.wait_for_run(run).startswith("FAILURE")
    with deployment.connect("dagster") as connection:
        events = connection.execute("SELECT event FROM event_logs WHERE run_id = %s", [run]).fetchall()
    assert any("the credential is wrong or lacks a right" in event for (event,) in events)


def retry_of(deployment: Deployment, run: str) -> dict[str, Any]:
    """The one automatic retry of a run, once it has ended."""

    def retries() -> list[dict[str, Any]]:
        parent = {"key": "dagster/parent_run_id", "value": run}
        return [each for each in deployment.runs() if parent in each["tags"]]

    (retry,) = wait_for(retries, seconds=120, what=f"the retry of run {run}")
    assert deployment.wait_for_run(str(retry["runId"])) == "SUCCESS"
    (retry,) = retries()
    return retry


def worker_of(deployment: Deployment, run: str) -> int:
    """The process of a started run, as Dagster's event log names it."""
    with deployment.connect("dagster") as connection:
        events = connection.execute("SELECT event FROM event_logs WHERE run_id = %s", [run]).fetchall()
    found = [match for (event,) in events if (match := re.search(r"Started process for run \(pid: (\d+)\)", event))]
    return int(found[0].group(1))


def passes_at_once(deployment: Deployment) -> list[tuple[Any, ...]]:
    """Pairs of passes that worked on one lane at the same time; one that died has no end."""
    with deployment.connect() as connection:
        return connection.execute(
            """
            SELECT one.run_id, two.run_id FROM lane_runs one JOIN lane_runs two
              ON (one.account, one.sync_type) = (two.account, two.sync_type) AND one.lane_run_id < two.lane_run_id
            WHERE two.started_at < one.finished_at
            """
        ).fetchall()


def test_a_run_whose_worker_is_killed_is_run_again_in_its_lane(deployment: Deployment) -> None:
    tags = {"orders_sync/account": ACCOUNT, "orders_sync/sync_type": "care", "orders_sync/marketplace": "back_market"}
    with deployment.marketplace.closed_gate("/ws/sav") as gate:
        run = deployment.materialize("care_records", today(deployment), tags)
        wait_for(lambda: gate.reached, seconds=60, what="the doomed run's first call")
        os.kill(worker_of(deployment, run), signal.SIGKILL)
        assert deployment.wait_for_run(run).startswith("FAILURE")
    retry = retry_of(deployment, run)
    kept = {tag["key"]: tag["value"] for tag in retry["tags"]}
    assert tags.items() <= kept.items()
    assert retry["assetSelection"] == [{"path": [ACCOUNT, "care_records"]}]
    assert passes_at_once(deployment) == []


def test_incomplete_waits_for_care_of_the_same_account(deployment: Deployment) -> None:
    """Both tick at 4:00."""
    tags = {"orders_sync/account": ACCOUNT, "orders_sync/marketplace": "back_market", "orders_sync/in_turn": ACCOUNT}
    with deployment.marketplace.closed_gate("/ws/sav") as gate:
        care = deployment.materialize("care_records", today(deployment), tags)
        wait_for(lambda: gate.reached, seconds=60, what="the first call of care")
        incomplete = deployment.materialize("incomplete_orders", None, tags)
        wait_for(lambda: deployment.status_of(incomplete) == "QUEUED", seconds=30, what="incomplete in the queue")
        time.sleep(5)
        assert deployment.status_of(incomplete) == "QUEUED"
    assert deployment.wait_for_run(care) == deployment.wait_for_run(incomplete) == "SUCCESS"


def test_a_run_that_a_person_terminates_says_so_on_its_lane_and_loses_nothing(deployment: Deployment) -> None:
    def lane() -> tuple[object, ...] | None:
        with deployment.connect() as connection:
            return connection.execute(
                "SELECT watermark, last_outcome, last_problem FROM lanes WHERE sync_type = 'care'"
            ).fetchone()

    before = lane()
    with deployment.marketplace.closed_gate("/ws/sav") as gate:
        run = deployment.materialize("care_records", today(deployment))
        wait_for(lambda: gate.reached, seconds=60, what="the run's first call")
        deployment.graphql("mutation($id: String!) {terminateRun(runId: $id) {__typename}}", id=run)
        assert deployment.wait_for_run(run).startswith("CANCELED")
        after = lane()
    assert before is not None
    assert after is not None
    assert after[:2] == (before[0], "failed")
    assert str(after[2]).startswith("terminated by a person at 20")


def test_a_sync_of_the_command_line_is_seen_in_dagster(deployment: Deployment) -> None:
    assert deployment.cli("sync", "--type", "care", "--wait", "60").returncode == 0
    with deployment.connect() as connection:
        (run_id,) = connection.execute(
            "SELECT run_id FROM lane_runs WHERE run_id LIKE 'cli-%' ORDER BY lane_run_id DESC LIMIT 1"
        ).fetchone() or ("",)

    def shown() -> list[str]:
        with deployment.connect("dagster") as connection:
            return [
                event
                for (event,) in connection.execute(
                    "SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' "
                    'AND asset_key = \'["shop", "care_passes"]\''
                )
                if run_id in event
            ]

    assert len(wait_for(shown, seconds=90, what="the pass in Dagster")) == 1


def test_a_host_that_dies_leaves_no_lane_held(deployment: Deployment) -> None:
    """All processes killed at once: Dagster alone leaves the run STARTED, and its lane's queue stuck, for ever."""
    with deployment.marketplace.closed_gate("/ws/sav") as gate:
        run = deployment.materialize("care_records", today(deployment))
        wait_for(lambda: gate.reached, seconds=60, what="the doomed run's first call")
        deployment.kill()
    deployment.start()
    assert deployment.status_of(run) == "STARTED"
    again = deployment.materialize("care_records", today(deployment))
    assert deployment.wait_for_run(run).startswith("FAILURE")
    assert deployment.wait_for_run(again) == "SUCCESS"
    retry_of(deployment, run)
    assert passes_at_once(deployment) == []
    with deployment.connect() as connection:
        check_invariants(connection)
