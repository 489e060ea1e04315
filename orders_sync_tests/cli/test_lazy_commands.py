"""Only the command that runs is imported."""

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import click

from orders_sync import cli
from orders_sync.cli import COMMANDS
from orders_sync.testing.waiting import limit

LOADED = """
import sys
from orders_sync.cli import main
try:
    main(["--version"])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_every_command_of_the_package_is_listed() -> None:
    """A command is a module with a click command of its name."""
    modules = [name for _, name, _ in iter_modules(cli.__path__) if not name.startswith("_")]
    found = [
        name
        for name in modules
        if isinstance(getattr(import_module(f"{cli.__name__}.{name}"), name, None), click.Command)
    ]
    assert found == list(COMMANDS)


def test_a_light_command_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=limit(30))
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert not loaded & {"dagster", "sqlalchemy", "pandas", "httpx", "pydantic", "alembic"}
