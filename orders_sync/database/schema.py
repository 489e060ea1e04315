"""The schema of the orders database, and whether the code works with it.

A server of one's own is upgraded by `orders-sync db upgrade` alone: any command of a newer checkout would else break
the older one that runs in production. The embedded server belongs to one checkout: whatever starts first upgrades it.

A revision first expands, and contracts only in a later release, so that the code of the release before still works
after the upgrade: each revision names in `works_with` the oldest revision whose code does.
"""

import os
from pathlib import Path
from typing import NamedTuple

from psycopg.errors import UndefinedTable

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.engine import connect, database_url
from orders_sync.model.errors import UserFacingError

REVISIONS = Path(__file__).parent / "alembic"
"""Alembic's folder; the revisions are in its folder `versions`."""
_STORED = "SELECT version_num, (SELECT max(oldest_revision) FROM schema_compatibility) FROM alembic_version"
_STORED_BEFORE_0027 = "SELECT version_num, NULL FROM alembic_version"


_MAY_GO_ON = " The release before works with the new schema as well, and may go on meanwhile."
_MUST_STOP = " Stop the daemon and the web server of the older version first: they can't work with the new schema."


class SchemaError(UserFacingError):
    """The schema of the orders database is not one that this code works with."""


class Schema(NamedTuple):
    """The schema of a database."""

    revision: str | None
    """None: it has no tables yet."""
    oldest_code: str | None
    """The oldest revision whose code works with it; None: not known."""


def check_schema() -> None:
    """Raises SchemaError unless the code works with the schema of the orders database. Costs one query.

    The embedded server is upgraded if need be. Raises DatabaseUnreachableError when the database does not answer.
    """
    url = database_url()
    stored = stored_schema(url)
    needed = newest_revision()
    if stored.revision == needed:
        return
    is_older = stored.revision is None or stored.revision < needed
    if is_older and not os.environ.get(ORDERS_DATABASE_URL):
        from orders_sync.database.schema_upgrade import upgrade_schema  # it needs SQLAlchemy, and takes 0.1 s

        upgrade_schema(url)
    elif stored.revision is None:
        raise SchemaError("The orders database has no tables yet. Run `orders-sync db upgrade`, which makes them.")
    elif stored.revision < needed:
        raise SchemaError(
            f"The schema of the orders database is at revision {stored.revision}; this version needs {needed}. Run "
            f"`orders-sync db upgrade`.{_MAY_GO_ON if stored.oldest_code else _MUST_STOP}"
        )
    elif stored.oldest_code is None or stored.oldest_code > needed:
        raise SchemaError(
            f"The schema of the orders database is at revision {stored.revision}, which this version (revision "
            f"{needed}) can't work with. Install the version of orders-sync that upgraded it, or a newer one."
        )


def newest_revision() -> str:
    """The revision that the code needs: the last one in the folder `versions`, whose file names begin with it."""
    return max(path.name for path in (REVISIONS / "versions").glob("*.py")).split("_")[0]


def stored_schema(url: str) -> Schema:
    """The schema of the database at `url`."""
    with connect(url) as connection:
        for query in (_STORED, _STORED_BEFORE_0027):
            try:
                row = connection.execute(query).fetchone()
            except UndefinedTable:
                continue
            return Schema(*row) if row is not None else Schema(None, None)
    return Schema(None, None)
