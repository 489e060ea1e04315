"""What the tests share: a real PostgreSQL, a database a test, a sandbox marketplace over real HTTP."""

import fcntl
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import orders_sync.defs
from orders_sync.config import alerts, schedules, v1
from orders_sync.config.account import SellerAccount
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.database.engine import Connection
from orders_sync.marketplaces.kit import accounts
from orders_sync.testing.databases import a_database
from orders_sync.testing.deployment import Deployment, accounts_of, alerts_of, copy_project, schedules_of, v1_file_of
from orders_sync.testing.marketplace import Marketplace, sandbox_account
from orders_sync.testing.shared_deployment import SHARED
from orders_sync.testing.waiting import limit
from orders_sync_tests import debian_packages

if TYPE_CHECKING:
    import dagster as dg

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
#: One state folder for all workers of a test run, its path short enough for a socket.
STATE = Path(tempfile.gettempdir()) / f"orders-sync-{RUN[:12]}"
STATE.mkdir(exist_ok=True)
os.environ["ORDERS_SYNC_STATE"] = str(STATE)
os.environ.pop("ORDERS_DATABASE_URL", None)
os.environ.pop("DAGSTER_POSTGRES_URL", None)
os.environ.pop("DAGSTER_HOME", None)

GIVEN_SERVER = "ORDERS_SYNC_TEST_POSTGRESQL"
"""Names a PostgreSQL server for the tests' databases, e.g. postgresql://postgres@127.0.0.1:5432; the embedded one where
it is not set. CI runs the tests on every supported version with it."""
provide_sandbox_credentials()
TEST_SECONDS = 300.0
"""How long one test may take on the reference machine, its fixtures not counted: they have limits of their own."""


@pytest.hookimpl(tryfirst=True)  # before pytest-timeout reads its option
def pytest_configure(config: pytest.Config) -> None:
    # A shell starts background jobs with SIGINT ignored, and the processes that tests stop with it inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.option.testrunuid = RUN
    if config.getoption("timeout") is None:
        config.option.timeout = limit(TEST_SECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a deployment come first: one after the other, they take longest.

    Among them, those that share a deployment follow one another, whatever order their files have.
    """
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("daemon") is None:
        return 2
    return 0 if uses_shared_deployment(item) else 1


def uses_shared_deployment(item: pytest.Item | None) -> bool:
    return isinstance(item, pytest.Function) and "deployment" in item.fixturenames


def pytest_collection_finish(session: pytest.Session) -> None:
    """A group that is not kept together would start its deployment once in every worker, without a word."""
    if session.config.getoption("loadgroup", False):
        loose = [i.nodeid for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
        if loose:
            raise pytest.UsageError(f"pytest-xdist ignores the mark xdist_group of {loose[0]}: see pytest-xdist #1386.")


@pytest.hookimpl(trylast=True)  # after the fixtures' teardown
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if not uses_shared_deployment(nextitem):
        SHARED.stop()


def pytest_sessionfinish() -> None:
    SHARED.stop()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leaves nothing behind once all workers are gone."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        from orders_sync.database.embedded import embedded_url, stop_if_last

        if (STATE / "postgres").exists():
            embedded_url("postgres")
            stop_if_last()
        shutil.rmtree(STATE, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        tool = mark.args[0]
        if debian_packages.find(tool) is None:
            missing = f"needs Debian's package {debian_packages.PACKAGES[tool]}, which is not installed"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)


@pytest.fixture(scope="session", autouse=True)
def project_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project with the sandbox accounts and no others, and with the default schedules, and without alerts.

    All tests see the accounts and schedules of this copy, and Dagster loads its YAML files: a user may have removed the
    accounts that the project comes with, have added others, and have changed the crons.
    """
    project = copy_project(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "accounts_folder", lambda: accounts_of(project))
        patch.setattr(schedules, "schedules_file", lambda: schedules_of(project))
        patch.setattr(v1, "v1_file", lambda: v1_file_of(project))
        patch.setattr(v1, "accounts_folder", lambda: accounts_of(project))
        patch.setattr(alerts, "alerts_file", lambda: alerts_of(project))
        patch.setattr(orders_sync.defs, "__file__", str(project / "orders_sync" / "defs" / "__init__.py"))
        yield project


@pytest.fixture(scope="session")
def definitions(project_of_the_tests: Path) -> "dg.Definitions":
    """What Dagster loads from the project of the tests."""
    from orders_sync.definitions import defs

    return defs()


@pytest.fixture(scope="session")
def template() -> str:
    """The URL of the server's maintenance database, once the template of all test databases has the newest schema."""
    from orders_sync.database.embedded import embedded_url
    from orders_sync.database.schema_upgrade import upgrade_schema

    with (STATE / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        given = os.environ.get(GIVEN_SERVER)
        server = f"{given}/postgres?" if given else embedded_url("postgres")
        if not (STATE / "template.done").exists():
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET max_connections = 300")
                connection.execute("SELECT pg_reload_conf()")
                if given:
                    connection.execute("DROP DATABASE IF EXISTS template_orders")
                    connection.execute("CREATE DATABASE template_orders")
            upgrade_schema(f"{given}/template_orders" if given else embedded_url("template_orders"))
            (STATE / "template.done").touch()
    return server


@pytest.fixture
def database_url(template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database of the test's own, with the newest schema; the code under test uses it."""
    name = f"t_{uuid.uuid4().hex[:16]}"
    with a_database(template, name, template="template_orders") as url:
        monkeypatch.setenv("ORDERS_DATABASE_URL", url)
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection to the test's database."""
    from orders_sync.database.engine import connect

    with connect(database_url, application="test") as opened:
        yield opened


@pytest.fixture
def marketplace() -> Iterator[Marketplace]:
    """An empty sandbox marketplace on a port of its own, without rate limits, its time standing where we set it."""
    with Marketplace() as opened:
        yield opened


@pytest.fixture
def living_marketplace() -> Iterator[Marketplace]:
    """A sandbox marketplace with 300 orders of history."""
    with Marketplace(orders=300, days=20) as opened:
        yield opened


@pytest.fixture
def account(marketplace: Marketplace) -> SellerAccount:
    """An account at the empty marketplace."""
    return sandbox_account(marketplace)


@pytest.fixture
def shop(marketplace: Marketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Marketplace:
    """The accounts folder of the command line and the examinations: one account, at the empty marketplace."""
    from orders_sync_tests.cli.command_line import add_account

    add_account(tmp_path, marketplace, "shop")
    monkeypatch.setattr(accounts, "accounts_folder", lambda: tmp_path)
    return marketplace


@pytest.fixture
def deployment() -> Deployment:
    """For all tests with a daemon: `dagster dev`, first passes done, and a marketplace of 40 orders in our hands."""
    return SHARED.get()
