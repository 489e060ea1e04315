"""Private parts of Dagster come in by three modules. import-linter can't express it: it sees external packages whole."""

import ast
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from orders_sync.config.environment import PROJECT_ROOT

FOLDERS = ("orders_sync", "orders_sync_tests", "bench", "docs")
FILES = sorted(file for folder in FOLDERS for file in (PROJECT_ROOT / folder).rglob("*.py"))
INTERNALS = PROJECT_ROOT / "orders_sync" / "dagster_instance" / "internals.py"
WEB_APP = PROJECT_ROOT / "orders_sync" / "web" / "dagster_app.py"
PACE = PROJECT_ROOT / "orders_sync" / "dagster_instance" / "pace.py"
"""What these two import takes seconds that no run worker should spend."""


def imported(file: Path) -> set[str]:
    """Every name that a file imports, with its module: `dagster._serdes.ConfigurableClassData`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def private_parts(file: Path) -> set[str]:
    """What a file imports from Dagster's libraries below their public modules."""
    dagster = {name for name in imported(file) if name.split(".")[0].startswith("dagster")}
    return {
        name
        for name in dagster
        if name.startswith("dagster_shared") or any(part.startswith("_") for part in name.split("."))
    }


def test_three_modules_import_private_parts_of_dagster() -> None:
    assert {file for file in FILES if private_parts(file)} == {INTERNALS, PACE, WEB_APP}


def test_the_contract_of_the_core_names_every_package_of_dagster() -> None:
    settings = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(c for c in settings["contracts"] if c["name"] == "The core never imports dagster")
    installed = {name for name in packages_distributions() if name.startswith("dagster")}
    assert set(contract["forbidden_modules"]) == installed


def test_every_part_is_used() -> None:
    """An entry that nobody imports any more goes: the fewer, the easier an upgrade."""
    offered = {name.rpartition(".")[2] for name in imported(INTERNALS)}
    prefix = "orders_sync.dagster_instance.internals."
    used = {name.removeprefix(prefix) for file in FILES for name in imported(file) if name.startswith(prefix)}
    assert offered == used
