"""Accounts that are due in the same minute: a marketplace that does not answer stops the accounts of no other."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orders_sync.model.lane import SyncType
from orders_sync.sandbox.refurbed import FakeRefurbed
from orders_sync.testing.deployment import ENDED, Deployment, account_at
from orders_sync.testing.invariants import check_invariants
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.daemon, pytest.mark.xdist_group("deployment")]

SLOW = [f"a_slow_{number}" for number in range(1, 7)]
"""First in the queue, by their names, and as many as the queue has places for lanes of one marketplace, and one more."""
QUICK = ["quick_1", "quick_2"]
OF_THE_DAEMON = "run_id NOT LIKE 'cli-%%'"


@pytest.fixture
def slow() -> Iterator[Marketplace]:
    with Marketplace() as marketplace:
        yield marketplace


@pytest.fixture
def quick() -> Iterator[Marketplace]:
    """Another marketplace, at which orders arrive."""
    with Marketplace(FakeRefurbed, orders=10, days=5, arrivals_per_day=100, ago=timedelta(hours=2)) as marketplace:
        yield marketplace


@pytest.fixture
def prepared(slow: Marketplace, quick: Marketplace) -> Iterator[Deployment]:
    """All lanes have succeeded, new orders are there, `new` is due each minute; nothing runs yet."""
    later = datetime.now(UTC) + timedelta(hours=12)
    crons = {sync_type.value: f"{later.minute} {later.hour} * * *" for sync_type in SyncType} | {"new": "* * * * *"}
    files = {name: account_at(slow) for name in SLOW} | {name: account_at(quick) for name in QUICK}
    with tempfile.TemporaryDirectory(prefix="osm-") as folder:
        Path(folder).chmod(0o755)
        deployment = Deployment(Path(folder), slow, accounts=files, crons=crons)
        done = deployment.cli("sync", "--type", "all")
        assert done.returncode == 0, done.stdout + done.stderr
        assert deployment.cli("stock", "apply").returncode == 0
        quick.pass_time(hours=2)
        an_order(slow, 1)
        yield deployment


def succeeded(deployment: Deployment) -> set[str]:
    """The accounts whose lane of `new` has succeeded in a run of the daemon."""
    with deployment.connect() as connection:
        rows = connection.execute(f"SELECT account FROM lane_runs WHERE outcome = 'succeeded' AND {OF_THE_DAEMON}")
        return {account for (account,) in rows}


def pending_events(deployment: Deployment) -> int:
    with deployment.connect() as connection:
        rows = connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL").fetchall()
        return int(rows[0][0])


def test_a_marketplace_that_does_not_answer_stops_no_other(prepared: Deployment, slow: Marketplace) -> None:
    with slow.closed_gate("/ws") as gate, prepared as deployment:
        wait_for(lambda: len(deployment.runs()) >= len(SLOW + QUICK), seconds=120, what="the runs of a tick")
        deployment.switch_off("sync_new_orders_schedule")  # one tick is enough
        # Meanwhile the slow ones fill all places that they may have; the others' lanes come through, and stock.
        wait_for(lambda: succeeded(deployment) >= set(QUICK), seconds=180, what="the passes of the other marketplace")
        wait_for(lambda: pending_events(deployment) == 0, seconds=60, what="the stock job")
        wait_for(lambda: gate.reached, seconds=60, what="a slow pass")
        assert not succeeded(deployment) & set(SLOW)
        with deployment.connect() as connection:
            applied = connection.execute(
                "SELECT DISTINCT account FROM order_events WHERE applied_at > "
                f"(SELECT min(started_at) FROM lane_runs WHERE {OF_THE_DAEMON}) ORDER BY 1"
            ).fetchall()
        assert [account for (account,) in applied] == QUICK

        gate.is_open = True
        wait_for(lambda: succeeded(deployment) >= set(SLOW), seconds=180, what="the slow passes")
        wait_for(lambda: not deployment.runs_under_way(), seconds=120, what="an empty queue")
        # The last pass may have left events for the next tick of the stock job's sensor.
        wait_for(lambda: pending_events(deployment) == 0, seconds=60, what="the stock job of the last pass")
        wait_for(lambda: not deployment.runs_under_way(), seconds=60, what="an empty queue")
        runs = deployment.runs()
        assert {run["status"] for run in runs} <= set(ENDED)
        of_quick = [run for run in runs if run["assetSelection"] and run["assetSelection"][0]["path"][0] in QUICK]
        assert {run["status"] for run in of_quick} == {"SUCCESS"}
        assert not [run for run in runs if run["startTime"] is None]  # none was dropped before it began
        with deployment.connect() as connection:
            check_invariants(connection)
