"""What `make run` runs: everything starts, the first syncs run, everything stops, and a new start continues."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orders_sync.testing.deployment import SANDBOX_ACCOUNTS, accounts_of, copy_project, environment, free_port, program
from orders_sync.testing.waiting import limit, wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("deployment")]


TWO = {name: SANDBOX_ACCOUNTS[name] for name in ("back_market_sandbox", "refurbed_sandbox")}
"""Of the sandbox's accounts: each lane is a run, and takes the machine ten seconds."""


def _up(project: Path, ui_port: int, sandbox_port: int, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "orders_sync.cli", "up", "--port", str(ui_port), "--sandbox-port", str(sandbox_port), *more
    ]  # fmt: skip


def _left_behind(project: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if process.info["status"] != psutil.STATUS_ZOMBIE and (
            process.info["cwd"] == str(project) or str(project) in command
        ):
            found.append(command[:200])
    return found


@pytest.mark.timeout(limit(700))
@pytest.mark.usefixtures("turn")
def test_it_starts_syncs_stops_and_continues(tmp_path: Path) -> None:
    """In a folder with spaces in its path, on ports of its own: the sandbox's accounts follow to its port."""
    (tmp_path / "a folder of mine").mkdir()
    project = copy_project(tmp_path / "a folder of mine", TWO)
    ui, sandbox = free_port(), free_port()
    first = subprocess.run(
        _up(project, ui, sandbox, "--until-synced"), cwd=project, env=environment(), capture_output=True, text=True,
        timeout=limit(400), check=False,
    )  # fmt: skip
    assert first.returncode == 0, first.stdout + first.stderr
    for line in (
        f"the Dagster UI answers on http://127.0.0.1:{ui}",
        "back_market_sandbox/new: done",
        "refurbed_sandbox/care: done",
        "refurbed_sandbox/modified: done",
        "stock locks:",
    ):
        assert line in first.stdout
    assert _left_behind(project) == []
    output = tmp_path / "second.log"
    with output.open("w") as log:
        second = subprocess.Popen(
            _up(project, ui, sandbox),
            cwd=project,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "the Dagster UI answers" in output.read_text(), seconds=120, what="the second start")
        # What was synced is still there: no first load runs again.
        wait_for(lambda: "back_market_sandbox/new: done" in output.read_text(), seconds=30, what="the lanes' state")
        assert _left_behind(project) != []
        again = subprocess.run(
            _up(project, ui, sandbox), cwd=project, env=environment(), capture_output=True, text=True,
            timeout=limit(60), check=False,
        )  # fmt: skip
        assert again.returncode == 1
        assert "orders-sync up already runs on the state folder" in again.stderr.replace("\n", " ")
        assert f", UI on http://127.0.0.1:{ui}, process {second.pid}. Stop it first" in again.stderr
        log = (project / ".state" / "logs" / "code_server.log").read_text()
        assert ("BetaWarning" in log, "PreviewWarning" in log) == (False, False)
    finally:
        second.send_signal(signal.SIGINT)
        second.wait(limit(90))
    assert "Everything is stopped." in output.read_text()
    assert _left_behind(project) == []


def _child(parent: psutil.Process, *words: str) -> psutil.Process:
    """The process below another one whose command line has these words."""
    (found,) = (each for each in parent.children(recursive=True) if set(words) <= set(_command(each)))
    return found


def _command(process: psutil.Process) -> list[str]:
    """The command line of a process; empty if it has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.long
@pytest.mark.usefixtures("turn")
def test_what_dies_or_hangs_works_again(tmp_path: Path) -> None:
    """The embedded PostgreSQL killed, and a code server that hangs: the daemon's heartbeats would go on for ever."""
    project = copy_project(tmp_path)
    output = tmp_path / "up.log"
    with output.open("w") as log:
        running = subprocess.Popen(
            _up(project, free_port(), free_port(), "--no-sandbox"),
            cwd=project, env=environment(), stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    up = psutil.Process(running.pid)

    def is_evaluated(*options: str) -> bool:
        looked = subprocess.run(
            [sys.executable, "-m", "orders_sync.cli", "watch", "--once", *options],
            cwd=project, env=environment(), capture_output=True, timeout=limit(60), check=False,
        )  # fmt: skip
        return looked.returncode == 0

    def times(words: str) -> int:
        assert running.poll() is None, output.read_text()
        return output.read_text().count(words)

    try:
        wait_for(lambda: times("the Dagster UI answers"), seconds=120, what="the start")
        wait_for(is_evaluated, seconds=120, every=2, what="the first tick")
        time.sleep(15)  # `up` sees ticks go on: a start may take longer
        _child(up, "api", "grpc").suspend()
        wait_for(lambda: times("code server and daemon are replaced"), seconds=120, what="the watchdog")
        log = (project / ".state" / "logs" / "sync.log").read_text()
        assert " ERROR OrderSync orders-sync up: no tick of a schedule or sensor was evaluated since " in log
        assert not is_evaluated()
        wait_for(is_evaluated, seconds=180, every=2, what="a tick of the new code server")
        postmaster = project / ".state" / "postgres" / "postmaster.pid"
        psutil.Process(int(postmaster.read_text().split()[0])).kill()
        wait_for(lambda: times("the databases answer again"), seconds=60, what="the embedded PostgreSQL")
        time.sleep(20)  # a tick of before is too old then
        wait_for(lambda: is_evaluated("--seconds", "1"), seconds=180, every=2, what="a tick with the new server")
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(limit(90))
    print(output.read_text())  # the seconds, for whoever reads the report
    assert _left_behind(project) == []


@pytest.mark.long
@pytest.mark.timeout(limit(400))
@pytest.mark.usefixtures("turn")
def test_what_a_killed_up_left_running_is_ended_by_the_next_one(tmp_path: Path) -> None:
    """With the same port, which the web server of the killed one keeps."""
    project = copy_project(tmp_path)
    port = free_port()
    output = tmp_path / "up.log"

    def start() -> "subprocess.Popen[bytes]":
        with output.open("w") as log:
            return subprocess.Popen(
                _up(project, port, free_port(), "--no-sandbox"),
                cwd=project, env=environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    first = start()
    try:
        wait_for(lambda: "the Dagster UI answers" in output.read_text(), seconds=120, what="the first start")
        wait_for(lambda: len(_parts(first.pid)) == 3, seconds=30, what="the three parts")
        parts = _parts(first.pid)
    finally:
        first.kill()
        first.wait(limit(10))
    assert all(part.is_running() for part in parts)
    parts[1].suspend()  # a frozen one ends, too
    second = start()
    try:
        wait_for(lambda: "the Dagster UI answers" in output.read_text(), seconds=120, what="the second start")
        for name, part in zip(("code_server", "daemon", "web"), parts, strict=True):
            line = f"{name} of an `up` that was killed still ran (process {part.pid}), and is ended; runs"
            assert line in output.read_text()
            assert not part.is_running()
    finally:
        second.send_signal(signal.SIGINT)
        second.wait(limit(90))
    assert "Everything is stopped." in output.read_text()
    wait_for(lambda: _left_behind(project) == [], seconds=90, what="the end of the first code server's own process")
    assert list((project / ".state" / "processes").iterdir()) == []


@pytest.mark.long
@pytest.mark.timeout(limit(300))
@pytest.mark.usefixtures("turn")
def test_a_part_that_ends_again_and_again_is_an_error_in_the_log(tmp_path: Path) -> None:
    """Here the web server, whose file with the password is missing."""
    project = copy_project(tmp_path)
    done = subprocess.run(
        _up(project, free_port(), free_port(), "--no-sandbox"), cwd=project,
        env=environment(ORDERS_SYNC_UI_PASSWORD_FILE="missing"), capture_output=True, text=True,
        timeout=limit(200), check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "web ended with exit code 1; it is started again in 8 s" in done.stdout
    assert "Everything is stopped." in done.stdout
    log = (project / ".state" / "logs" / "sync.log").read_text()
    assert " ERROR OrderSync orders-sync up: web ended with exit code 1: " in log
    assert "ORDERS_SYNC_UI_PASSWORD_FILE names missing, which can't be read" in log
    assert _left_behind(project) == []


def _parts(up: int) -> list[psutil.Process]:
    """The processes that `up` started, in this order."""
    return [each for each in psutil.Process(up).children() if each.cmdline()[:1] == [sys.executable]]


def _dg(project: Path, *arguments: str) -> str:
    done = _run_dg(project, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run_dg(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("dg"), *arguments], cwd=project,
        env=environment(VIRTUAL_ENV=str(Path(sys.executable).parent.parent), PYTHONPATH=str(project)),
        capture_output=True, text=True, timeout=limit(120), check=False,
    )  # fmt: skip


def test_dg_scaffolds_an_account_and_checks_the_definitions(tmp_path: Path) -> None:
    """`dg` runs in a copy of the project, whose package it imports from there."""
    project = copy_project(tmp_path)
    component = "orders_sync.components.account.Account"
    _dg(project, "scaffold", "defs", component, "accounts/my_shop", "--marketplace", "refurbed")
    text = (project / "orders_sync" / "defs" / "accounts" / "my_shop" / "defs.yaml").read_text()
    assert "token: MY_SHOP_TOKEN" in text
    assert "# retention_days: " in text
    assert text.index("token: MY_SHOP_TOKEN") < text.index("# The rest has defaults")
    _dg(project, "check", "defs")


@pytest.mark.parametrize(
    ("path", "marketplace", "said"),
    [
        ("accounts/my-shop", "refurbed", "Rename it, e.g. to my_shop."),
        ("accounts/shop", "refurbd", "There is no marketplace 'refurbd' (did you mean refurbed?)"),
        ("shop", "refurbed", "write accounts/shop."),
    ],
)
def test_dg_refuses_an_account_that_there_can_not_be(tmp_path: Path, path: str, marketplace: str, said: str) -> None:
    project = copy_project(tmp_path)
    before = sorted(accounts_of(project).parent.rglob("*"))
    component = "orders_sync.components.account.Account"
    refused = _run_dg(project, "scaffold", "defs", component, path, "--marketplace", marketplace)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.replace("│", "").split())
    assert "Traceback" not in refused.stderr
    assert sorted(each for each in accounts_of(project).parent.rglob("*") if "__pycache__" not in str(each)) == before
