"""A login that only reads: people who may see everything, and change nothing."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import httpx
import pytest
from dagster_graphql.schema.roots.mutation import GrapheneMutation

from orders_sync_tests.web.conftest import PASSWORD, READER_PASSWORD
from orders_sync_tests.web.dagster_assets import report

SELECTOR = '{repositoryName: "r", repositoryLocationName: "l", scheduleName: "s"}'
NOT_ALLOWED = re.compile(r"UnauthorizedError|permission")
CHANGES = {
    "startSchedule": f"startSchedule(scheduleSelector: {SELECTOR}) {{__typename}}",
    "terminateRun": 'terminateRun(runId: "none") {__typename}',
    "deletePipelineRun": 'deletePipelineRun(runId: "none") {__typename}',
    "wipeAssets": 'wipeAssets(assetPartitionRanges: [{assetKey: {path: ["a"]}}]) {__typename}',
    "setConcurrencyLimit": 'setConcurrencyLimit(concurrencyKey: "k", limit: 1)',
    "reloadWorkspace": "reloadWorkspace {__typename}",
}


@pytest.fixture
def reader(guarded: str) -> Iterator[httpx.Client]:
    with logged_in(guarded, READER_PASSWORD) as client:
        yield client


@contextmanager
def logged_in(url: str, password: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}, trust_env=False) as client:
        assert client.post("/operations/login", data={"password": password}).status_code == 303
        yield client


def query(client: httpx.Client, text: str) -> dict[str, Any]:
    return client.post("/graphql", json={"query": text}).json()


def test_a_reader_sees_what_the_others_see(reader: httpx.Client) -> None:
    assert query(reader, "{version}")["data"]["version"]
    for path in (
        "/",
        "/runs",
        "/operations",
        "/operations/waiting",
        "/operations/documents",
        "/operations/orders",
        "/operations/lanes",
        "/operations/subscriptions",
    ):
        assert reader.get(path).status_code == 200, path


@pytest.mark.parametrize("change", CHANGES)
def test_dagster_changes_nothing_for_a_reader(guarded: str, reader: httpx.Client, change: str) -> None:
    mutation = f"mutation {{{CHANGES[change]}}}"
    with logged_in(guarded, PASSWORD) as operator:
        allowed = query(operator, mutation)
    refused = query(reader, mutation)
    assert NOT_ALLOWED.search(str(allowed)) is None
    assert NOT_ALLOWED.search(str(refused)) is not None, refused


def _source(resolver: Any) -> str:
    return inspect.getsource(getattr(resolver, "__self__", None) or inspect.unwrap(resolver)).lower()


def test_dagster_looks_at_permissions_in_each_mutation() -> None:
    """If this fails, an upgrade of Dagster has brought one that a reader may run: look at it, and add it here."""
    unchecked = {
        name
        for name, field in GrapheneMutation._meta.fields.items()  # pyright: ignore
        if "permission" not in _source(field.resolver)  # pyright: ignore
    }
    launches_as_launch_run = {"launchMultipleRuns"}
    changes_nothing = {"logTelemetry", "setNuxSeen"}
    assert unchecked == launches_as_launch_run | changes_nothing


def test_a_reader_reports_nothing_about_assets(guarded: str, reader: httpx.Client) -> None:
    query(reader, report("by_a_reader"))
    assert reader.post("/report_asset_materialization/by_a_reader").status_code == 403
    with logged_in(guarded, PASSWORD) as operator:
        query(operator, report("by_an_operator"))
        names = str(query(operator, "{assetsOrError {... on AssetConnection {nodes {key {path}}}}}"))
    assert "by_an_operator" in names
    assert "by_a_reader" not in names


def test_the_pages_offer_a_reader_no_form_and_refuse_what_another_sends(guarded: str, reader: httpx.Client) -> None:
    form = {"token": "x", "account": "a", "order": "1", "reason": "r"}
    for path in ("/operations/waiting/hold", "/operations/lanes/pause"):
        answer = reader.post(path, data=form)
        assert (answer.status_code, answer.text) == (403, "Refused: this login only reads.\n")
        with logged_in(guarded, PASSWORD) as operator:
            assert "The page was too old" in operator.post(path, data=form).text


def test_a_reader_sees_no_record_of_a_marketplace(guarded: str, reader: httpx.Client) -> None:
    answer = reader.get("/operations/orders/one/record?account=shop&order=1")
    assert (answer.status_code, "buyer's data. You may see everything but that" in unescape(answer.text)) == (403, True)
    with logged_in(guarded, PASSWORD) as operator:
        assert operator.get("/operations/orders/one/record?account=shop&order=1").status_code == 404


def test_a_reader_logs_out_and_an_operator_logs_in(guarded: str, reader: httpx.Client) -> None:
    assert reader.post("/operations/logout").status_code == 303
    assert reader.get("/operations").status_code == 303
    assert reader.post("/operations/login", data={"password": PASSWORD}).status_code == 303
    assert "Unauthorized" not in str(query(reader, f"mutation {{{CHANGES['terminateRun']}}}"))
