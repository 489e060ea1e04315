"""A project of the user's own beside an installed package: `init` writes it, and the commands and Dagster find it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.deployment import copy_project, edit_yaml, environment, free_port
from orders_sync.testing.waiting import limit

LOAD = """
import orders_sync
from orders_sync.definitions import defs
print(orders_sync.__file__)
print(*sorted({key.path[0] for key in defs().resolve_all_asset_keys()}))
"""
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as its wheel installs it, and nothing else of the checkout."""
    source = copy_project(tmp_path_factory.mktemp("source"))
    for name in ("setup.py", "README.md", "LICENSE", "MANIFEST.in", "orders_sync/defs/alerts/defs.yaml"):
        shutil.copy(PROJECT_ROOT / name, source / name)
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    return site


@pytest.fixture
def command(site: Path, tmp_path: Path) -> Command:
    """Runs a command of the installed package; `cwd`: where, by default a folder without a project."""

    def run(*arguments: str, cwd: Path = tmp_path, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "orders_sync.cli", *arguments],
            cwd=cwd, env=environment(PYTHONPATH=str(site), **variables), capture_output=True, text=True,
            timeout=limit(300), check=False,
        )  # fmt: skip

    return run


def test_a_project_is_written_and_found(command: Command, tmp_path: Path) -> None:
    nowhere = command("accounts", "list")
    assert (nowhere.returncode, "There is no project here. Write one with" in nowhere.stderr) == (1, True)
    project = tmp_path / "my project"
    written = command("init", str(project))
    assert written.returncode == 0, written.stderr
    assert "orders-sync accounts add NAME" in written.stdout
    assert sorted(str(file.relative_to(project)) for file in project.rglob("*") if file.is_file()) == [
        ".gitignore", "dagster.yaml", "defs/alerts/defs.yaml", "defs/cutover/v1.yaml", "defs/sync/defs.yaml",
        "workspace.yaml",
    ]  # fmt: skip
    added = command("accounts", "add", "shop", "--marketplace", "back_market", cwd=project)
    assert f"Wrote {project}/defs/accounts/shop/defs.yaml" in added.stdout.replace("\n", "")
    for found in (
        command("accounts", "list", cwd=project / "defs" / "accounts"),
        command("accounts", "list", ORDERS_SYNC_PROJECT=str(project)),
    ):
        assert (found.returncode, "SHOP_TOKEN" in found.stdout) == (0, True)
    elsewhere = command("accounts", "list", ORDERS_SYNC_PROJECT=str(tmp_path))
    assert (elsewhere.returncode, "there is no project: it has no workspace.yaml" in elsewhere.stderr) == (1, True)


def test_nothing_of_a_project_is_overwritten(command: Command, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("mine")
    refused = command("init", ".")
    assert refused.returncode == 1
    assert "has dagster.yaml already. Nothing was changed." in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["dagster.yaml"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("my-shop", "--marketplace", "mirakl"), "Rename it, e.g. to my_shop."),
        (("../shop", "--marketplace", "mirakl"), "is not read there: accounts are in"),
        (("shop", "--marketplace", "mirakel"), "There is no marketplace 'mirakel' (did you mean mirakl?); allowed are"),
        (("back_market_sandbox", "--marketplace", "mirakl"), "there is such an account already. Nothing was changed."),
    ],
)
def test_an_account_that_can_not_be_is_refused_and_leaves_nothing(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    command("init", ".", "--with-sandbox")
    before = sorted(tmp_path.rglob("*"))
    refused = command("accounts", "add", *arguments)
    assert (refused.returncode, problem in refused.stderr) == (1, True), refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_dagster_loads_the_accounts_of_the_project(command: Command, site: Path, tmp_path: Path) -> None:
    command("init", ".")
    command("accounts", "add", "shop", "--marketplace", "mirakl")
    edit_yaml(
        tmp_path / "defs/accounts/shop/defs.yaml", lambda file: file["attributes"].update(base_url="https://m.test")
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOAD],
        cwd=tmp_path, env=environment(PYTHONPATH=str(site)), capture_output=True, text=True, timeout=limit(120),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    code, groups = done.stdout.splitlines()
    assert code.startswith(str(site))
    assert "shop" in groups.split()
    assert "back_market_sandbox" not in groups
    assert not {"migration_phase", "v1_v2_comparison"}.intersection(groups.split()), "there is no V1"


@pytest.mark.daemon
@pytest.mark.xdist_group("deployment")
@pytest.mark.timeout(limit(400))
@pytest.mark.usefixtures("turn")
def test_all_of_it_runs(command: Command, tmp_path: Path) -> None:
    command("init", ".", "--with-sandbox")
    ui, sandbox = free_port(), free_port()
    for account in (tmp_path / "defs" / "accounts").glob("*/defs.yaml"):
        if account.parent.name == "mirakl_sandbox":
            edit_yaml(account, lambda file: file["attributes"].update(base_url=f"http://127.0.0.1:{sandbox}"))
        else:
            shutil.rmtree(account.parent)
    done = command("up", "--port", str(ui), "--sandbox-port", str(sandbox), "--until-synced")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mirakl_sandbox/modified: done" in done.stdout
    assert (tmp_path / ".state" / "logs" / "sync.log").exists()
