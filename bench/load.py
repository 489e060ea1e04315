"""Many accounts that are due in the same minute, and one whose marketplace is slow: a real deployment, measured.

    make bench-load ACCOUNTS=50      (for a quick look: python -m bench.load --accounts 5 --dry-run)

Each scene is a deployment of its own: `dagster dev` with web server, code server and daemon, on the project's
dagster.yaml. All lanes of all accounts have succeeded before it starts; each marketplace then lists new orders. Only
`new` is due, once, for all accounts in the same minute. The sandbox answers each call after 0.3 s, as marketplaces do;
the slow one after twenty times as long.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psutil

from bench import LOAD_HEADING, show_part
from orders_sync.model.lane import SyncType
from orders_sync.testing.deployment import ENDED, Deployment, account_at, edit_yaml, schedules_of
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import limit, wait_for

ANSWER_SECONDS = 0.3
"""How long a marketplace takes to answer."""
SLOWER = 20
"""How many times as long the slow one takes."""
FEW = 10
"""The accounts of the scenes with and without a slow marketplace."""
NEW_ORDERS = 20
"""How many orders each account finds in the measured pass."""
START_SECONDS = 40.0
"""How long a deployment takes to start at most, on the reference machine."""
REST_SECONDS = 60.0
"""How long the deployment is watched without load."""
SLOW = "slow"
WATCHED_SENSOR = "missing_passes"
SENSOR_INTERVAL_SECONDS = 10
LOOK_SECONDS = 2.0
"""Between two looks at heartbeats and memory."""


@dataclass
class Watched:
    """What was seen of the daemon and of memory while one phase of a scene lasted."""

    began: float
    """Epoch seconds."""
    ended: float = 0.0
    oldest_heartbeat: float = 0.0
    """The greatest age of the latest heartbeat of any of the daemon's parts, in seconds."""
    peak_mb: float = 0.0
    """The most memory of all processes but PostgreSQL's; shared pages are counted once."""


@dataclass
class Scene:
    """What one scene measured."""

    name: str
    accounts: int
    finished: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds from the tick until the pass has ended, by account."""
    not_succeeded: int = 0
    """Runs that failed, and accounts without a run."""
    stock_seconds: float = 0.0
    """From the tick until all events are applied to stock."""
    rest_gap: float = 0.0
    """The longest time between two ticks of the watched sensor before the load, in seconds."""
    load_gap: float = 0.0
    """The same under load."""
    oldest_heartbeat: float = 0.0
    """Under load, in seconds."""
    rest_mb: float = 0.0
    peak_mb: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=50, help="accounts of the first scene (default: 50)")
    parser.add_argument("--dry-run", action="store_true", help="print the table, but leave bench/README.md as it is")
    chosen = parser.parse_args()
    few = min(FEW, chosen.accounts)
    with tempfile.TemporaryDirectory(prefix="osload-") as state:
        os.environ["ORDERS_SYNC_STATE"] = state
        scenes = [
            measured("all at once", chosen.accounts, has_slow=False),
            measured("a few at once", few, has_slow=False),
            measured(f"the same, one {SLOWER} times slower", few, has_slow=True),
        ]
    text = [
        f"`make bench-load` measured this on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores: a deployment "
        f"whose accounts are all due in the same minute, with {NEW_ORDERS} new orders each. A marketplace answers "
        f"after {ANSWER_SECONDS} s, the slow one after {ANSWER_SECONDS * SLOWER:.0f} s. Seconds count from the tick.",
        "", *table(scenes),
        f"* The machine's load average over the last 15 minutes was {os.getloadavg()[2]:.0f}, this included.",
    ]  # fmt: skip
    show_part(LOAD_HEADING, text, dry_run=chosen.dry_run)


def measured(name: str, accounts: int, *, has_slow: bool) -> Scene:
    """Runs one scene."""
    scene = Scene(name, accounts)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osl-")))
        folder.chmod(0o755)
        usual, slow = (stack.enter_context(Marketplace()) for _ in range(2))
        names = [f"shop_{number:02}" for number in range(accounts - has_slow)]
        files = {each: account_at(usual) for each in names} | ({SLOW: account_at(slow)} if has_slow else {})
        deployment = Deployment(folder, usual, accounts=files)
        _succeed_once(deployment)
        _list_new_orders(usual, slow)
        due = _make_due(deployment)
        stack.enter_context(deployment)
        if datetime.now(UTC) > due - timedelta(seconds=REST_SECONDS):
            raise SystemExit("The deployment took too long to start. Try again while less else runs.")
        with _watched(deployment) as rest:
            time.sleep((due - datetime.now(UTC)).total_seconds())
        with _watched(deployment) as load:
            _wait_for_end(deployment, list(files))
        _count(scene, deployment, list(files), due)
        scene.rest_gap = _longest_gap(deployment, rest.began, rest.ended)
        scene.load_gap = _longest_gap(deployment, load.began, load.ended)
        scene.oldest_heartbeat = load.oldest_heartbeat
        scene.rest_mb, scene.peak_mb = rest.peak_mb, load.peak_mb
    print(scene, flush=True)
    return scene


def _make_due(deployment: Deployment) -> datetime:
    """Makes `new` due in the first full minute that leaves time for a start and for REST_SECONDS; all other syncs
    twelve hours later. Returns the minute."""
    due = (datetime.now(UTC) + timedelta(seconds=limit(START_SECONDS) + REST_SECONDS + 60)).replace(
        second=0, microsecond=0
    )
    later = due + timedelta(hours=12)
    crons = {sync_type.value: f"{later.minute} {later.hour} * * *" for sync_type in SyncType}
    crons[SyncType.NEW.value] = f"{due.minute} {due.hour} * * *"
    edit_yaml(schedules_of(deployment.folder), lambda document: document["attributes"].update(schedules=crons))
    return due


def _succeed_once(deployment: Deployment) -> None:
    """Runs the first pass of each lane by the command line, so that the daemon finds none missing."""
    done = deployment.cli("sync", "--type", "all")
    if done.returncode:
        raise SystemExit(f"The first passes failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _list_new_orders(usual: Marketplace, slow: Marketplace) -> None:
    for marketplace, seconds in ((usual, ANSWER_SECONDS), (slow, ANSWER_SECONDS * SLOWER)):
        for number in range(1, NEW_ORDERS + 1):
            an_order(marketplace, number)
        marketplace.fault("delay", seconds=seconds, times=0)


def _wait_for_end(deployment: Deployment, accounts: list[str]) -> None:
    """Waits until each account has a pass that has ended, and no event and no run is left."""

    def is_over() -> bool:
        with deployment.connect("dagster") as connection:
            ended = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE status = ANY (%s)) FROM runs", [list(ENDED)]
            ).fetchone()
        with deployment.connect() as connection:
            pending = connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL").fetchone()
        return ended is not None and ended[0] == ended[1] >= len(accounts) and pending == (0,)

    wait_for(is_over, seconds=1800, every=2, what="the end of all runs")


@contextmanager
def _watched(deployment: Deployment) -> Iterator[Watched]:
    """Looks at heartbeats and memory in a thread for the length of the block."""
    watched = Watched(time.time())
    over = threading.Event()

    def look() -> None:
        with deployment.connect("dagster") as connection:
            while not over.wait(LOOK_SECONDS):
                ages = connection.execute(
                    "SELECT extract(epoch FROM (now() AT TIME ZONE 'UTC') - timestamp) FROM daemon_heartbeats"
                ).fetchall()
                watched.oldest_heartbeat = max([watched.oldest_heartbeat, *(float(age) for (age,) in ages)])
                watched.peak_mb = max(watched.peak_mb, _memory_mb(deployment))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()
        watched.ended = time.time()


def _memory_mb(deployment: Deployment) -> float:
    total = 0
    for process in deployment.own_processes():
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 1_000_000


def _count(scene: Scene, deployment: Deployment, accounts: list[str], due: datetime) -> None:
    """Reads what became of the runs."""
    runs = deployment.runs()
    scene.not_succeeded = sum(run["status"] != "SUCCESS" for run in runs)
    with deployment.connect() as connection:
        rows = connection.execute(
            "SELECT account, extract(epoch FROM finished_at - %s) FROM lane_runs "
            "WHERE sync_type = 'new' AND outcome = 'succeeded' AND started_at >= %s",
            [due, due],
        ).fetchall()
        stock = connection.execute(
            "SELECT extract(epoch FROM max(applied_at) - %s) FROM order_events WHERE applied_at >= %s", [due, due]
        ).fetchone()
    scene.finished = {account: float(seconds) for account, seconds in rows}
    scene.not_succeeded += len(set(accounts) - scene.finished.keys())
    scene.stock_seconds = float(stock[0] or 0) if stock else 0.0


def _longest_gap(deployment: Deployment, began: float, ended: float) -> float:
    """The longest time between two ticks of the watched sensor in a period, in seconds."""
    moments = sorted(float(tick["timestamp"]) for tick in deployment.ticks(WATCHED_SENSOR))
    within = [moment for moment in moments if began <= moment <= ended]
    return max((later - earlier for earlier, later in pairwise(within)), default=ended - began)


def table(scenes: list[Scene]) -> list[str]:
    """The results as a Markdown table, a line for each scene, with what they mean."""
    lines = [
        "| scene | accounts | end of a pass: median | worst, but for the slow one | slow one | all stock locked "
        "| failed or dropped | longest gap between ticks at rest → under load | oldest heartbeat "
        "| memory at rest → peak |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for scene in scenes:
        others = [seconds for account, seconds in scene.finished.items() if account != SLOW]
        slow = f"{scene.finished[SLOW]:.0f} s" if SLOW in scene.finished else ""
        lines.append(
            f"| {scene.name} | {scene.accounts} | {statistics.median(others):.0f} s | {max(others):.0f} s | {slow} "
            f"| {scene.stock_seconds:.0f} s | {scene.not_succeeded} | {scene.rest_gap:.0f} → {scene.load_gap:.0f} s "
            f"| {scene.oldest_heartbeat:.0f} s | {scene.rest_mb:.0f} → {scene.peak_mb:.0f} MB |"
        )
    return [
        *lines, "",
        f"* The watched ticks are those of the sensor `{WATCHED_SENSOR}`, due every {SENSOR_INTERVAL_SECONDS} s. A "
        "part of the daemon sends a heartbeat every 30 s, and counts as dead after 300 s.",
        "* Memory is that of all processes but PostgreSQL's, shared pages counted once.",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
