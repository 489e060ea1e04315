"""A project without a V1: Dagster shows nothing of the cutover, and its commands say in one line what to do."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orders_sync.acts.by import By
from orders_sync.config import v1
from orders_sync.config.v1 import CutoverConfigError, NoV1Error, has_v1, load_cutover_settings
from orders_sync.cutover.phases import note_moves
from orders_sync.database.engine import Connection
from orders_sync.definitions import defs
from orders_sync.health.examinations import EXAMINATIONS, findings
from orders_sync.lanes.authority import Phase
from orders_sync.testing.deployment import copy_project, environment, v1_file_of
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import run

WITHOUT: Mapping[str, dict[str, Any] | None] = {
    "no file": None,
    "no marketplaces": {},
    "an empty mapping": {"marketplaces": {}},
}
"""What the file of V1's settings has where there is no V1; None: there is no file."""
Write = Callable[[dict[str, Any] | None], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the project's file of V1's settings; None removes it."""
    file = tmp_path / "v1.yaml"
    monkeypatch.setattr(v1, "v1_file", lambda: file)

    def written(document: dict[str, Any] | None) -> Path:
        file.unlink(missing_ok=True)
        if document is not None:
            file.write_text(yaml.safe_dump(document))
        return file

    return written


def names(loaded: dg.Definitions) -> set[str]:
    """The names of all definitions."""
    repository = loaded.get_repository_def()
    repository.load_all_definitions()
    graph = repository.asset_graph
    return {
        *(key.to_user_string() for key in graph.get_all_asset_keys()),
        *(key.to_user_string() for key in graph.asset_check_keys),
        *(job.name for job in repository.get_all_jobs()),
        *(schedule.name for schedule in repository.schedule_defs),
        *(sensor.name for sensor in repository.sensor_defs),
    }


@pytest.mark.parametrize("document", WITHOUT.values(), ids=WITHOUT)
def test_without_a_v1_dagster_shows_nothing_of_the_cutover(
    definitions: dg.Definitions, write: Write, document: dict[str, Any] | None
) -> None:
    write(document)
    scheduled = {"compare_v1_and_v2", "refresh_latest", "refresh_new", "refresh_orders"}
    schedules = {f"{job}_schedule" for job in scheduled}
    jobs = scheduled | {"cutover_begin", "cutover_advance", "cutover_back"}
    without, whole = names(defs()), names(definitions)
    left_out = {name for name in whole - without if ":" not in name}  # less the checks of its assets
    assert left_out == jobs | schedules | {"migration_phase", "back_market_sandbox/v1_v2_comparison"}
    assert without <= whole, "nothing stands in for it: nothing is wrong"


def test_a_file_with_a_mistake_may_be_that_of_a_v1(write: Write) -> None:
    write({"timezone": "Berlin"})
    assert has_v1()
    write(None).with_suffix(".yml").write_text("marketplaces: {back_market: back_market_sandbox}\n")
    assert has_v1()
    with pytest.raises(CutoverConfigError, match=r"v1\.yml: is not read: these settings are in v1\.yaml\. Rename it\."):
        load_cutover_settings()


@pytest.fixture
def shop_and_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with two accounts."""
    for name in ("shop", "store"):
        (tmp_path / "accounts" / name).mkdir(parents=True)
    monkeypatch.setattr(v1, "accounts_folder", lambda: tmp_path / "accounts")


@pytest.mark.usefixtures("shop_and_store")
def test_an_account_that_there_is_not_is_refused_with_what_was_meant(write: Write) -> None:
    file = write({"marketplaces": {"back_market": "shpo", 4: "store", "ebay": "of_another_project"}})
    with pytest.raises(CutoverConfigError) as problem:
        load_cutover_settings()
    assert not isinstance(problem.value, NoV1Error)
    assert str(problem.value).splitlines() == [
        f"{file}: marketplaces.back_market: there is no account shpo; did you mean shop? Without a V1, write "
        "`marketplaces: {}`.",
        f"{file}: marketplaces.ebay: there is no account of_another_project; allowed are shop, store. Without a V1, "
        "write `marketplaces: {}`.",
    ]
    assert has_v1()
    found = [finding.what for finding in findings(EXAMINATIONS["cutover"])]
    assert found == [str(problem.value).splitlines()[0]]


@pytest.mark.usefixtures("shop_and_store")
def test_the_file_as_it_comes_is_no_mistake_once_the_sandbox_is_deleted(write: Write) -> None:
    write({"marketplaces": {"back_market": "back_market_sandbox"}})
    assert not has_v1()
    write({"marketplaces": {"back_market": "back_market_sandbox", "refurbed": "store"}})
    assert has_v1()
    with pytest.raises(CutoverConfigError, match="there is no account back_market_sandbox"):
        load_cutover_settings()


def test_a_file_that_is_refused_hides_nothing_without_a_word(tmp_path: Path) -> None:
    """Those of its jobs stay that need no account, and what can't be loaded is an asset that says why."""
    project = copy_project(tmp_path)
    v1_file_of(project).write_text("marketplaces: {back_market: back_market_sandbx}\n")
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=project, env=environment(PYTHONPATH=str(project)),
        capture_output=True, text=True, timeout=limit(120), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs, unusable = done.stdout.splitlines()
    assert {"refresh_new", "cutover_back"} <= set(jobs.split())
    reason = " ".join(unusable.replace("\\n", " ").split())
    assert "there is no account back_market_sandbx; did you mean back_market_sandbox?" in reason


LOAD = """
from orders_sync.definitions import defs
repository = defs().get_repository_def()
repository.load_all_definitions()
print(*(job.name for job in repository.get_all_jobs()))
graph = repository.asset_graph
print(*(repr(graph.get(key).description) for key in graph.get_all_asset_keys() if key.path[0] == "unusable_settings"))
"""


COMMANDS = (
    ("status",), ("begin",), ("advance",), ("back", "--reason", "a test"), ("compare",), ("differences",),
    ("check",),
)  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_each_command_says_that_there_is_none_and_what_to_do(
    connection: Connection, write: Write, arguments: tuple[str, ...]
) -> None:
    file = write(None)
    result = run("cutover", *arguments)
    remedy = "Where there is one, name its marketplaces and their accounts there: see docs/cutover.md."
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: No V1 is configured: there is no {file}. {remedy}\n"
    write({"marketplaces": {}})
    assert run("cutover", *arguments).stderr == (
        f"Error: No V1 is configured: {file} names no account of this project under `marketplaces`. {remedy}\n"
    )
    assert connection.execute("SELECT FROM migration_moves").rowcount == 0


def test_the_doctor_finds_a_v1_that_has_the_authority_and_is_not_configured(
    connection: Connection, write: Write
) -> None:
    """Its file was deleted in the middle of the cutover: V2 waits for a V1 that nobody can compare it with."""
    write(None)
    assert list(EXAMINATIONS["cutover"]()) == []
    note_moves(connection, ["back_market_sandbox"], Phase.LIVE, Phase.PARALLEL, By("a test", "a test"))
    (found,) = EXAMINATIONS["cutover"]()
    assert found.about == "back_market_sandbox"
    assert found.what.startswith(
        "V1 has the authority (phase parallel), so V2 accepts no orderlines. No V1 is configured"
    )
    with pytest.raises(NoV1Error):
        load_cutover_settings()
