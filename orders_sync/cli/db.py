"""`orders-sync db`: the orders database."""

import click

from orders_sync.cli.output import console


@click.group()
def db() -> None:
    """The orders database."""


@db.command()
def upgrade() -> None:
    """Bring the orders database to the newest schema. Every other command does so by itself."""
    from orders_sync.database.schema import newest_revision, upgrade_schema

    upgrade_schema()
    console.print(f"The orders database is at revision {newest_revision()}.")
