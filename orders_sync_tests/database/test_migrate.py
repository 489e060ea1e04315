"""The migrations and the tables they build."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from orders_sync.database.engine import connect, engine
from orders_sync.database.migrate import migrate, newest_revision
from orders_sync.database.tables import metadata


def test_the_migrations_build_the_tables_of_the_code(database_url: str) -> None:
    pool = engine(database_url)
    with pool.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        differences = [d for d in compare_metadata(context, metadata) if "alembic_version" not in str(d)]
    pool.dispose()
    assert differences == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    with connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (newest_revision(),)
