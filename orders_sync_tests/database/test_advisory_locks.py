"""Advisory locks by name, between real connections."""

import threading
from collections.abc import Callable

import psycopg
import pytest

from orders_sync.database import advisory_locks
from orders_sync.database.engine import Connection, connect
from orders_sync.testing.waiting import wait_for

NAME = "a lock of the tests"


def test_only_one_connection_holds_a_lock(connection: Connection, database_url: str) -> None:
    with connect(database_url, application="the holder") as holder:
        assert advisory_locks.try_lock(holder, NAME)
        assert not advisory_locks.try_lock(connection, NAME)
        assert advisory_locks.try_lock(connection, "another lock of the tests")
        assert advisory_locks.is_held(connection, NAME)
        assert advisory_locks.holders(connection, NAME) == ["the holder"]
        advisory_locks.release_all(holder)
        assert not advisory_locks.is_held(connection, NAME)
        assert advisory_locks.holders(connection, NAME) == []
        assert advisory_locks.try_lock(connection, NAME)


def test_a_lock_ends_with_its_connection(connection: Connection, database_url: str) -> None:
    holder = connect(database_url)
    advisory_locks.lock(holder, NAME)
    holder.close()
    wait_for(lambda: advisory_locks.try_lock(connection, NAME), seconds=20, what="the end of the holder's session")


def test_a_lock_is_waited_for(connection: Connection, database_url: str) -> None:
    advisory_locks.lock(connection, NAME)
    acquired = threading.Event()

    def wait() -> None:
        with connect(database_url, application="the second") as second:
            advisory_locks.lock(second, NAME)
            acquired.set()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        wait_for(lambda: advisory_locks.is_awaited(connection, NAME), seconds=20, what="the second to wait")
        assert not advisory_locks.is_awaited(connection, "another lock of the tests")
        assert not acquired.is_set()
    finally:
        advisory_locks.release_all(connection)
        thread.join(20)
    assert not advisory_locks.is_awaited(connection, NAME)
    assert acquired.is_set()


def test_sharers_share_and_keep_others_out(connection: Connection, database_url: str) -> None:
    with connect(database_url, application="one") as one, connect(database_url, application="two") as two:
        with advisory_locks.shared_lock(one, NAME), advisory_locks.shared_lock(two, NAME):
            assert advisory_locks.holders(connection, NAME) == ["one", "two"]
            assert not advisory_locks.try_lock(connection, NAME)
        assert advisory_locks.try_lock(connection, NAME)


def test_a_shared_lock_ends_with_an_error_in_its_block(connection: Connection, database_url: str) -> None:
    with connect(database_url) as sharer, pytest.raises(ZeroDivisionError), advisory_locks.shared_lock(sharer, NAME):
        raise ZeroDivisionError
    assert advisory_locks.try_lock(connection, NAME)


def test_a_shared_lock_does_not_hide_the_loss_of_its_connection(connection: Connection, database_url: str) -> None:
    def lose_connection(sharer: Connection) -> None:
        with advisory_locks.shared_lock(sharer, NAME):
            connection.execute("SELECT pg_terminate_backend(%s)", [sharer.info.backend_pid])
            sharer.execute("SELECT 1")

    with connect(database_url) as sharer, pytest.raises(psycopg.OperationalError):
        lose_connection(sharer)


def take_by_expression(connection: Connection, name: str) -> None:
    connection.execute(f"SELECT {advisory_locks.locking_expression(name)}".encode())


@pytest.mark.parametrize("take", [advisory_locks.lock_for_transaction, take_by_expression])
def test_a_lock_for_a_transaction_ends_with_it(
    connection: Connection, database_url: str, take: Callable[[Connection, str], None]
) -> None:
    with connect(database_url) as holder:
        with holder.transaction():
            take(holder, NAME)
            assert advisory_locks.is_held(connection, NAME)
        assert not advisory_locks.is_held(connection, NAME)


def test_a_lock_for_a_transaction_obeys_the_lock_timeout(connection: Connection, database_url: str) -> None:
    with connect(database_url) as holder:
        advisory_locks.lock(holder, NAME)
        connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable), connection.transaction():
            advisory_locks.lock_for_transaction(connection, NAME)
