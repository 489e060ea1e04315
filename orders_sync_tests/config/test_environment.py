"""The environment variables: each has its meaning, and what an error says."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders_sync.config import environment
from orders_sync.config.environment import (
    ENVIRONMENT_VARIABLES,
    PROJECT_ROOT,
    dead_run_seconds,
    log_bytes,
    stalled_pass_seconds,
    state_folder,
)
from orders_sync.config.private_files import OpenToOthersError
from orders_sync.model.errors import UserFacingError


def test_the_seconds_until_a_run_is_dead_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SYNC_DEAD_RUN_SECONDS", raising=False)
    assert dead_run_seconds() == 90
    monkeypatch.setenv("ORDERS_SYNC_DEAD_RUN_SECONDS", "4.5")
    assert dead_run_seconds() == 4.5


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf"])
def test_other_values_are_reported_with_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_DEAD_RUN_SECONDS", value)
    with pytest.raises(UserFacingError) as problem:
        dead_run_seconds()
    assert str(problem.value) == f"ORDERS_SYNC_DEAD_RUN_SECONDS is '{value}'; allowed are seconds, e.g. 90"


def test_the_seconds_until_a_pass_is_stalled_can_be_set_to_what_a_healthy_pass_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stalled_pass_seconds() == 600
    monkeypatch.setenv("ORDERS_SYNC_STALLED_PASS_SECONDS", "30")
    assert stalled_pass_seconds() == 30
    monkeypatch.setenv("ORDERS_SYNC_STALLED_PASS_SECONDS", "5")
    with pytest.raises(UserFacingError, match=r"is '5'; allowed are seconds, at least 30, e\.g\. 600"):
        stalled_pass_seconds()


def test_the_size_of_the_logs_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_bytes() == 20_000_000
    monkeypatch.setenv("ORDERS_SYNC_LOG_MEGABYTES", "3")
    assert log_bytes() == 3_000_000
    monkeypatch.setenv("ORDERS_SYNC_LOG_MEGABYTES", "0.5")
    with pytest.raises(UserFacingError, match=r"is '0\.5'; allowed are 1 to 10000 MB, e\.g\. 20"):
        log_bytes()


NOT_OURS = {
    "DAGSTER_HOME",  # Dagster reads it; `orders-sync` sets it where it is not set
    "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS",  # Dagster's own
    "BEFORE",  # between the code server and the process that forks its workers (dagster_instance/forked_workers.py)
}


def test_every_variable_that_the_package_reads_has_its_meaning() -> None:
    names = {name for name in variables_read() if name not in NOT_OURS}
    assert names == set(ENVIRONMENT_VARIABLES)


def variables_read() -> Iterator[str]:
    """The names of variables in `os.environ.get(…)`, `os.environ[…]`, `os.getenv(…)` and `EnvVar(…)`.

    Left out are names that come from a YAML file: credentials, for example. No constant of config/environment.py has
    them.
    """
    for file in (PROJECT_ROOT / "orders_sync").rglob("*.py"):
        if "sandbox" in file.parts or "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                yield from named(node.slice)
            elif isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func)
                if called.startswith("os.environ.") or called.endswith(("getenv", "EnvVar")):
                    yield from named(node.args[0])


def named(argument: ast.expr) -> Iterator[str]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
    elif isinstance(argument, ast.Name) and isinstance(value := getattr(environment, argument.id, None), str):
        yield value
    elif isinstance(argument, ast.Name) and argument.id.isupper():
        yield argument.id  # a constant of another module: it belongs into config/environment.py


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
@pytest.mark.parametrize(("mode", "is_refused"), [(0o1777, True), (0o755, False)])
def test_root_uses_no_folder_that_another_user_may_have_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_refused: bool
) -> None:
    shared = tmp_path / "shared"
    (shared / "state").mkdir(parents=True, mode=0o700)
    shared.chmod(mode)
    os.chown(shared / "state", 65534, 65534)
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(shared / "state"))
    if is_refused:
        with pytest.raises(OpenToOthersError, match=r"belongs to another user \(uid 65534\), and everyone may make"):
            state_folder()
    else:
        assert state_folder() == shared / "state"
