"""`orders-sync db`: the schema of the orders database."""

import click

from orders_sync.cli.output import console


@click.group()
def db() -> None:
    """Manage the orders database."""


@db.command()
def upgrade() -> None:
    """Upgrade the orders database to the newest schema.

    The daemon may run meanwhile: the release before works with the new schema as well. No other command upgrades a
    server of your own (ORDERS_DATABASE_URL). The embedded server is upgraded by whatever starts first.
    """
    from orders_sync.database.schema import newest_revision
    from orders_sync.database.schema_upgrade import upgrade_schema

    upgrade_schema()
    console.print(f"The orders database is at revision {newest_revision()}.")
