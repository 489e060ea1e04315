"""Runs that a user launches in the UI have the user's name."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from orders_sync.dagster_instance.attribution import USER_TAG
from orders_sync.dagster_instance.run_coordinator import AttributingRunCoordinator
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.testing.databases import a_database
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.settings import WebSettings
from orders_sync_tests.web.conftest import PASSWORD, PROXY_PASSWORD, basic, web_server

DEFINITIONS = """
import dagster as dg

@dg.job
def adjust():
    pass

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def orders():
    pass

defs = dg.Definitions(assets=[orders], jobs=[adjust])
"""
BACKFILL = """
mutation Backfill($tags: [ExecutionTag!]) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["orders"]}], partitionNames: ["a", "b"], tags: $tags
  }) {__typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}
}
"""
LAUNCH = """
mutation Launch($tags: [ExecutionTag!]) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "jobs", repositoryName: "__repository__", jobName: "adjust"},
    executionMetadata: {tags: $tags}
  }) {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}
}
"""
USER = "Łucja <lucja@example.com>"


@pytest.fixture(scope="module")
def instance(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    overrides = {
        "storage": {"custom": {"module": "orders_sync.dagster_instance.storage", "class": "OrdersSyncStorage"}},
        "telemetry": {"enabled": False},
        "run_coordinator": {
            "module": AttributingRunCoordinator.__module__,
            "class": AttributingRunCoordinator.__name__,
        },
    }
    with a_database(template, f"dagster_{uuid.uuid4().hex[:16]}") as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_POSTGRES_URL", url)
        with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster")), overrides) as opened:
            yield opened


@pytest.fixture(scope="module")
def web(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("jobs")
    (folder / "jobs.py").write_text(DEFINITIONS)
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: [{python_file: {relative_path: jobs.py, location_name: jobs}}]\n")
    settings = WebSettings(password=PASSWORD, proxy_password=PROXY_PASSWORD)
    with dagster_app(instance, workspace) as app, web_server(app, settings) as url:
        yield url


def launched(client: httpx.Client, instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    """The run that a click on *Launch Run* puts into the queue."""
    variables = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    answer: dict[str, Any] = client.post("/graphql", json={"query": LAUNCH, "variables": variables}).json()
    run = instance.get_run_by_id(answer["data"]["launchRun"]["run"]["runId"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED
    return run


def test_a_run_has_the_name_of_the_proxys_user(web: str, instance: dg.DagsterInstance) -> None:
    with httpx.Client(base_url=web, headers=basic(USER), trust_env=False) as client:
        run = launched(client, instance)
        assert run.tags[USER_TAG] == USER
        by = by_hand(run, instance)
        assert by is not None
        assert by.user == USER
        assert launched(client, instance, user="somebody else").tags[USER_TAG] == USER


def test_without_a_proxy_a_user_has_no_name_but_may_give_one(web: str, instance: dg.DagsterInstance) -> None:
    forged = {"X-Orders-Sync-User": "anna", "Accept": "text/html"}
    with httpx.Client(base_url=web, headers=forged, trust_env=False) as client:
        assert client.post("/operations/login", data={"password": PASSWORD}).status_code == 303
        assert USER_TAG not in launched(client, instance).tags
        assert launched(client, instance, user="ben").tags[USER_TAG] == "ben"


def test_no_tag_of_a_client_makes_a_run_one_that_nobody_launched(web: str, instance: dg.DagsterInstance) -> None:
    with httpx.Client(base_url=web, headers=basic(USER), trust_env=False) as client:
        for tag in ("dagster/schedule_name", "dagster/sensor_name", "dagster/from_automation_condition"):
            by = by_hand(launched(client, instance, **{tag: "x"}), instance)
            assert by is not None
            assert by.user == USER


def test_a_backfill_has_the_name_of_the_proxys_user(web: str, instance: dg.DagsterInstance) -> None:
    with httpx.Client(base_url=web, headers=basic(USER), trust_env=False) as client:
        variables = {"tags": [{"key": "user", "value": "somebody else"}]}
        answer = client.post("/graphql", json={"query": BACKFILL, "variables": variables}).json()
        backfill = instance.get_backfill(answer["data"]["launchPartitionBackfill"]["backfillId"])
    assert backfill is not None
    assert backfill.tags[USER_TAG] == USER
