"""Errors of PostgreSQL in one line: what happened, and what to do."""

from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest

from orders_sync.config.account import SellerAccount
from orders_sync.database import problems
from orders_sync.database.engine import Connection, connect
from orders_sync.database.roles import Roles, make_roles
from orders_sync.passes.run_pass import PassFailedError
from orders_sync.testing.marketplace import Marketplace, an_order, sync
from orders_sync.testing.row_faults import fault_at_row
from orders_sync_tests.cli.command_line import run


@pytest.fixture
def limited(database_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """With it, `options` of the URL limit the sessions."""
    monkeypatch.setattr(problems, "LOCK_SECONDS", 1)
    return monkeypatch


def with_option(url: str, option: str) -> str:
    return f"{url}&options={quote(f'-c {option}')}"


@pytest.fixture
def somebody(connection: Connection) -> Iterator[Connection]:
    """Somebody's psql with an open transaction, in which all orders are locked."""
    with connect(application="psql of Ann") as other, other.transaction():
        other.execute("LOCK TABLE orders, lanes IN ACCESS EXCLUSIVE MODE")
        yield other


def test_a_pass_that_waits_for_a_lock_in_vain_names_who_holds_it(
    limited: pytest.MonkeyPatch, database_url: str, marketplace: Marketplace, account: SellerAccount,
    somebody: Connection,
) -> None:  # fmt: skip
    limited.setenv("ORDERS_DATABASE_URL", with_option(database_url, "lock_timeout=1s"))
    with pytest.raises(PassFailedError) as failure:
        sync(account)
    pid = somebody.info.backend_pid
    assert f"Probably in the way: pid {pid} (psql of Ann, user postgres) with a transaction open since" in str(
        failure.value
    )
    assert str(failure.value).endswith(f"SELECT pg_terminate_backend({pid}).")


def test_a_command_that_waits_for_a_lock_in_vain_names_who_holds_it(
    limited: pytest.MonkeyPatch, database_url: str, somebody: Connection
) -> None:
    limited.setenv("ORDERS_DATABASE_URL", with_option(database_url, "lock_timeout=1s"))
    result = run("status")
    assert result.exit_code == 1
    assert "A statement waited 1 s for a lock that another session holds" in result.output
    assert "psql of Ann" in result.output


def test_the_lock_of_another_role_is_named_as_well(
    limited: pytest.MonkeyPatch, database_url: str, connection: Connection
) -> None:
    """The role of the syncs does not see since when other roles' transactions are open."""
    make_roles(Roles.named("orders_sync"), database_url)
    try:
        writer = database_url.replace("postgres@", "orders_sync_writer@")
        limited.setenv("ORDERS_DATABASE_URL", with_option(writer, "lock_timeout=1s"))
        with connect(database_url, application="psql of Ann") as other, other.transaction():
            other.execute("LOCK TABLE lanes IN ACCESS EXCLUSIVE MODE")
            with connect() as waiting, pytest.raises(psycopg.errors.LockNotAvailable) as error:
                waiting.execute("SELECT FROM lanes")
            text = str(problems.problem_of(error.value))
            pid = other.info.backend_pid
        assert f"pid {pid} (psql of Ann, user postgres) with an open transaction; since when" in text
        assert text.endswith(f"SELECT pg_terminate_backend({pid}).")
    finally:
        connection.execute("REASSIGN OWNED BY orders_sync_owner TO postgres")
        for role in ("owner", "writer", "reader"):
            connection.execute(f"DROP OWNED BY orders_sync_{role}".encode())


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("default_transaction_read_only=on", "The orders database is read-only: cannot execute INSERT in a read-only"),
        ("search_path=elsewhere", 'The schema of the orders database is not the one of this version: relation "'),
    ],
)
def test_a_fault_before_a_pass_is_one_line(
    limited: pytest.MonkeyPatch, database_url: str, account: SellerAccount, option: str, text: str
) -> None:
    limited.setenv("ORDERS_DATABASE_URL", with_option(database_url, option))
    with pytest.raises(PassFailedError) as failure:
        sync(account)
    assert text in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_database_that_does_not_answer_fails_the_pass_in_one_line(
    limited: pytest.MonkeyPatch, account: SellerAccount
) -> None:
    limited.setenv("ORDERS_DATABASE_URL", "postgresql://127.0.0.1:1/orders")
    with pytest.raises(PassFailedError, match=r"^shop/new: The orders database .* does not answer"):
        sync(account)


def test_a_statement_that_takes_too_long_is_ended_and_fails_the_pass(
    limited: pytest.MonkeyPatch, database_url: str, marketplace: Marketplace, account: SellerAccount,
    connection: Connection,
) -> None:  # fmt: skip
    an_order(marketplace, 1)
    limited.setenv("ORDERS_DATABASE_URL", with_option(database_url, "statement_timeout=1s"))
    slow = fault_at_row(connection, "orders", 1, "PERFORM pg_sleep(60)")
    with (
        slow,
        pytest.raises(PassFailedError, match="PostgreSQL ended a statement: canceling statement due to statement"),
    ):
        sync(account)


def test_a_role_that_may_not_start_a_pass_gets_one_line(
    limited: pytest.MonkeyPatch, database_url: str, connection: Connection, account: SellerAccount
) -> None:
    connection.execute("DROP ROLE IF EXISTS looks_only")
    connection.execute("CREATE ROLE looks_only LOGIN")
    try:
        limited.setenv("ORDERS_DATABASE_URL", database_url.replace("postgres@", "looks_only@"))
        with pytest.raises(PassFailedError, match="lacks a right: permission denied for table lanes"):
            sync(account)
        result = run("status")
        assert result.exit_code == 1
        assert result.output.startswith("Error: The user of the orders database lacks a right")
    finally:
        connection.execute("DROP ROLE looks_only")
