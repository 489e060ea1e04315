"""Which errors are the fault of what one event, item or return would store: that one fails, and the others go on."""

import psycopg

_OF_DATA = ("21", "22", "23", "44", "54", "P0", "XX")
"""SQLSTATE classes: a value that PostgreSQL can't take, a constraint, a limit (e.g. a SKU that is too long for an
index), a trigger's own exception, a damaged row. The others concern the server, the role or the schema: all rows."""


def is_data_fault(error: Exception) -> bool:
    """Whether the error is about one row; else it concerns the database or this machine, and nothing can be stored."""
    if isinstance(error, MemoryError | OSError):
        return False
    if not isinstance(error, psycopg.Error):
        return True
    if error.sqlstate is None:  # raised on our side: the connection is lost, or a value can't be sent
        return not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_OF_DATA)
