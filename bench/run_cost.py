"""What a run costs, beside an empty run of a bare Dagster project on the same PostgreSQL, and how fast stock follows.

    make bench-run                       (for a quick look: python -m bench.run_cost --runs 1 --dry-run)

Both deployments are idle; the runs are launched one after the other, in turn. CPU is that of all processes of the
deployment and of PostgreSQL, less what they cost at rest in the same time.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import RUN_HEADING, show_part
from bench.rest import OTHERS, ROLES, SETTLE_SECONDS, Running, cpu_of, running
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import ENDED, REPOSITORY, answer_of, free_port, launch
from orders_sync.testing.waiting import wait_for

REST_SECONDS = 45.0
AFTER_SECONDS = 5.0
"""After a run, until its worker is gone."""
BARE = """
import dagster as dg

@dg.op
def nothing():
    pass

@dg.job(executor_def=dg.in_process_executor)
def empty():
    nothing()

defs = dg.Definitions(jobs=[empty])
"""
BARE_INSTANCE = """
storage: {{postgres: {{postgres_url: "{url}"}}}}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {{dequeue_interval_seconds: 1}}
telemetry: {{enabled: false}}
"""
"""A queue as fast as the project's, whose runs are one process each, too."""


@dataclass
class Scene:
    """Runs of one kind."""

    name: str
    launch: Callable[[], str]
    """Launches a run, and returns its id."""
    processes: Callable[[], list[psutil.Process]]
    database: str
    """The name of Dagster's database."""
    cpu: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    seconds: list[float] = field(default_factory=list[float])
    """From the queue to the end."""
    event_log: list[int] = field(default_factory=list[int])
    """Bytes."""
    at_rest: dict[str, float] = field(default_factory=dict[str, float])
    """CPU seconds a second, by role."""


def measure_rest(scene: Scene) -> None:
    before, began = cpu_of(scene.processes()), time.monotonic()
    time.sleep(REST_SECONDS)
    after, passed = cpu_of(scene.processes()), time.monotonic() - began
    scene.at_rest = {role: (after[role] - before[role]) / passed for role in after}


def measure_run(scene: Scene, project: Running) -> None:
    before, began = cpu_of(scene.processes()), time.monotonic()
    run_id = scene.launch()
    with project.connect(scene.database) as dagster:

        def ended() -> bool:
            row = dagster.execute("SELECT status FROM runs WHERE run_id = %s", [run_id]).fetchone()
            return row is not None and row[0] in ENDED

        wait_for(ended, seconds=180, every=0.2, what="the end of the run")
        time.sleep(AFTER_SECONDS)
        after, passed = cpu_of(scene.processes()), time.monotonic() - began
        row = dagster.execute(
            "SELECT status, end_time - extract(epoch FROM create_timestamp), (SELECT sum(octet_length(event)) "
            "FROM event_logs log WHERE log.run_id = runs.run_id) FROM runs WHERE run_id = %s",
            [run_id],
        ).fetchone()
    assert row is not None
    status, seconds, size = row
    if status != "SUCCESS":
        raise SystemExit(f"The run {run_id} of {scene.name} ended with {status}.")
    scene.cpu.append({role: after[role] - before[role] - scene.at_rest[role] * passed for role in after})
    scene.seconds.append(float(str(seconds)))
    scene.event_log.append(int(str(size)))


def launched(port: int, selector: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Launches a run by the UI on a port; returns its id."""
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(headers={"Origin": url}, timeout=60, trust_env=False) as client:
        return launch(partial(answer_of, client, url), selector, tags)


def launched_asset(port: int, *path: str) -> str:
    """Launches the run of today of an asset with days."""
    selector = {**REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": path}]}
    return launched(port, selector, {"dagster/partition": f"{datetime.now(UTC):%Y-%m-%d}"})


@contextmanager
def bare_dagster(folder: Path, project: Running) -> Iterator[tuple[int, psutil.Process]]:
    """`dagster dev` with one empty job, on the project's PostgreSQL; yields its port and its process."""
    with project.connect("postgres") as connection:
        connection.execute("CREATE DATABASE bare")
        host = (project.state / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    (folder / "bare.py").write_text(BARE)
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(BARE_INSTANCE.format(url=f"postgresql+psycopg2://postgres@/bare?host={host}"))
    port = free_port()
    environment = os.environ | {"DAGSTER_HOME": str(home)}
    command = [sys.executable, "-m", "dagster", "dev", "-f", "bare.py", "-p", str(port), "--live-data-poll-rate", "0"]
    with (folder / "bare.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/server_info", trust_env=False).is_success
        return False

    try:
        wait_for(answers, seconds=120, what="bare Dagster")
        yield port, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()


def seconds_to_lock(project: Running) -> float:
    """How long it takes from the commit of an order, as a pass stores one, until its stock is locked."""
    number = uuid.uuid4().hex[:12]
    with project.connect("orders") as connection:
        with connection.transaction():
            connection.execute(
                "INSERT INTO orders (account, order_id, status, created_at, modified_at, raw, fingerprint) "
                "VALUES ('refurbed_sandbox', %s, 'accepted', now(), now(), '{}', ''::bytea)",
                [number],
            )
            connection.execute(
                "INSERT INTO order_items (account, item_id, order_id, sku, quantity, status) "
                "VALUES ('refurbed_sandbox', %s, %s, 'BENCH', 1, 'accepted')",
                [f"{number}-1", number],
            )
            connection.execute(
                "INSERT INTO order_events (account, order_id, kind, revision, new_status, items) "
                "VALUES ('refurbed_sandbox', %s, 'OrderCreated', 1, 'accepted', "
                "jsonb_build_object(%s::text, 'accepted'))",
                [number, f"{number}-1"],
            )
        committed = time.monotonic()

        def locked() -> bool:
            row = connection.execute("SELECT FROM stock_locks WHERE item_id = %s", [f"{number}-1"]).fetchone()
            return row is not None

        wait_for(locked, seconds=180, every=0.05, what="the lock")
        return time.monotonic() - committed


def table(scenes: list[Scene], to_lock: list[float]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "| run | CPU s | of it, worker and code server | daemon | web | PostgreSQL | from the queue to the end | "
        "event log |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for scene in scenes:
        of = {role: statistics.median(run[role] for run in scene.cpu) for role in [*ROLES, OTHERS]}
        total = statistics.median(sum(run.values()) for run in scene.cpu)
        lines.append(
            f"| {scene.name} | {total:.2f} | {of['code server'] + of[OTHERS]:.2f} | {of['daemon']:.2f} "
            f"| {of['web']:.2f} | {of['PostgreSQL']:.2f} | {statistics.median(scene.seconds):.1f} s "
            f"| {statistics.median(scene.event_log) / 1000:.1f} kB |"
        )
    bare = statistics.median(scenes[0].seconds)
    median = statistics.median(to_lock)
    return [
        *lines,
        "",
        f"From the commit of an order to its lock: {median:.1f} s, {median / bare:.2f} times as long as an empty run "
        f"takes from the queue to its end (fastest {min(to_lock):.1f} s, slowest {max(to_lock):.1f} s).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how many runs of each kind (default: 5)")
    parser.add_argument("--dry-run", action="store_true", help="print the table, but leave bench/README.md as it is")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="osrun-") as folder, running(PROJECT_ROOT) as project:
        wait_for(project.is_idle, seconds=900, every=3, what="the end of the first runs")
        with bare_dagster(Path(folder), project) as (bare_port, bare):
            server = int((project.state / "postgres" / "postmaster.pid").read_text().splitlines()[0])

            def tree(root: psutil.Process) -> list[psutil.Process]:
                postgres = psutil.Process(server)
                return [root, *root.children(recursive=True), postgres, *postgres.children(recursive=True)]

            empty = {"repositoryLocationName": "bare.py", "repositoryName": "__repository__", "pipelineName": "empty"}
            scenes = [
                Scene("an empty job of a bare project", lambda: launched(bare_port, empty, {}),
                      lambda: tree(bare), "bare"),
                Scene("`new` of an account, nothing new",
                      lambda: launched_asset(project.port, "refurbed_sandbox", "new_orders"),
                      project.processes, "dagster"),
                Scene("`modified` of an account, nothing changed",
                      lambda: launched_asset(project.port, "refurbed_sandbox", "modified_orders"),
                      project.processes, "dagster"),
            ]  # fmt: skip
            time.sleep(SETTLE_SECONDS)
            for scene in scenes[:2]:
                measure_rest(scene)
            scenes[2].at_rest = scenes[1].at_rest
            for _ in range(chosen.runs):
                for scene in scenes:
                    measure_run(scene, project)
            to_lock = [seconds_to_lock(project) for _ in range(chosen.runs)]
    text = [
        f"`make bench-run` measured this on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores: medians of "
        f"{chosen.runs} runs of each kind, one after the other on one machine, with the same PostgreSQL.",
        "", *table(scenes, to_lock),
    ]  # fmt: skip
    show_part(RUN_HEADING, text, dry_run=chosen.dry_run)


if __name__ == "__main__":
    main()
