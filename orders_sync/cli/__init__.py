"""`orders-sync`: the project on the command line.

Each command imports what it needs when it runs, so that `--help` and light commands are fast.
"""

from importlib import import_module
from importlib.util import find_spec

import click

from orders_sync.cli.ends import ends_in_one_line
from orders_sync.cli.output import EXIT_CODES, print_beside
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials

RENAMED = {"migrate": "db upgrade", "migration": "cutover"}
"""The present names of the commands that were renamed in 0.2, by their old names. The old names end with 0.3."""


class OrdersSyncGroup(click.Group):
    """Accepts the old names of renamed commands, and ends with one line for each error that a user can resolve."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in RENAMED:
            old, new = args[0], RENAMED[args[0]]
            print_beside(f"`orders-sync {old}` is now `orders-sync {new}`. The old name ends with 0.3.", "yellow")
            args = [*new.split(), *args[1:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with ends_in_one_line(ctx):
            return super().invoke(ctx)


@click.group(
    cls=OrdersSyncGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
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
