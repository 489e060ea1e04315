"""Databases of a test's own on the run's PostgreSQL server."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Identifier


@contextmanager
def a_database(server: str, name: str, *, template: str = "template1") -> Iterator[str]:
    """A new database, a copy of `template`, and gone afterwards: its URL. `server`: the URL of database postgres."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
