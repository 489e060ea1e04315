"""V1's stand-in as it is run: a process of its own, against a served sandbox, into a database of V1's."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orders_sync.testing.databases import a_database
from orders_sync.testing.deployment import (
    ACCOUNT,
    SANDBOX_ACCOUNTS,
    accounts_of,
    copy_project,
    edit_yaml,
    environment,
    free_port,
    v1_file_of,
    write_account,
)
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import limit

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def v1_url(template: str) -> Iterator[str]:
    with a_database(template, f"v1_{uuid.uuid4().hex[:16]}") as url:
        yield url


@pytest.fixture
def run(tmp_path: Path, v1_url: str, marketplace: Marketplace) -> Run:
    """Runs the stand-in with these arguments, in a copy of the project whose account is at `marketplace`."""
    copy_project(tmp_path)
    edit_yaml(v1_file_of(tmp_path), lambda document: document.update(marketplaces={"back_market": ACCOUNT}))

    def run_stand_in(
        *arguments: str, address: str = marketplace.url, database: str = v1_url
    ) -> "subprocess.CompletedProcess[str]":
        attributes = {**SANDBOX_ACCOUNTS["back_market_sandbox"], "base_url": address}
        write_account(accounts_of(tmp_path), ACCOUNT, attributes)
        return subprocess.run(
            [sys.executable, "-m", "orders_sync.sandbox.v1", *arguments],
            cwd=tmp_path, env=environment(V1_DATABASE_URL=database), capture_output=True, text=True,
            timeout=limit(60), check=False,
        )  # fmt: skip

    return run_stand_in


def test_refresh_new_accepts_stores_and_locks(run: Run, v1_url: str, marketplace: Marketplace) -> None:
    an_order(marketplace, 1, state=1, line_state=1, skus=("PHONE", "CHARGER"))
    an_order(marketplace, 2, state=1, line_state=1)
    done = run("refresh:new")
    assert (done.returncode, done.stderr) == (0, "")
    # One page, then for each order: its lines' acceptances, itself, its label.
    assert done.stdout == "refresh:new: 2 orders, 8 API calls, 0 of them throttled\n"
    with psycopg.connect(v1_url) as connection:
        assert connection.execute("SELECT marketplace_order_id, status FROM orders ORDER BY 1").fetchall() == [
            ("1", 2),
            ("2", 2),
        ]
        assert connection.execute("SELECT count(*) FROM stock_locks WHERE released_at IS NULL").fetchone() == (3,)


def test_refresh_orders_and_latest_follow_changes_and_care_folders(
    run: Run, v1_url: str, marketplace: Marketplace
) -> None:
    order = an_order(marketplace, 1)
    assert run("refresh:orders").returncode == 0
    marketplace.set_states(1, 9, 3)
    marketplace.put_folder(700, order["orderlines"][0]["id"])
    assert run("refresh:orders").returncode == 0
    assert run("refresh:latest").returncode == 0
    with psycopg.connect(v1_url) as connection:
        assert connection.execute("SELECT status, care_id FROM order_items").fetchall() == [(3, "700")]
        assert connection.execute("SELECT count(*) FROM stock_locks WHERE consumed_at IS NOT NULL").fetchone() == (1,)


@pytest.mark.parametrize("arguments", [(), ("refresh:everything",), ("refresh:new", "refresh:orders")])
def test_a_wrong_command_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    failed = run(*arguments)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("usage: python -m orders_sync.sandbox.v1")


def test_an_unknown_command_is_answered_with_the_commands(run: Run) -> None:
    assert "choose from" in run("refresh:everything").stderr
    assert "refresh:latest" in run("refresh:everything").stderr


def test_a_marketplace_that_does_not_answer_is_named(run: Run) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    failed = run("refresh:new", address=address)
    assert failed.returncode == 1
    assert f"({address}) does not answer" in failed.stderr
    assert failed.stderr.startswith("refresh:new failed: The marketplace of account ")
    assert "Traceback" not in failed.stderr


def test_an_error_of_the_marketplace_is_named_and_recorded(run: Run, v1_url: str, marketplace: Marketplace) -> None:
    marketplace.fault("status", path="/ws/orders", status=503)
    failed = run("refresh:new")
    assert failed.returncode == 1
    assert f"The marketplace answered GET {marketplace.url}/ws/orders?state=1&page=1&page-size=10 with 503." in (
        failed.stderr
    )
    with psycopg.connect(v1_url) as connection:
        row = connection.execute("SELECT command, calls, problem FROM command_runs").fetchone()
    assert row is not None
    assert row[:2] == ("refresh:new", 1)
    assert "503" in row[2]


def test_a_database_that_does_not_answer_is_named(run: Run, v1_url: str) -> None:
    failed = run("refresh:new", database="postgresql://nobody@127.0.0.1:1/v1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("refresh:new failed: V1's database does not answer: ")
    assert "Traceback" not in failed.stderr
