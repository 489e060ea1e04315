"""Who runs a command."""

import getpass
import socket


def user_at_machine() -> str:
    """`user@machine`, as acts by hand are recorded."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
