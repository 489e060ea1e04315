"""A whole deployment in a copy of the project: `dagster dev` with its daemon, and a marketplace that we hold."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.marketplace import Marketplace
from orders_sync.testing.waiting import wait_for

COPIED = ("orders_sync", "dagster.yaml", "workspace.yaml", "pyproject.toml")
ACCOUNT = "shop"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copy_project(to: Path) -> Path:
    """A checkout of the project in an empty folder."""
    for name in COPIED:
        source = PROJECT_ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)
    return to


def environment(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    ours = ("ORDERS_", "DAGSTER_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"PYTHONPATH": "", **more}


class Deployment:
    """`dagster dev` on a copy of the project, whose one account is at a marketplace of ours."""

    def __init__(self, folder: Path, marketplace: Marketplace, **crons: str) -> None:
        self.folder = copy_project(folder)
        self.marketplace = marketplace
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        accounts = self.folder / "orders_sync" / "defs" / "accounts"
        shutil.rmtree(accounts)
        (accounts / ACCOUNT).mkdir(parents=True)
        (accounts / ACCOUNT / "defs.yaml").write_text(
            "type: orders_sync.components.account.Account\n"
            "attributes:\n"
            "  marketplace: back_market\n"
            f"  base_url: {marketplace.url}\n"
            "  token: BACK_MARKET_SANDBOX_TOKEN\n"
        )
        schedules = self.folder / "orders_sync" / "defs" / "sync" / "defs.yaml"
        text = schedules.read_text()
        for name, cron in crons.items():
            lines = [f'    {name}: "{cron}"' if line.startswith(f"    {name}:") else line for line in text.splitlines()]
            text = "\n".join(lines) + "\n"
        schedules.write_text(text)
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Deployment":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *command: str) -> None:
        """Starts `dagster dev`, or another command that serves the UI, and waits until it answers."""
        command = command or (sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml")
        self.spawn(*command, "-p", str(self.port), "-h", "127.0.0.1")
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
        """Starts a process of the deployment, in the project's folder, with no variable of ours set."""
        with (self.folder / "output.log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                pass
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        self.processes.clear()
        subprocess.run(
            [sys.executable, "-c", "from orders_sync.database.embedded import *; embedded_url('orders')"],
            cwd=self.folder, env=environment(), check=False, timeout=60,
        )  # fmt: skip

    def kill(self) -> None:
        """Kills all its processes at once but the database's, as when a machine loses its power."""
        for process in psutil.process_iter(["cwd", "name"]):
            if process.info["cwd"] == str(self.folder) and process.info["name"] != "postgres":
                process.kill()
        for process in self.processes:
            process.wait(10)
        self.processes.clear()

    def log(self) -> str:
        return (self.folder / "output.log").read_text(errors="replace")

    def cli(self, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Runs `orders-sync` in this deployment."""
        return subprocess.run(
            [sys.executable, "-m", "orders_sync.cli", *arguments],
            cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def connect(self, database: str = "orders") -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection to one of its databases."""
        socket_folder = (self.folder / ".state" / "postgres" / "postmaster.pid").read_text().splitlines()[4]
        return psycopg.connect(f"postgresql://postgres@/{database}?host={socket_folder}", autocommit=True)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """What the UI asks the web server."""
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60, trust_env=False
        )
        answer.raise_for_status()
        document = answer.json()
        assert "errors" not in document, document["errors"]
        return document["data"]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        return self.graphql(
            "{runsOrError(limit: 500) {... on Runs {results {"
            "runId status jobName startTime endTime assetSelection {path} tags {key value}}}}}"
        )["runsOrError"]["results"]

    def runs_of(self, asset: str) -> list[dict[str, Any]]:
        """The runs of one of the account's assets, newest first."""
        return [run for run in self.runs() if {"path": [ACCOUNT, asset]} in (run["assetSelection"] or [])]

    def ticks(self, name: str) -> list[dict[str, Any]]:
        """The ticks of a schedule or sensor, newest first."""
        data = self.graphql(
            """query($selector: InstigationSelector!) {instigationStateOrError(instigationSelector: $selector) {
            ... on InstigationState {ticks(limit: 100) {status skipReason timestamp runIds}}}}""",
            selector={
                "repositoryLocationName": "orders_sync",
                "repositoryName": "__repository__",
                "name": name,
            },
        )
        return data["instigationStateOrError"].get("ticks", [])

    def materialize(self, asset: str, partition: str | None = None) -> str:
        """What the UI's button "Materialize" asks for; returns the run's id."""
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        data = self.graphql(
            """mutation($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {
            __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}""",
            params={
                "selector": {
                    "repositoryLocationName": "orders_sync", "repositoryName": "__repository__",
                    "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [ACCOUNT, asset]}],
                },
                "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags},
            },
        )["launchPipelineExecution"]  # fmt: skip
        assert data["__typename"] == "LaunchRunSuccess", data
        return str(data["run"]["runId"])

    def status_of(self, run_id: str) -> str:
        return next(run["status"] for run in self.runs() if run["runId"] == run_id)

    def wait_for_run(self, run_id: str, *, seconds: float = 120) -> str:
        """Waits until a run has ended; returns its status, and for a failure what was told of it."""
        ended = ("SUCCESS", "FAILURE", "CANCELED")
        wait_for(lambda: self.status_of(run_id) in ended, seconds=seconds, what=f"the end of run {run_id}")
        status = self.status_of(run_id)
        if status == "SUCCESS":
            return status
        with self.connect("dagster") as connection:
            told = connection.execute(
                "SELECT event FROM event_logs WHERE run_id = %s "
                "AND dagster_event_type IN ('STEP_FAILURE', 'PIPELINE_FAILURE')",
                [run_id],
            ).fetchall()
        return f"{status}: " + " / ".join(event[:3000] for (event,) in told)

    def wait_until_synced(self, seconds: float = 120) -> None:
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
            wait_for(synced, seconds=seconds, what="the first passes")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-5000:]}") from None
