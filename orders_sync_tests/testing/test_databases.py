"""Databases for one test: they are there within the block, and gone after it."""

import os

import psycopg
import pytest

from orders_sync.database.engine import connect
from orders_sync.testing.databases import a_database, orders_database


def databases(server: str) -> set[str]:
    with psycopg.connect(server) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_a_database_exists_within_the_block_only(template: str) -> None:
    with a_database(template, "t_block") as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("t_block",)
    assert "t_block" not in databases(template)


def test_a_database_goes_even_if_the_test_fails_and_leaves_a_connection_open(template: str) -> None:
    opened: list[psycopg.Connection] = []

    def fail(url: str) -> None:
        opened.append(psycopg.connect(url))
        raise RuntimeError(url)

    with pytest.raises(RuntimeError, match="t_failing"), a_database(template, "t_failing") as url:
        fail(url)
    assert "t_failing" not in databases(template)
    with pytest.raises(psycopg.OperationalError):
        opened[0].execute("SELECT 1")
    opened[0].close()


def test_an_orders_database_has_its_tables_and_is_the_one_that_passes_use(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://elsewhere/orders")
    with orders_database(template) as url:
        assert os.environ["ORDERS_DATABASE_URL"] == url
        with connect() as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert os.environ["ORDERS_DATABASE_URL"] == "postgresql://elsewhere/orders"
    monkeypatch.delenv("ORDERS_DATABASE_URL")
    with orders_database(template):
        pass
    assert "ORDERS_DATABASE_URL" not in os.environ
