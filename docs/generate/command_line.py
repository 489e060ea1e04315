"""docs/reference/command-line.md: every command of `orders-sync` with its help, from click."""

from collections.abc import Iterator

import click

from docs.generate.markdown import page
from orders_sync.cli import main

WIDTH = 100


def command_line_page() -> str:
    """The whole page: each command in the order of its help, subcommands after their group."""
    return page(
        "Command line",
        "`orders-sync` is in `.venv/bin`. Each command prints this help with `--help`.",
        *(
            f"{'#' * (1 + len(path))} {' '.join(path)}\n\n```text\n{text}\n```"
            for path, text in _helps(main, ("orders-sync",), None)
        ),
    )


def _helps(
    command: click.Command, path: tuple[str, ...], parent: click.Context | None
) -> Iterator[tuple[tuple[str, ...], str]]:
    context = click.Context(
        command, info_name=path[-1], parent=parent, **{**command.context_settings, "max_content_width": WIDTH}
    )
    context.terminal_width = WIDTH  # not that of whoever runs this
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _helps(found, (*path, name), context)
