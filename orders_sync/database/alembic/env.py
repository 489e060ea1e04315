"""Alembic's entry: runs on the connection that `orders_sync/database/schema.py` hands over."""

from alembic import context

from orders_sync.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
