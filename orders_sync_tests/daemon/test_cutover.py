"""docs/cutover.md, command by command, in a deployment with its daemon; V1 is the stand-in."""

import csv
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import ACCOUNT, DG_DEV, REPOSITORY, Deployment, edit_yaml, v1_file_of
from orders_sync.testing.marketplace import Marketplace, an_order

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("deployment")]

RUNBOOK = (PROJECT_ROOT / "docs" / "cutover.md").read_text()
V1_JOBS = ("refresh_latest", "refresh_new", "refresh_orders")


@pytest.fixture(scope="module")
def both() -> Iterator[Deployment]:
    """A deployment by `dg dev`, whose account is V1's as well, with forty orders of yesterday."""
    with tempfile.TemporaryDirectory(prefix="osm-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        now = datetime.now(UTC)
        noon_of_yesterday = (now - timedelta(days=1)).replace(hour=12, minute=0, second=0)
        for number in range(1, 41):
            an_order(marketplace, number, age=now - noon_of_yesterday)
        # The program `dg` finds the installed project first, which is another folder than the copy.
        deployment = Deployment(Path(folder), marketplace, command=DG_DEV, variables={"PYTHONPATH": folder})
        edit_yaml(
            v1_file_of(deployment.folder), lambda document: document.update(marketplaces={"back_market": ACCOUNT})
        )
        with deployment:
            deployment.wait_until_synced()
            yield deployment


def schedule_status(deployment: Deployment, name: str) -> str:
    data = deployment.graphql(
        "query($s: ScheduleSelector!) {scheduleOrError(scheduleSelector: $s) {... on Schedule {scheduleState {status}}}}",
        s={**REPOSITORY, "scheduleName": f"{name}_schedule"},
    )
    return str(data["scheduleOrError"]["scheduleState"]["status"])


def run_job(deployment: Deployment, name: str) -> str:
    """Launches a job as the UI does; returns its run's final status."""
    data = deployment.graphql(
        """mutation($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {
        __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}""",
        params={
            "selector": {**REPOSITORY, "pipelineName": name}, "mode": "default", "runConfigData": {},
            "executionMetadata": {"tags": []},
        },
    )["launchPipelineExecution"]  # fmt: skip
    assert data["__typename"] == "LaunchRunSuccess", data
    return deployment.wait_for_run(str(data["run"]["runId"]))


def output_of(deployment: Deployment, line: str) -> str:
    """Runs a command of the runbook, which must stand in it."""
    assert f"{line}\n" in RUNBOOK, line
    arguments = re.findall(r'"[^"]*"|\S+', line)[1:]
    done = deployment.cli(*(argument.strip('"') for argument in arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_every_command_of_the_runbook_is_run_here() -> None:
    here = Path(__file__).read_text()
    commands = re.findall(r"^orders-sync .*$", RUNBOOK, flags=re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        assert command in here, f"the runbook has a command that no test runs: {command}"


@pytest.mark.long
def test_dg_dev_starts_the_project_as_dagster_dev_does(both: Deployment) -> None:
    """Web server and daemon: the fixture has seen the UI answer, and first passes that a sensor launched."""
    assert both.command == DG_DEV
    assert both.wait_for_run(both.runs_of("new_orders")[-1]["runId"]) == "SUCCESS"


@pytest.mark.long
def test_the_runbook(both: Deployment) -> None:
    # V1's commands have their rows: marked as the old system, off by default, and they run.
    described = both.graphql(
        "query($s: RepositorySelector!) {repositoryOrError(repositorySelector: $s) {... on Repository "
        "{jobs {name description} schedules {name cronSchedule description}}}}",
        s=REPOSITORY,
    )["repositoryOrError"]
    jobs = {job["name"]: job["description"] for job in described["jobs"]}
    crons = {schedule["name"]: schedule["cronSchedule"] for schedule in described["schedules"]}
    for job, cron in zip(V1_JOBS, ("*/5 * * * *", "*/2 * * * *", "*/5 * * * *"), strict=True):
        assert jobs[job].startswith("OLD SYSTEM (V1)")
        assert crons[f"{job}_schedule"] == cron
        assert schedule_status(both, job) == "STOPPED"

    # Phase 1.
    assert "shop moved from live to parallel" in output_of(both, 'orders-sync cutover begin --reason "V2 is installed"')
    for job in ("refresh_orders", "refresh_new", "refresh_latest"):
        assert run_job(both, job) == "SUCCESS"
    checked = output_of(both, "orders-sync cutover check")
    assert "Zone: UTC is right for 40 of 40 orders" in checked
    assert "V1 can be read as v1.yaml says." in checked
    assert "All 40 orders agree" in output_of(both, "orders-sync cutover compare")
    status = output_of(both, "orders-sync cutover status")
    assert "checks before the phase after parallel" in status
    assert "good days needed" in status
    assert "0 differences" in output_of(both, "orders-sync cutover differences")
    too_early = both.cli("cutover", "advance")
    assert too_early.returncode == 1
    assert "no phase: shop: the phase parallel has lasted since" in " ".join(too_early.stderr.split())
    assert "orders-sync cutover advance\n" in RUNBOOK
    line = 'orders-sync cutover advance --force --reason "the one difference is known and harmless"'
    assert "shop moved from parallel to monitor" in output_of(both, line)

    # Phase 2: a difference shows in the CSV, and stands in the way.
    ours, v1 = both.connect(), both.connect("v1")
    v1.execute("UPDATE orders SET updated_at = updated_at - interval '40 minutes'")  # else it counts as in flight
    ours.execute("UPDATE order_items SET quantity = 7 WHERE order_id = '3'")
    assert "1 differ" in output_of(both, "orders-sync cutover compare")
    output_of(both, "orders-sync cutover differences --csv differences.csv")
    with (both.folder / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["order_id"], row["field"], row["v1"], row["v2"], row["right"]) for row in rows] == [
        ("3", "quantity", "1", "7", "V1")
    ]
    assert "orders-sync cutover advance --account back_market_sandbox\n" in RUNBOOK
    not_ready = both.cli("cutover", "advance", "--account", ACCOUNT)
    assert not_ready.returncode == 1
    assert "no days compared: 6 of 7 account days are still needed" in " ".join(not_ready.stderr.split())
    assert "Not ready; nothing was moved." in not_ready.stderr
    ours.execute("UPDATE order_items SET quantity = 1 WHERE order_id = '3'")
    assert both.cli("cutover", "advance", "--force").returncode == 2

    # Phase 3: V1's schedules go off and stay off, its locks are taken over, each once.
    both.switch_on("refresh_new_schedule")
    assert schedule_status(both, "refresh_new") == "RUNNING"
    line = 'orders-sync cutover advance --force --reason "the one difference is known and harmless"'
    assert "shop moved from monitor to live" in output_of(both, line)
    assert schedule_status(both, "refresh_new") == "STOPPED"
    assert "ok   schedules: no schedule or sensor is switched off" in both.cli("doctor").stdout  # V1's are meant to be
    assert "V2 is live: V1 is switched off." in run_job(both, "refresh_new")
    held = v1.execute("SELECT count(*) FROM stock_locks WHERE released_at IS NULL AND consumed_at IS NULL").fetchone()
    taken = ours.execute(
        "SELECT count(*) FROM stock_locks WHERE state IN ('locked', 'short') AND quantity = 1"
    ).fetchone()
    assert held == taken == (40,)
    moved = both.graphql(
        """query($key: AssetKeyInput!) {assetNodeOrError(assetKey: $key) {... on AssetNode {
        assetMaterializations(limit: 1) {description metadataEntries {label ... on TextMetadataEntry {text}}}}}}""",
        key={"path": ["migration_phase"]},
    )["assetNodeOrError"]["assetMaterializations"][0]
    assert moved["description"] == "shop: from monitor to live"
    entries: dict[str, Any] = {entry["label"]: entry.get("text") for entry in moved["metadataEntries"]}
    assert entries["reason"] == "the one difference is known and harmless"

    # And back.
    line = 'orders-sync cutover back --reason "a doubt about the locks"'
    assert "shop moved from live to parallel" in output_of(both, line)
    assert ours.execute("SELECT count(*) FROM stock_locks WHERE state IN ('locked', 'short')").fetchone() == taken
    status = output_of(both, "orders-sync cutover status")
    assert "checks before the phase after parallel" in status
    assert "a doubt about the locks" in status


@pytest.mark.long
def test_the_comparison_in_the_ui_shows_its_plot_and_its_checks(both: Deployment) -> None:
    assert run_job(both, "refresh_orders") == "SUCCESS"
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    run_id = both.graphql(
        """mutation($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {
        __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}""",
        params={
            "selector": {**REPOSITORY, "pipelineName": "compare_v1_and_v2"}, "mode": "default", "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": yesterday}]},
        },
    )["launchPipelineExecution"]["run"]["runId"]  # fmt: skip
    assert both.wait_for_run(run_id) == "SUCCESS"
    made = both.graphql(
        """query($key: AssetKeyInput!) {assetNodeOrError(assetKey: $key) {... on AssetNode {
        assetMaterializations(limit: 1) {metadataEntries {label ... on MarkdownMetadataEntry {mdStr}
        ... on TableMetadataEntry {table {records}}}}
        assetChecksOrError {... on AssetChecks {checks {name}}}}}}""",
        key={"path": [ACCOUNT, "v1_v2_comparison"]},
    )["assetNodeOrError"]
    entries = {entry["label"]: entry for entry in made["assetMaterializations"][0]["metadataEntries"]}
    assert "data:image/png;base64," in entries["plot"]["mdStr"]
    assert "All 40 orders agree" in str(entries["verdicts"]["table"]["records"])
    checks = {check["name"] for check in made["assetChecksOrError"]["checks"]}
    assert {"agreement", "no_lock_differs", "nothing_missing_in_v2", "days_compared", "within_api_budget"} <= checks
