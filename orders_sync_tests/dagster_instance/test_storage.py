"""Dagster's storage: one pool of connections for all instances of a process."""

from collections.abc import Iterator

import dagster as dg
import psycopg
import pytest
from sqlalchemy import event, text

from orders_sync.dagster_instance.instance import open_instance
from orders_sync.dagster_instance.storage import (
    POOL_SIZE,
    dagster_database_url,
    dagster_server_url,
    pooled_engine,
)


@pytest.fixture
def opened(template: str) -> Iterator[list[object]]:
    """The connections that this process opens to Dagster's database."""
    connections: list[object] = []
    engine = pooled_engine(dagster_database_url())

    def note(connection: object, _: object) -> None:
        connections.append(connection)

    event.listen(engine, "connect", note)
    yield connections
    event.remove(engine, "connect", note)


def look() -> None:
    """What a tick of a sensor does: an instance of its own, which reads from all three storages."""
    with open_instance() as instance:
        instance.get_runs(limit=1)
        instance.all_instigator_state()
        instance.get_latest_materialization_event(dg.AssetKey("orders"))


def test_many_instances_open_no_further_connection(opened: list[object]) -> None:
    for _ in range(20):
        look()
    assert len(opened) <= POOL_SIZE


def test_tables_and_migrations_are_looked_for_once() -> None:
    """Dagster reads the whole catalog several times with each tick."""
    look()
    statements: list[str] = []
    engine = pooled_engine(dagster_database_url())

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    look()
    event.remove(engine, "before_cursor_execute", note)
    assert statements
    assert not [each for each in statements if "pg_catalog" in each or "secondary_indexes" in each]


def test_connections_that_were_cut_are_replaced_unnoticed(opened: list[object]) -> None:
    """As by a restart of the server, or a proxy."""
    for _ in range(3):
        with pooled_engine(dagster_database_url()).connect() as pooled:
            pid = pooled.execute(text("SELECT pg_backend_pid()")).scalar()
        with psycopg.connect(dagster_server_url(), autocommit=True) as other:
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)
        before = len(opened)
        look()
        assert len(opened) == before + 1
