"""`orders-sync db`: the schema of the orders database."""

import click

from orders_sync.cli.output import console


@click.group()
def db() -> None:
    """Manage the orders database."""


@db.command()
def upgrade() -> None:
    """Upgrade the orders database to the newest schema.

    Every other command does this by itself.
    """
    from orders_sync.database.schema import newest_revision, upgrade_schema

    upgrade_schema()
    console.print(f"The orders database is at revision {newest_revision()}.")
