"""Databases that exist for one test only, on a real PostgreSQL server."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Identifier

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.embedded import embedded_url
from orders_sync.database.schema_upgrade import upgrade_schema


@contextmanager
def a_database(server: str, name: str, *, template: str = "template1") -> Iterator[str]:
    """Creates a database as a copy of `template`, yields its URL, and drops it afterwards.

    `server`: the URL of the server's database `postgres`.
    """
    with psycopg.connect(server, autocommit=True) as connection:
        # By default PostgreSQL writes each page of the copy into its log, which takes twice as long.
        create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(create.format(Identifier(name), Identifier(template)))
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def orders_database(server: str | None = None) -> Iterator[str]:
    """Creates an orders database with all its tables, yields its URL, and drops it afterwards.

    Within the block, ORDERS_DATABASE_URL names it, so that passes write to it. `server`: the URL of the server's
    database `postgres`; None: the embedded server.
    """
    before = os.environ.get(ORDERS_DATABASE_URL)
    with a_database(server or embedded_url("postgres"), f"test_{uuid.uuid4().hex[:16]}") as url:
        upgrade_schema(url)
        os.environ[ORDERS_DATABASE_URL] = url
        try:
            yield url
        finally:
            del os.environ[ORDERS_DATABASE_URL]
            if before is not None:
                os.environ[ORDERS_DATABASE_URL] = before
