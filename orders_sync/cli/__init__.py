"""`orders-sync`: the project on the command line.

Of the commands, only the one that runs is imported, so that it starts at once: others need Dagster or SQLAlchemy.
"""

from collections import UserDict
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from orders_sync.cli.ends import ends_in_one_line
from orders_sync.cli.output import EXIT_CODES, print_beside
from orders_sync.config.sandbox_credentials import provide_sandbox_credentials

RENAMED = {"migrate": "db upgrade", "migration": "cutover"}
"""The present names of the commands that were renamed in 0.2, by their old names. The old names end with 0.3."""
COMMANDS = (
    "acceptance", "accounts", "acts", "alerts", "buyer", "changes", "cutover", "daemon", "db", "devices", "doctor",
    "documents", "drift", "errors", "explain", "export", "flaws", "init", "lanes", "log", "metrics", "redecode",
    "rejected", "sandbox", "schedule", "status", "stock", "subscriptions", "sync", "up", "watch", "web",
)  # fmt: skip
"""Each is a module of this package, with a command of the same name."""


class LazyCommands(UserDict[str, Any]):
    """The commands by name. The module of a command is imported on first access."""

    def __getitem__(self, name: str) -> click.Command:
        if self.data[name] is None:
            self.data[name] = getattr(import_module(f"{__name__}.{name}"), name)
        return self.data[name]


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
    # A project that has left V1 behind may delete the command `cutover`.
    commands=LazyCommands({name: None for name in COMMANDS if find_spec(f"{__name__}.{name}") is not None}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
)
@click.version_option(package_name="orders-sync")
def main() -> None:
    """Copy marketplace orders into your own PostgreSQL and lock their stock exactly once."""
    provide_sandbox_credentials()
