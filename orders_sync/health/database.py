"""Whether the orders database works, and may be written to."""

from collections.abc import Iterator

from orders_sync.database.opened import orders_database
from orders_sync.health.finding import Finding

APPLICATION = "orders_sync doctor"
_TABLES_WITHOUT_RIGHTS = """
SELECT DISTINCT name FROM unnest(%s::text[], %s::text[]) AS needed (name, needed_right)
WHERE NOT has_table_privilege(quote_ident(name), needed_right)
ORDER BY 1
"""
_NO_RIGHTS = "Run `orders-sync db roles` as an administrator, and use the writer that it makes, or the owner."


def examine_database() -> Iterator[Finding]:
    """Whether the database answers, has the present schema, and its user the rights that the syncs need."""
    from orders_sync.database.rights import writer_rights

    with orders_database(APPLICATION) as connection:
        version = connection.info.server_version // 10_000
        yield Finding(True, f"PostgreSQL {version} answers, and its schema is up to date")
        needed = [list(column) for column in zip(*writer_rights(), strict=True)]
        tables = [table for (table,) in connection.execute(_TABLES_WITHOUT_RIGHTS, needed)]
        if tables:
            named = f"{', '.join(tables[:5])}{' …' if len(tables) > 5 else ''}"
            text = f"the user of the orders database may not write to {len(tables)} of its tables: {named}"
            yield Finding(False, text, _NO_RIGHTS, kind="no rights")
            return
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO lanes (account, sync_type) VALUES ('a write of the doctor', 'new')")
    yield Finding(True, "the user of the orders database may write")
