"""Connection poolers: one in session mode serves, one that shares sessions is refused."""

from collections.abc import Iterator

import psycopg
import pytest

from orders_sync.database import engine
from orders_sync.database.advisory_locks import try_lock
from orders_sync.database.engine import connect
from orders_sync.database.poolers import PoolerError
from orders_sync_tests.debian_postgresql import debian_server
from orders_sync_tests.pgbouncer import pgbouncer

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.needs("pgbouncer")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with debian_server() as url:
        yield url


@pytest.mark.parametrize(
    ("mode", "settings"),
    [("transaction", {}), ("transaction", {"server_round_robin": 1, "min_pool_size": 2}), ("statement", {})],
)
def test_a_pooler_that_shares_sessions_is_refused(server: str, mode: str, settings: dict[str, object]) -> None:
    with pgbouncer(server, mode, **settings) as url:
        for _ in range(3):  # whatever sessions the pool has open already
            with pytest.raises(
                PoolerError, match=r"behind a connection pooler in transaction mode.*pool_mode = session"
            ):
                connect(f"{url}/postgres")
        with psycopg.connect(f"{url}/postgres", autocommit=True) as another:  # gets a session that served us before
            assert another.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_pooler_in_session_mode_serves_and_is_examined_once(server: str) -> None:
    with pgbouncer(server, "session") as url:
        address = f"{url}/postgres"
        with connect(address) as one, connect(address) as other:
            assert try_lock(one, "lane")
            assert not try_lock(other, "lane")
            assert one.execute("SHOW lock_timeout").fetchone() == ("1min",)
        assert address in engine._own_sessions  # pyright: ignore[reportPrivateUsage]
