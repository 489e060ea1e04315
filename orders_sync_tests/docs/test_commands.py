"""Every command that the documentation shows works, and every target of make that it names exists."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.generate.site import sources
from orders_sync.cli import main
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.schedules import COMPONENT_TYPE as SCHEDULES_TYPE
from orders_sync.sandbox.document_files import pdf
from orders_sync.testing.deployment import accounts_of, copy_project, environment, schedules_of, write_account
from orders_sync.testing.marketplace import Marketplace, an_order

PAGES = {
    name: (PROJECT_ROOT / name).read_text()
    for name in sources()
    if name.endswith(".md") and name not in ("CHANGELOG.md", "docs/reference/command-line.md")
}
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(orders-sync [^`]+)`")
#: A run of these is checked elsewhere: they need a deployment with its daemon.
RUN_ELSEWHERE = {
    "docs/cutover.md": "orders_sync_tests/daemon/test_cutover.py",
    "orders-sync doctor": "orders_sync_tests/daemon/test_operation.py",
    "orders-sync db restore backups/today": "orders_sync_tests/cli/test_db.py",
    "orders-sync errors show 1": "orders_sync_tests/cli/test_errors.py",
    "orders-sync db roles": "orders_sync_tests/database/test_roles.py",
    "make run": "orders_sync_tests/cli/test_up.py",
}


def commands_in_blocks(page: str) -> list[str]:
    """The lines of a page's bash blocks."""
    return [line.strip() for block in BLOCK.findall(PAGES[page]) for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_orders_sync_exist_with_their_options(page: str) -> None:
    shown = [line for line in commands_in_blocks(page) if line.startswith("orders-sync ")] + INLINE.findall(PAGES[page])
    for line in shown:
        _parse(line)


def _parse(line: str) -> None:
    """Lets click find the command and read its options. A text such as `orders-sync cutover …` names a group."""
    arguments = [part for part in shlex.split(line)[1:] if part != "…"]
    command: click.Command = main
    context = click.Context(main, info_name="orders-sync", **main.context_settings)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, line
        assert name == found.name, f"{line}: `{name}` is an old name"
        context = click.Context(found, parent=context, info_name=name)
        command = found
    if not isinstance(command, click.Group) or command.invoke_without_command:
        command.make_parser(context).parse_args(arguments)
    else:
        assert not arguments or arguments[0] in ("--version", "--help"), line


def test_an_unknown_option_in_a_page_is_an_error() -> None:
    with pytest.raises(click.UsageError):
        _parse("orders-sync status --colour")
    with pytest.raises(click.UsageError):
        _parse("orders-sync nonsense")


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = re.findall(r"`make ([\w -]+?)(?: [A-Z]+=[^`]*)?`", PAGES[page])
    shown += [line.removeprefix("make ") for line in commands_in_blocks(page) if line.startswith("make ")]
    for target in (target for line in shown for target in line.split()):
        assert target in targets


def test_what_is_run_elsewhere_is_run_there() -> None:
    for command, path in RUN_ELSEWHERE.items():
        text = (PROJECT_ROOT / path).read_text()
        for word in command.split()[1:] if command.startswith("orders-sync") else []:
            assert f'"{word}"' in text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path, {})


@pytest.fixture
def shell(project: Path, marketplace: Marketplace, database_url: str) -> dict[str, str]:
    """The environment of a user in a checkout whose one account, my_shop, has one order: that of the pages, 4711."""
    marketplace.world.scripted_files["/static/label.pdf"] = pdf(["a label"])
    an_order(marketplace, 4711, _deliveries=[{"order": 4711, "shipmentId": 1, "labelUrl": "/static/label.pdf"}])
    write_account(
        accounts_of(project),
        "my_shop",
        {
            "marketplace": "back_market", "base_url": marketplace.url, "token": "BACK_MARKET_MY_SHOP",
            "limits": {"enforced": False}, "store_documents": True,
        },
    )  # fmt: skip
    return environment(
        PYTHONPATH=str(project),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        ORDERS_DATABASE_URL=database_url,
        BACK_MARKET_MY_SHOP="sandbox-token",
    )


@pytest.mark.parametrize("page", ["docs/operation.md", "docs/accounts.md", "docs/data.md"])
def test_the_commands_of_a_page_run(page: str, project: Path, shell: dict[str, str]) -> None:
    run = 0
    for line in commands_in_blocks(page):
        if line in RUN_ELSEWHERE or not line.startswith("orders-sync "):
            continue
        done = _run([sys.executable, "-m", "orders_sync.cli", *shlex.split(line)[1:]], project, shell)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        run += 1
    assert run >= 2


def test_the_scaffold_command_writes_an_account(project: Path, shell: dict[str, str]) -> None:
    lines = [line for line in commands_in_blocks("docs/accounts.md") if line.startswith("dg ")]
    assert len(lines) == 1
    file = project / "orders_sync" / "defs" / "accounts" / "my_shop" / "defs.yaml"
    file.unlink()
    file.parent.rmdir()
    done = _run(shlex.split(lines[0]), project, shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "marketplace: refurbed" in file.read_text()


def test_the_account_of_the_readme_is_usable(project: Path, shell: dict[str, str]) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert found
    (project / "orders_sync" / "defs" / "accounts" / "my_shop" / "defs.yaml").write_text(found[1])
    done = _run([sys.executable, "-m", "orders_sync.cli", "accounts", "list"], project, shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my_shop" in done.stdout


def test_the_cron_of_the_operation_page_is_usable(project: Path, shell: dict[str, str]) -> None:
    found = re.search(r"```yaml\n(  schedules:\n    new: .*?)\n```", PAGES["docs/operation.md"], re.DOTALL)
    assert found
    schedules_of(project).write_text(f"type: {SCHEDULES_TYPE}\nattributes:\n{found[1]}\n")
    done = _run([sys.executable, "-m", "orders_sync.cli", "schedule", "list"], project, shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 6-22 * * *" in done.stdout


def _run(command: list[str], project: Path, shell: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=project, env=shell, capture_output=True, text=True, timeout=120, check=False)
