"""`orders-sync`: the project on the command line. Commands import what they need when they run."""

import sys

import click

from orders_sync.cli.output import EXIT_FAILED, told_errors


class OrdersSyncGroup(click.Group):
    """Tells errors that a user can mend in one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except told_errors() as error:
            click.secho(f"Error: {error}", fg="red", err=True)
            sys.exit(EXIT_FAILED)


@click.group(
    cls=OrdersSyncGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a lane is busy.",
)
@click.version_option(package_name="orders-sync")
def main() -> None:
    """Every marketplace order in your own PostgreSQL, its stock locked exactly once."""


def _add_commands() -> None:
    from orders_sync.cli import (
        accounts,
        doctor,
        log,
        migration,
        rejected,
        sandbox,
        schedule,
        status,
        stock,
        sync,
        up,
    )  # fmt: skip

    for command in (
        sync.sync, schedule.schedule, status.status, log.log, doctor.doctor, rejected.rejected, stock.stock,
        accounts.accounts, migration.migration, sandbox.sandbox, up.up, up.migrate,
    ):  # fmt: skip
        main.add_command(command)


_add_commands()
