"""The code of an earlier release, taken out of the history, at work on a database with today's schema."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.config.account_files import account_entries
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import Connection
from orders_sync.database.schema import REVISIONS, newest_revision, stored_schema
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.testing.deployment import account_at, accounts_of, environment, write_account
from orders_sync.testing.invariants import check_invariants, every_listed_order_is_stored_or_rejected
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.waiting import limit

VERSIONS = (REVISIONS / "versions").relative_to(PROJECT_ROOT)
ACCEPTED, TO_SHIP, SHIPPED = (1, 1), (3, 2), (9, 3)
"""States of an order and of its lines at Back Market."""


class OldCode(NamedTuple):
    """An earlier release in a folder of its own."""

    folder: Path
    revision: str
    """The newest schema revision that it knows."""

    def run(self, url: str, *command: str) -> str:
        """Runs a Python command with this code on the database at `url`; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *command], cwd=self.folder,
            env=environment(PYTHONPATH=str(self.folder), ORDERS_DATABASE_URL=url, COLUMNS="200"),
            capture_output=True, text=True, timeout=limit(120), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def git(*arguments: str) -> bytes:
    """What git says about this checkout. Skips the test where there is no git, no repository or no such commit."""
    # In a container, the checkout may belong to another user.
    command = ["git", "-C", str(PROJECT_ROOT), "-c", f"safe.directory={PROJECT_ROOT}", *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=limit(60)).stdout
    except FileNotFoundError:
        pytest.skip("needs git, which is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs this repository's history: {error.stderr.decode(errors='replace').strip()[:200]}")


def last_commit_before(revision: str) -> str:
    """The commit right before the one that added a revision of the schema: the newest code that does not know it."""
    (file,) = (PROJECT_ROOT / VERSIONS).glob(f"{revision}_*.py")
    history = "needs this repository's history, which a source archive or a shallow clone has not"
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip(history)
    added = git("log", "--format=%H", "--diff-filter=A", "--", str(VERSIONS / file.name)).decode().split()
    if added:
        return f"{added[-1]}^"
    if not git("ls-files", "--others", "--modified", str(VERSIONS / file.name)).strip():
        pytest.skip(history)
    return "HEAD"  # the revision is not committed yet


@pytest.fixture
def old_code(tmp_path: Path, marketplace: Marketplace) -> OldCode:
    """The newest code whose schema is older than today's, with one account at the test's marketplace."""
    archive = git(
        "archive",
        last_commit_before(newest_revision()),
        "orders_sync",
        "pyproject.toml",
        "dagster.yaml",
        "workspace.yaml",
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path, filter="data")
    for account in account_entries(accounts_of(tmp_path)):
        shutil.rmtree(account)
    write_account(accounts_of(tmp_path), "shop", account_at(marketplace))
    revision = max(path.name for path in (tmp_path / VERSIONS).glob("0*.py"))[:4]
    return OldCode(tmp_path, revision)


RUN_STOCK_JOB = """
import dagster as dg
from orders_sync.definitions import defs
project = defs()
with dg.DagsterInstance.ephemeral() as instance:
    done = project.resolve_job_def("apply_order_events").execute_in_process(instance=instance)
assert done.success
"""


def test_the_release_before_works_on_todays_schema(
    old_code: OldCode, database_url: str, connection: Connection, marketplace: Marketplace, account: SellerAccount
) -> None:
    """As on a second machine, or until the daemon is replaced: old and new code take turns on one database."""
    oldest = stored_schema(database_url).oldest_code
    assert oldest is not None
    assert oldest <= old_code.revision < newest_revision(), (
        f"Revision {newest_revision()} works with code of {oldest} and newer, and the code right before it knows "
        f"{old_code.revision}: expand in this release, and contract in a later one."
    )
    where = old_code.run(database_url, "-c", "import orders_sync; print(orders_sync.__file__)")
    assert Path(where.strip()).is_relative_to(old_code.folder)

    # A first load by the old code, with the stock list of today's.
    for number in range(1, 21):
        an_order(marketplace, number, state=ACCEPTED[0], line_state=ACCEPTED[1])
    (old_code.folder / "stock.csv").write_text("sku,on_hand\nPHONE,15\n")
    old_code.run(database_url, "-m", "orders_sync.cli", "stock", "import", "stock.csv")
    old_code.run(database_url, "-m", "orders_sync.cli", "sync", "--type", "all")
    old_code.run(database_url, "-c", RUN_STOCK_JOB)
    check_all(connection, marketplace, locked=15)

    # Today's code ships some of its orders, and finds new ones.
    for number in range(1, 6):
        marketplace.set_states(number, *SHIPPED)
    assert sync(account, "modified").changed == 5
    for number in range(21, 26):
        an_order(marketplace, number)
    assert sync(account, "new").created == 5
    apply_pending(StockConnection(connection))

    # The old code goes on with orders that today's code wrote, and today's with what is left of it.
    for number in range(16, 26):
        marketplace.set_states(number, *TO_SHIP)
    marketplace.put_folder(1, 2201)
    old_code.run(database_url, "-m", "orders_sync.cli", "sync", "--type", "all")
    old_code.run(database_url, "-c", RUN_STOCK_JOB)
    check_all(connection, marketplace, locked=10)
    outcomes = connection.execute("SELECT DISTINCT outcome FROM lane_runs").fetchall()
    assert outcomes == [("succeeded",)]
    for sync_type in ("new", "modified", "care", "incomplete"):
        assert sync(account, sync_type).created == 0
    apply_pending(StockConnection(connection))
    check_all(connection, marketplace, locked=10)


def check_all(connection: Connection, marketplace: Marketplace, *, locked: int) -> None:
    """Everything is stored, every event applied, and so many pieces are locked."""
    every_listed_order_is_stored_or_rejected(connection, "shop", marketplace.listed())
    assert connection.execute("SELECT count(*) FROM order_events WHERE applied_at IS NULL").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM stock_locks WHERE state = 'locked'").fetchone() == (locked,)
    check_invariants(connection)
