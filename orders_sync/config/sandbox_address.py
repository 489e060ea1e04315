"""Where the sandbox marketplaces answer: on the port that this project's sandbox was started with last.

So the sandbox's account files stay as they are when `orders-sync up --sandbox-port` names another port, e.g. since a
second checkout runs beside the first one.
"""

from contextlib import suppress
from pathlib import Path

from orders_sync.config.environment import state_folder
from orders_sync.config.private_files import private_file
from orders_sync.model.errors import UserFacingError

SANDBOX_PORT = 8765
"""The port of the sandbox unless an option names another one."""
_LOOPBACK = "http://127.0.0.1"


def note_sandbox_port(port: int) -> None:
    """Notes in the state folder on which port the sandbox listens."""
    with open(_file(), "w", opener=private_file) as file:
        file.write(f"{port}\n")


def present_address(base_url: str | None) -> str | None:
    """The URL of an account: that of the sandbox with its present port, any other as it is."""
    if base_url is None or base_url.rstrip("/") != f"{_LOOPBACK}:{SANDBOX_PORT}":
        return base_url
    with suppress(OSError, ValueError, UserFacingError):
        return f"{_LOOPBACK}:{int(_file().read_text())}"
    return base_url


def _file() -> Path:
    return state_folder() / "sandbox_port"
