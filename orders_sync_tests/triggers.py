"""Faults in the middle of a transaction, made by PostgreSQL itself: what the code under test can't foresee."""

from collections.abc import Generator
from contextlib import contextmanager

from orders_sync.database.engine import Connection

CUT_CONNECTION = "PERFORM pg_terminate_backend(pg_backend_pid())"
"""The connection that inserts is cut, and its transaction rolled back."""


@contextmanager
def after_insert(
    connection: Connection, table: str, statement: str, *, if_more_than: int = 0, of: str | None = None
) -> Generator[None]:
    """For the length of the block, whoever inserts rows into `table` runs a statement of PL/pgSQL right after.

    Only if there are more than `if_more_than` rows in `of` (by default `table` itself), its own ones included.
    """
    connection.execute(
        f"""
        CREATE FUNCTION after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF (SELECT count(*) FROM {of or table}) > {if_more_than} THEN {statement}; END IF;
          RETURN NULL;
        END $$;
        CREATE TRIGGER after_insert AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION after_insert()
        """.encode()
    )
    try:
        yield
    finally:
        connection.execute("DROP FUNCTION after_insert CASCADE")
