"""The migrations and the tables they build."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from orders_sync.database.engine import connect, engine
from orders_sync.database.schema import newest_revision, upgrade_schema
from orders_sync.database.tables import metadata
from orders_sync.testing.databases import a_database


def test_the_migrations_build_the_tables_of_the_code(database_url: str) -> None:
    pool = engine(database_url)
    with pool.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        differences = [d for d in compare_metadata(context, metadata) if "alembic_version" not in str(d)]
    pool.dispose()
    assert differences == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    upgrade_schema(database_url)
    with connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (newest_revision(),)


@pytest.mark.parametrize(("phase", "kept"), [("parallel", True), ("live", False), (None, False)])
def test_an_upgrade_keeps_the_shadows_index_while_a_migration_is_under_way(
    template: str, phase: str | None, kept: bool
) -> None:
    with a_database(template, f"t_upgraded_{phase}".lower()) as url, connect(url) as connection:
        upgrade_schema(url, "0002")
        if phase is not None:
            connection.execute(
                "INSERT INTO migration_moves (from_phase, to_phase, moved_by, forced, reason, checks) "
                "VALUES ('live', %s, 'a test', false, 'a test', '[]')",
                [phase],
            )
        upgrade_schema(url)
        index = connection.execute("SELECT to_regclass('order_events_shadow_pending')").fetchone()
        assert (index != (None,)) is kept
        assert connection.execute("SELECT to_regclass('orders_lacking_papers')").fetchone() == (None,)
