"""Who runs a command."""

import getpass
import os
import socket

import click

from orders_sync.acts.by import By

PROGRAM = "orders-sync"


def user_at_machine() -> str:
    """`user@machine`, as acts by hand are recorded; in a container, a user may have a number alone."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # Python raises OSError from 3.13 on
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def by_user(reason: str | None = None, run_id: str = "") -> By:
    """The user of the command that runs, as acts by hand are recorded. `reason`: None where the act needs none.

    Raises InputError if the reason can't be used, e.g. is empty.
    """
    if reason is None:
        return By(user_at_machine(), "", _command(), run_id)
    return By.checked(user_at_machine(), reason, _command(), run_id)


def _command() -> str:
    """The command that runs, e.g. `orders-sync stock adjust`."""
    names: list[str] = []
    context = click.get_current_context(silent=True)
    while context is not None and context.parent is not None:
        names.append(context.info_name or "")
        context = context.parent
    return " ".join([PROGRAM, *reversed(names)])
