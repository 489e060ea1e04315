"""docs/architecture.md, "Delete the cutover": without its files, the rest of the package works."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import copy_project, environment, program
from orders_sync.testing.waiting import limit

IMPORT_ALL = """
import importlib, pkgutil
import orders_sync
for module in pkgutil.walk_packages(orders_sync.__path__, "orders_sync."):
    if not module.name.startswith(("orders_sync.database.alembic", "orders_sync.cli.__main__")):
        importlib.import_module(module.name)
"""
LOAD_DEFINITIONS = """
from orders_sync.definitions import defs
repository = defs().get_repository_def()
repository.load_all_definitions()
print(*(job.name for job in repository.get_all_jobs()))
print(*(check.to_user_string() for check in repository.asset_graph.asset_check_keys))
"""


def deleted() -> list[str]:
    """The paths of the package that the page says to delete."""
    page = (PROJECT_ROOT / "docs" / "architecture.md").read_text()
    row = re.search(r"^\| the package \|(.*)\|$", page, re.MULTILINE)
    assert row
    return re.findall(r"`(orders_sync/[^`]+)`", row[1])


@pytest.fixture(scope="module")
def without_cutover(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project after the deletion, as the page describes it."""
    project = copy_project(tmp_path_factory.mktemp("without_cutover"))
    for name in deleted():
        path = project / name
        assert path.exists(), name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    settings = project / "pyproject.toml"
    kept = [line for line in settings.read_text().splitlines() if "cutover" not in line and "sandbox.v1" not in line]
    settings.write_text("\n".join(kept) + "\n")
    return project


def run(project: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=project, env=environment(PYTHONPATH=str(project)), capture_output=True, text=True,
        timeout=limit(120), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_module_that_stays_can_be_imported(without_cutover: Path) -> None:
    run(without_cutover, sys.executable, "-c", IMPORT_ALL)


def test_no_import_that_runs_later_names_a_deleted_module(without_cutover: Path) -> None:
    """Imports within functions, which the import of a module does not show."""
    modules = tuple(name.removesuffix("/").removesuffix(".py").replace("/", ".") for name in deleted())
    left = [
        f"{file.relative_to(without_cutover)}: {name}"
        for file in (without_cutover / "orders_sync").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node)
        if any(f"{name}.".startswith(f"{module}.") for module in modules)
    ]
    assert left == []


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def test_the_command_line_works(without_cutover: Path) -> None:
    shown = run(without_cutover, sys.executable, "-m", "orders_sync.cli", "--help")
    assert "doctor" in shown
    assert "cutover" not in shown


def test_the_definitions_load(without_cutover: Path) -> None:
    jobs, checks = run(without_cutover, sys.executable, "-c", LOAD_DEFINITIONS).splitlines()[-2:]
    assert {"sync_new_orders", "apply_order_events", "check_orders", "daily_reports"} <= set(jobs.split())
    assert not {"compare_v1_and_v2", "refresh_new"} & set(jobs.split())
    assert "every_item_has_its_order" in checks
    assert "v1_stays_off" not in checks


def test_the_contracts_of_the_layers_hold(without_cutover: Path) -> None:
    assert "0 broken" in run(without_cutover, program("lint-imports"))
