"""`orders-sync`: the project on the command line.

Each command imports what it needs when it runs, so that `--help` and light commands are fast.
"""

import sys
from importlib import import_module
from importlib.util import find_spec

import click

from orders_sync.cli.output import EXIT_BUSY, EXIT_FAILED, print_beside
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials
from orders_sync.database.problems import postgresql_error, problem_of
from orders_sync.lanes.lock import LaneBusyError
from orders_sync.model.errors import UserFacingError

RENAMED = {"migrate": "db upgrade", "migration": "cutover"}
"""The present names of the commands that were renamed in 0.2, by their old names. The old names end with 0.3."""


class OrdersSyncGroup(click.Group):
    """Accepts the old names of renamed commands, and prints errors that a user can resolve without a traceback."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in RENAMED:
            old, new = args[0], RENAMED[args[0]]
            print_beside(f"`orders-sync {old}` is now `orders-sync {new}`. The old name ends with 0.3.", "yellow")
            args = [*new.split(), *args[1:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserFacingError as error:
            print_beside(f"Error: {error}", "red")
            sys.exit(EXIT_BUSY if isinstance(error, LaneBusyError) else EXIT_FAILED)
        except Exception as error:
            if (cause := postgresql_error(error)) is None:
                raise
            print_beside(f"Error: {problem_of(cause)}", "red")
            sys.exit(EXIT_FAILED)


@click.group(
    cls=OrdersSyncGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a lane is busy.",
)
@click.version_option(package_name="orders-sync")
def main() -> None:
    """Copy marketplace orders into your own PostgreSQL and lock their stock exactly once."""
    provide_sandbox_credentials()


def _add_commands() -> None:
    from orders_sync.cli import (
        acceptance,
        accounts,
        acts,
        alerts,
        buyer,
        changes,
        daemon,
        db,
        devices,
        doctor,
        documents,
        drift,
        errors,
        explain,
        flaws,
        init,
        lanes,
        log,
        redecode,
        rejected,
        sandbox,
        schedule,
        status,
        stock,
        sync,
        up,
        watch,
        web,
    )  # fmt: skip

    for command in (
        sync.sync, schedule.schedule, status.status, lanes.lanes, log.log, doctor.doctor, rejected.rejected,
        redecode.redecode, flaws.flaws, errors.errors, drift.drift, changes.changes, explain.explain, acts.acts,
        documents.documents, devices.devices, buyer.buyer, acceptance.acceptance, stock.stock,
        init.init, accounts.accounts, alerts.alerts, db.db, sandbox.sandbox, up.up, daemon.daemon, watch.watch, web.web,
    ):  # fmt: skip
        main.add_command(command)
    if find_spec("orders_sync.cli.cutover") is not None:  # a project that has left V1 behind may delete it
        main.add_command(import_module("orders_sync.cli.cutover").cutover)


_add_commands()
