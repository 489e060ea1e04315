"""A whole deployment in a copy of the project: `dagster dev` with its daemon, and a marketplace that we hold."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import psycopg
import yaml

from orders_sync.config.account_files import COMPONENT_TYPE, account_entries
from orders_sync.config.alerts import alerts_file
from orders_sync.config.environment import PROJECT_ROOT, accounts_folder, schedules_file, v1_file
from orders_sync.config.schedules import COMPONENT_TYPE as SCHEDULES_TYPE
from orders_sync.config.yaml_files import read_yaml
from orders_sync.testing.marketplace import TOKEN_NAMES, Marketplace
from orders_sync.testing.one_deployment import a_turn
from orders_sync.testing.waiting import limit, wait_for

COPIED = ("orders_sync", "dagster.yaml", "workspace.yaml", "pyproject.toml")
SANDBOX_ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "back_market_sandbox": {
        "marketplace": "back_market", "base_url": "http://127.0.0.1:8765", "token": "BACK_MARKET_SANDBOX_TOKEN",
        "user_agent": "BM-OrdersSync-Sandbox;orders-sync@example.com", "accept_orderlines": True,
    },
    "mirakl_sandbox": {
        "marketplace": "mirakl", "base_url": "http://127.0.0.1:8765", "token": "MIRAKL_SANDBOX_KEY",
    },
    "refurbed_sandbox": {
        "marketplace": "refurbed", "base_url": "http://127.0.0.1:8765", "token": "REFURBED_SANDBOX_TOKEN",
        "accept_orderlines": True,
    },
}  # fmt: skip
"""The accounts that the project comes with. A user removes them and adds others; tests use these."""
ACCOUNT = "shop"
REPOSITORY = {"repositoryLocationName": "orders_sync", "repositoryName": "__repository__"}
"""The deployment's definitions, as GraphQL selectors name them."""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
"""The statuses of runs that have ended."""


def free_port() -> int:
    """A TCP port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copy_project(to: Path, accounts: Mapping[str, Mapping[str, Any]] = SANDBOX_ACCOUNTS) -> Path:
    """A checkout of the project in an empty folder, with the default schedules and with these accounts only.

    The project's own accounts and schedules stay behind: its operator may have changed them. `accounts`: the attributes
    of each account file, by the account's name.
    """
    for name in COPIED:
        source = PROJECT_ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name)  # what is compiled, too: each deployment would compile all of it again
        else:
            shutil.copy(source, to / name)
    for account in account_entries(accounts_of(to)):
        shutil.rmtree(account)
    for name, attributes in accounts.items():
        write_account(accounts_of(to), name, attributes)
    schedules_of(to).write_text(yaml.safe_dump({"type": SCHEDULES_TYPE, "attributes": {}}))
    alerts_of(to).unlink(missing_ok=True)
    if v1_file_of(to).exists():  # the cutover can be deleted
        at_sandbox = {"back_market": "back_market_sandbox"}
        edit_yaml(v1_file_of(to), lambda document: document.update(schedules={}, marketplaces=at_sandbox))
    return to


def accounts_of(project: Path) -> Path:
    """The folder of the account files of a copied project."""
    return project / accounts_folder().relative_to(PROJECT_ROOT)


def schedules_of(project: Path) -> Path:
    """The file of the schedules of a copied project."""
    return project / schedules_file().relative_to(PROJECT_ROOT)


def alerts_of(project: Path) -> Path:
    """The file of the alerts of a copied project."""
    return project / alerts_file().relative_to(PROJECT_ROOT)


def v1_file_of(project: Path) -> Path:
    """The file of the settings of V1 in a copied project."""
    return project / v1_file().relative_to(PROJECT_ROOT)


def write_account(accounts: Path, name: str, attributes: Mapping[str, Any]) -> Path:
    """Writes the file of an account into a folder of account files; replaces the one that is there."""
    file = accounts / name / "defs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": dict(attributes)}))
    return file


def environment(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    ours = ("ORDERS_", "DAGSTER_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"PYTHONPATH": "", **more}


def edit_yaml(file: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes a YAML file of a copied project, as its operator would: `edit` gets its document and changes it."""
    document = read_yaml(file)
    edit(document)
    file.write_text(yaml.safe_dump(document))


def program(name: str) -> str:
    """The path of a program of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


DAGSTER_DEV = (sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml")
DG_DEV = (program("dg"), "dev")


def account_at(marketplace: Marketplace) -> dict[str, Any]:
    """The attributes of the file of an account at a fake marketplace of the sandbox."""
    name = marketplace.fake.name
    return {"marketplace": name, "base_url": marketplace.url, "token": TOKEN_NAMES[name]}


def launch(graphql: Callable[..., dict[str, Any]], selector: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Launches a run, as the UI does; returns its id. `graphql`: as `Deployment.graphql`. `selector`: what is run."""
    data = graphql(
        """mutation($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {
        __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}""",
        params={
            "selector": selector, "mode": "default", "runConfigData": {},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        },
    )["launchPipelineExecution"]  # fmt: skip
    assert data["__typename"] == "LaunchRunSuccess", data
    return str(data["run"]["runId"])


def answer_of(client: httpx.Client, url: str, query: str, **variables: Any) -> dict[str, Any]:
    """The answer of the web server at a URL to a query or mutation of the UI. An error in it fails the test."""
    answer = client.post(f"{url}/graphql", json={"query": query, "variables": variables})
    answer.raise_for_status()
    document = answer.json()
    assert "errors" not in document, document["errors"]
    return document["data"]


class Deployment:
    """`dagster dev` on a copy of the project, whose accounts are at marketplaces of ours: by default one.

    As a context manager it starts, and stops at the end; until then no other deployment of the test run starts.
    """

    def __init__(
        self,
        folder: Path,
        marketplace: Marketplace,
        *,
        command: tuple[str, ...] = DAGSTER_DEV,
        crons: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Copies the project into the empty `folder`; starts nothing yet.

        `command`: what serves the UI and runs the daemon. `crons`: the crons of schedules that differ from the
        project's, by sync type. `variables`: further environment variables of all its processes. `accounts`: the
        attributes of each account file, by the account's name, in place of the one account at `marketplace`.
        """
        self.folder = copy_project(folder, accounts or {ACCOUNT: account_at(marketplace)})
        self.marketplace = marketplace
        self.command = command
        self.environment = environment(**variables or {})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        edit_yaml(schedules_of(self.folder), lambda document: document["attributes"].update(schedules=crons or {}))
        self.processes: list[subprocess.Popen[bytes]] = []
        self._until_exit = contextlib.ExitStack()
        # One client, since each reads all certificates; a connection for each query, since the server is restarted.
        self._client = httpx.Client(
            trust_env=False, timeout=limit(60), limits=httpx.Limits(max_keepalive_connections=0)
        )

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(a_turn(str(self.folder)))
            stack.callback(self.stop)
            stack.callback(self._client.close)
            self.start()
            self._until_exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._until_exit.close()

    def start(self) -> None:
        """Starts it (again) and waits until the UI answers."""
        self.spawn(*self.command, "-p", str(self.port), "-h", "127.0.0.1")
        wait_for(self._answers, seconds=120, what=f"the UI of {self.folder}")

    def _answers(self) -> bool:
        assert self.processes[-1].poll() is None, self.log()[-3000:]
        try:
            loaded = self.graphql(
                "{workspaceOrError {... on Workspace {locationEntries {name locationOrLoadError {__typename}}}}}"
            )
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False
        entries = loaded["workspaceOrError"]["locationEntries"]
        assert all(e["locationOrLoadError"]["__typename"] == "RepositoryLocation" for e in entries), self.log()[-3000:]
        return [entry["name"] for entry in entries] == ["orders_sync"]

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a process of the deployment, in the project's folder."""
        with (self.folder / "output.log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Kills its processes and stops its database. The test of `orders-sync up` shows an orderly end."""
        self.kill()
        subprocess.run(
            [sys.executable, "-c", "from orders_sync.database.embedded import *; embedded_url('orders')"],
            cwd=self.folder, env=self.environment, check=False, timeout=limit(60),
        )  # fmt: skip

    def kill(self) -> None:
        """Kills all its processes at once but the database's, as when a machine loses its power."""
        while left := self.own_processes():  # a killed one may just have started another
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=limit(10))
        for process in self.processes:
            process.wait(limit(10))
        self.processes.clear()

    def own_processes(self) -> list[psutil.Process]:
        """All its processes that live, but those of the database."""
        return [
            process
            for process in psutil.process_iter(["cwd", "name", "status"])
            if process.info["cwd"] == str(self.folder)
            and process.info["name"] != "postgres"
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def log(self) -> str:
        """What all its processes have printed."""
        return (self.folder / "output.log").read_text(errors="replace")

    def sync_log(self) -> str:
        """The log of all its passes."""
        return (self.folder / ".state" / "logs" / "sync.log").read_text(errors="replace")

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs `orders-sync` in this deployment."""
        return subprocess.run(
            [sys.executable, "-m", "orders_sync.cli", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=limit(120), check=False,
        )  # fmt: skip

    def connect(self, database: str = "orders") -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection to one of its databases."""
        socket_folder = (self.folder / ".state" / "postgres" / "postmaster.pid").read_text().splitlines()[4]
        return psycopg.connect(f"postgresql://postgres@/{database}?host={socket_folder}", autocommit=True)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The web server's answer to a query or mutation of the UI. An error in it fails the test."""
        return answer_of(self._client, self.url, query, **variables)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        return self.graphql(
            "{runsOrError(limit: 500) {... on Runs {results {"
            "runId status jobName startTime endTime assetSelection {path} tags {key value}}}}}"
        )["runsOrError"]["results"]

    def runs_of(self, asset: str) -> list[dict[str, Any]]:
        """The runs of one of the account's assets, newest first."""
        return [run for run in self.runs() if {"path": [ACCOUNT, asset]} in (run["assetSelection"] or [])]

    def runs_under_way(self) -> list[dict[str, Any]]:
        """The runs that have not ended, newest first."""
        return [run for run in self.runs() if run["status"] not in ENDED]

    def ticks(self, name: str) -> list[dict[str, Any]]:
        """The ticks of a schedule or sensor, newest first."""
        data = self.graphql(
            """query($selector: InstigationSelector!) {instigationStateOrError(instigationSelector: $selector) {
            ... on InstigationState {ticks(limit: 100) {status skipReason timestamp runIds}}}}""",
            selector={**REPOSITORY, "name": name},
        )
        return data["instigationStateOrError"].get("ticks", [])

    def switch_on(self, schedule: str) -> None:
        """Starts a schedule, as its switch in the UI does."""
        selector = {**REPOSITORY, "scheduleName": schedule}
        data = self.graphql(
            "mutation($s: ScheduleSelector!) {startSchedule(scheduleSelector: $s) {__typename}}", s=selector
        )
        assert data["startSchedule"]["__typename"] == "ScheduleStateResult", data

    def switch_off(self, schedule: str) -> None:
        """Stops a schedule, as its switch in the UI does."""
        selector = {**REPOSITORY, "scheduleName": schedule}
        state = self.graphql(
            "query($s: ScheduleSelector!) {"
            "scheduleOrError(scheduleSelector: $s) {... on Schedule {scheduleState {id}}}}",
            s=selector,
        )["scheduleOrError"]["scheduleState"]
        data = self.graphql("mutation($id: String!) {stopRunningSchedule(id: $id) {__typename}}", id=state["id"])
        assert data["stopRunningSchedule"]["__typename"] == "ScheduleStateResult", data

    def materialize(self, asset: str, partition: str | None = None, tags: Mapping[str, str] | None = None) -> str:
        """Launches a run, as the UI's button "Materialize" does; returns the run's id. `tags`: further ones."""
        selector = {**REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [ACCOUNT, asset]}]}
        return launch(
            self.graphql, selector, {**(tags or {}), **({"dagster/partition": partition} if partition else {})}
        )

    def status_of(self, run_id: str) -> str:
        """The status of a run, e.g. `STARTED`. Raises KeyError where there is no such run."""
        run = self.graphql("query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}", id=run_id)["runOrError"]
        return str(run["status"])

    def wait_for_run(self, run_id: str, *, seconds: float = 120) -> str:
        """Waits until a run has ended; returns its status, and for a failure also its error events."""
        wait_for(lambda: self.status_of(run_id) in ENDED, seconds=seconds, what=f"the end of run {run_id}")
        status = self.status_of(run_id)
        if status == "SUCCESS":
            return status
        with self.connect("dagster") as connection:
            errors = connection.execute(
                "SELECT event FROM event_logs WHERE run_id = %s "
                "AND dagster_event_type IN ('STEP_FAILURE', 'PIPELINE_FAILURE')",
                [run_id],
            ).fetchall()
        return f"{status}: " + " / ".join(event[:3000] for (event,) in errors)

    def wait_until_synced(self) -> None:
        """Waits until the first passes of all lanes have succeeded and all events are applied."""

        def synced() -> bool:
            # The UI answers before the first sensor has made the orders database and its tables.
            try:
                with self.connect() as connection:
                    lanes = connection.execute("SELECT count(*) FROM lanes WHERE last_succeeded_at IS NOT NULL")
                    waiting = connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL")
                    return lanes.fetchone() == (4,) and waiting.fetchone() == (0,)
            except (FileNotFoundError, IndexError, psycopg.OperationalError, psycopg.errors.UndefinedTable):
                return False

        try:
            wait_for(synced, seconds=240, what="the first passes")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-5000:]}") from None
