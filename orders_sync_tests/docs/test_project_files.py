"""The files at the top of the repository agree with each other."""

import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest
import yaml
from click.testing import CliRunner

from orders_sync.cli import main
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.database.engine import OLDEST_POSTGRESQL

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_has_one_source() -> None:
    assert version("orders-sync") == PROJECT["version"]
    assert PROJECT["version"] in CliRunner().invoke(main, ["--version"]).output
    newest = re.search(r"^## (\d+\.\d+\.\d+) - ", (PROJECT_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"]


def test_ci_covers_every_supported_python_and_postgresql() -> None:
    workflow = yaml.safe_load((PROJECT_ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    assert int(matrix["postgresql"][0]) == OLDEST_POSTGRESQL


def test_a_second_checkout_runs_on_ports_of_its_own() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "run", "PORT=3001", "SANDBOX_PORT=8766"], cwd=PROJECT_ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == ".venv/bin/orders-sync up --port 3001 --sandbox-port 8766"


def test_every_kind_of_change_has_a_row_with_its_files() -> None:
    text = (PROJECT_ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("<!-- ten changes -->")[2].partition("<!-- /ten changes -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| **")]
    assert len(rows) == 10
    for row in rows:
        _, _, write, test, _ = row.split("|")
        assert "`orders_sync/" in write, row
        assert "`orders_sync_tests/" in test, row


def test_the_locks_name_no_registry() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (PROJECT_ROOT / name).read_text()
        assert text.count("--hash=sha256:") > 100
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), name


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    text = (PROJECT_ROOT / "docs" / page).read_text()
    named = re.findall(r"`(?:orders_sync_tests/)?([a-z0-9_/]+/test_[a-z0-9_]+\.py)`", text)
    assert len(named) > 10
    assert [name for name in named if not (PROJECT_ROOT / "orders_sync_tests" / name).exists()] == []
