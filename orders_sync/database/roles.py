"""The four roles of the orders database, made with their rights: `orders-sync db roles`.

Who runs the syncs needs no right to change the schema, and who reads reports needs none to see a buyer. So there are
an owner (upgrades), a writer (syncs, stock, command line) and a reader; and a subscriber, who may call the functions by
which order events are consumed, and nothing else. Everything here may be repeated: the rights are taken away and given
anew in one transaction, so that they are those of this release.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from orders_sync.database.engine import Connection, connect
from orders_sync.database.rights import FUNCTIONS, OF_ALEMBIC, OWNED_FUNCTIONS, ROWS, rights_of
from orders_sync.database.tables import metadata
from orders_sync.model.errors import UserFacingError

DEFAULT_PREFIX = "orders_sync"
SCHEMA_OF_REPORTS = "reporting"
"""The schema whose every table and view the reader sees, also those that a later upgrade makes."""
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,49}")
_MAINTAIN_SINCE = 170_000
"""Before PostgreSQL 17, only the owner may ANALYZE a table; autovacuum does it then."""


_JOIN_OWNER = """\
DO $$ BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND current_user <> '{owner}' THEN
    EXECUTE format('GRANT {owner} TO %I', current_user);
  END IF;
END $$"""
"""Managed servers give nobody a superuser: tables then change hands only between roles that one is a member of."""

_HAND_OVER = """\
DO $$ DECLARE found regclass; BEGIN
  FOR found IN SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'v', 'm') AND relowner <> '{owner}'::regrole
    AND (relnamespace IN ('shadow'::regnamespace, 'reporting'::regnamespace)
      OR relnamespace = 'public'::regnamespace AND relname = ANY ({tables}))
  LOOP EXECUTE format('ALTER TABLE %s OWNER TO {owner}', found); END LOOP;
END $$"""
"""Our tables and views change hands, and their sequences with them; other tables in `public` stay whose they are."""


class RolesError(UserFacingError):
    """The roles can't be made: what is wrong, what is allowed."""


class Roles(NamedTuple):
    """The names of the four roles."""

    owner: str
    writer: str
    reader: str
    subscriber: str

    @classmethod
    def named(cls, prefix: str) -> "Roles":
        """The roles `<prefix>_owner` and so on. Raises RolesError for a prefix that would need quoting."""
        if not _PREFIX.fullmatch(prefix):
            raise RolesError(
                f"The prefix of the roles is {prefix!r}; allowed are small letters, digits and _, with a letter first."
            )
        return cls(*(f"{prefix}_{name}" for name in cls._fields))


def make_roles(roles: Roles, url: str | None = None) -> None:
    """Makes the roles in the database at `url`, by default the orders database, and gives them their rights.

    In one transaction. The role of the URL must be a superuser, or own the tables and may make roles.
    """
    with connect(url, application="orders_sync db roles") as connection, connection.transaction():
        _check_tables(connection)
        for statement in statements(roles, connection.info.dbname):
            connection.execute(statement.encode())


def statements(roles: Roles, database: str = "orders") -> list[str]:
    """The statements that `make_roles` runs, in their order."""
    return [
        *_roles(roles), *_owner(roles, database), *_writer(roles, database), *_reader(roles, database),
        *_subscriber(roles, database), "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ]  # fmt: skip


def _check_tables(connection: Connection) -> None:
    """The rights are those of this release's tables, so these must be there."""
    missing = [
        name for (name,) in connection.execute(
            "SELECT name FROM unnest(%s::text[]) AS needed (name) WHERE to_regclass(quote_ident(name)) IS NULL "
            "ORDER BY 1",
            [[*metadata.tables, OF_ALEMBIC]],
        )
    ]  # fmt: skip
    if missing:
        raise RolesError(
            f"The orders database does not have all tables of this version, e.g. {missing[0]}. Run `orders-sync db "
            "upgrade` first, then `orders-sync db roles` again."
        )


def _roles(roles: Roles) -> list[str]:
    """They may log in, and have no password until somebody sets one."""
    made = [
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; "
        "END IF; END $$"
        for role in roles
    ]
    return [*made, _JOIN_OWNER.replace("{owner}", roles.owner)]


def _owner(roles: Roles, database: str) -> list[str]:
    tables = _array([*metadata.tables, OF_ALEMBIC])
    return [
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {_quoted(database)} TO {roles.owner}",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {roles.owner}",
        f"ALTER SCHEMA shadow OWNER TO {roles.owner}",
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA_OF_REPORTS}",
        f"ALTER SCHEMA {SCHEMA_OF_REPORTS} OWNER TO {roles.owner}",
        _HAND_OVER.replace("{owner}", roles.owner).replace("{tables}", tables),
    ]


def _writer(roles: Roles, database: str) -> list[str]:
    by_right: dict[tuple[str, ...], list[str]] = {}
    for table in metadata.tables.values():
        by_right.setdefault(rights_of(table).writer, []).append(f"public.{table.name}")
    by_right.setdefault(("SELECT",), []).append(f"public.{OF_ALEMBIC}")
    granted = [
        f"GRANT {', '.join(rights)} ON {', '.join(sorted(names))} TO {roles.writer}"
        for rights, names in by_right.items()
    ]
    rows = ", ".join(ROWS)
    analyzed = "public.orders, public.order_items, public.order_events, public.stock_locks"
    return [
        f"GRANT CONNECT, TEMPORARY ON DATABASE {_quoted(database)} TO {roles.writer}",
        f"GRANT USAGE ON SCHEMA public, shadow TO {roles.writer}",
        f"REVOKE ALL ON {_all_tables()} FROM {roles.writer}",
        *granted,
        f"GRANT {rows} ON ALL TABLES IN SCHEMA shadow TO {roles.writer}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {roles.owner} IN SCHEMA public, shadow GRANT {rows} ON TABLES TO "
        f"{roles.writer}",
        f"DO $$ BEGIN IF current_setting('server_version_num')::int >= {_MAINTAIN_SINCE} THEN "
        f"EXECUTE 'GRANT MAINTAIN ON {analyzed} TO {roles.writer}'; END IF; END $$",
    ]


def _reader(roles: Roles, database: str) -> list[str]:
    seen = {table.name: rights_of(table).reader for table in metadata.tables.values()}
    return [
        f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {roles.reader}",
        f"GRANT USAGE ON SCHEMA public, {SCHEMA_OF_REPORTS} TO {roles.reader}",
        f"REVOKE ALL ON {_all_tables()} FROM {roles.reader}",
        *(
            f"GRANT SELECT ({', '.join(columns)}) ON public.{name} TO {roles.reader}"
            for name, columns in seen.items()
            if columns
        ),
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA_OF_REPORTS} TO {roles.reader}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {roles.owner} IN SCHEMA {SCHEMA_OF_REPORTS} GRANT SELECT ON TABLES TO "
        f"{roles.reader}",
    ]


def _subscriber(roles: Roles, database: str) -> list[str]:
    functions = ", ".join(f"public.{name}" for name in FUNCTIONS)
    return [
        *(f"ALTER FUNCTION public.{name} OWNER TO {roles.owner}" for name in OWNED_FUNCTIONS),
        f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {roles.subscriber}",
        f"GRANT USAGE ON SCHEMA public TO {roles.subscriber}",
        f"REVOKE ALL ON {_all_tables()} FROM {roles.subscriber}",
        f"GRANT EXECUTE ON FUNCTION {functions} TO {roles.writer}, {roles.subscriber}",
        f"GRANT EXECUTE ON FUNCTION public.order_event, public.order_event_without_details TO {roles.writer}",
    ]


def _all_tables() -> str:
    return ", ".join(f"public.{name}" for name in (*metadata.tables, OF_ALEMBIC))


def _array(names: Sequence[str]) -> str:
    return f"'{{{','.join(names)}}}'::text[]"


def _quoted(name: str) -> str:
    """The name of a database as an identifier: it is the one name here that is not ours."""
    return '"' + name.replace('"', '""') + '"'
