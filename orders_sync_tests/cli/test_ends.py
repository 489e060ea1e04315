"""Whatever a user can cause ends a command with one line on standard error and its exit code, and no traceback."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from orders_sync.cli.output import EXIT_BUSY, EXIT_CODES, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_READER, EXIT_USAGE
from orders_sync.database.engine import Connection, database_url
from orders_sync.lanes.lock import hold
from orders_sync.model.lane import Lane, SyncType
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import add_account, run

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ORDERS_SYNC = [sys.executable, "-m", "orders_sync.cli"]


def process(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    """Runs `orders-sync` as a process of its own."""
    given = {"capture_output": True, "text": True, "timeout": limit(60), "check": False, "cwd": REPOSITORY, **options}
    return subprocess.run([*ORDERS_SYNC, *arguments], **given)  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_the_exit_codes_are_in_the_help_and_in_the_documentation() -> None:
    shown = " ".join(run("--help").output.split())
    documented = (REPOSITORY / "docs" / "operation.md").read_text()
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in shown
        assert re.search(rf"^\| {code} \| ", documented, flags=re.MULTILINE), code


def test_a_port_that_there_is_not_is_wrong_usage() -> None:
    result = run("up", "--port", "70000")
    assert (result.exit_code, result.stdout) == (EXIT_USAGE, "")
    assert "70000 is not in the range 1<=x<=65535" in result.stderr


@pytest.mark.parametrize("command", [("status",), ("up",), ("log",), ("doctor",)], ids=" ".join)
def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "state"
    file.touch()
    environment = {name: value for name, value in os.environ.items() if name != "ORDERS_DATABASE_URL"}
    done = process(*command, env={**environment, "ORDERS_SYNC_STATE": str(file)})
    assert done.returncode == EXIT_FAILED
    assert "Traceback" not in done.stderr
    assert f"{file} can't be made" in (done.stdout + done.stderr).replace("\n", "")


def test_a_state_folder_that_can_not_be_written_is_named() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORDERS_DATABASE_URL"}
    done = process("status", env={**environment, "ORDERS_SYNC_STATE": "/proc/nowhere"})
    assert (done.returncode, done.stdout) == (EXIT_FAILED, "")
    assert done.stderr == "Error: /proc/nowhere: No such file or directory.\n"


def test_a_database_without_tables_has_no_rejected_record(shop: Marketplace) -> None:
    result = run("rejected", "show", "shop", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (
        EXIT_FAILED, "", "Error: Account shop has no rejected record 1.\n",
    )  # fmt: skip


def test_a_busy_lane_is_one_line(shop: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orders_sync.passes.hold_lane.hold_lane.__kwdefaults__", {"wait_seconds": 0.1})
    an_order(shop, 1, orderlines=[])
    run("sync", "--type", "new")
    with hold(Lane("shop", SyncType.NEW), "another"):
        result = run("rejected", "retry")
    assert (result.exit_code, result.stdout) == (EXIT_BUSY, "")
    assert "Lane shop/new is busy: " in result.stderr


def test_a_role_that_may_only_read_is_told_what_it_lacks(
    shop: Marketplace, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"reader_{os.getpid()}"
    an_order(shop, 1, orderlines=[])
    run("sync", "--type", "new")
    named = Identifier(role)
    connection.execute(SQL("CREATE ROLE {}").format(named))
    connection.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(named))
    try:
        # As that role, on the same session settings: the embedded server lets its own user in only.
        monkeypatch.setenv("ORDERS_DATABASE_URL", f"{database_url()}&options=-c%20role%3D{role}")
        for command in (
            ("sync", "--type", "new"), ("rejected", "show", "shop", "1"), ("rejected", "retry"), ("stock", "apply"),
            ("stock", "adjust", "--reason", "found", "PHONE", "1"), ("accounts", "pause", "shop", "--reason", "a break"),
        ):  # fmt: skip
            result = run(*command)
            assert isinstance(result.exception, SystemExit), (command, result.exception)
            assert result.exit_code == EXIT_FAILED, command
            assert "The user of the orders database lacks a right" in " ".join(result.stderr.split()), (
                command,
                result.stderr,
            )
    finally:
        connection.execute(SQL("DROP OWNED BY {}").format(named))
        connection.execute(SQL("DROP ROLE {}").format(named))


def test_a_reader_that_goes_is_no_error(database_url: str) -> None:
    """As `orders-sync … | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = process("status", "--json", stdout=writer, capture_output=False, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_NO_READER, "")
    reader, writer = os.pipe()
    os.close(reader)
    done = process("schedule", "list", stdout=writer, capture_output=False, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_NO_READER, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("schedule", "list")], ids=" ".join)
def test_a_full_disk_under_the_output_is_one_line(database_url: str, command: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = process(*command, stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (EXIT_FAILED, "Error: No space left on device.\n")


def test_a_full_disk_under_the_log_stops_no_sync(
    shop: Marketplace, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No file can get larger, as on a full disk; the database is another server's."""
    project = tmp_path_factory.mktemp("project")
    run("init", str(project))
    add_account(project / "defs" / "accounts", shop, "shop")
    an_order(shop, 1)
    state = tmp_path_factory.mktemp("state")
    environment = {**os.environ, "ORDERS_SYNC_STATE": str(state), "ORDERS_SYNC_PROJECT": str(project)}
    process("log", env=environment)  # makes the empty log
    done = process(
        "sync", "--type", "new", env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("sync.log can't be written: File too large.") == 1
    assert "Traceback" not in done.stderr
    assert "shop/new" in done.stdout


def test_an_interrupt_is_one_line(shop: Marketplace, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = tmp_path_factory.mktemp("project")
    run("init", str(project))
    add_account(project / "defs" / "accounts", shop, "shop")
    shop.fault("delay", seconds=30, times=0)
    running = subprocess.Popen(
        [*ORDERS_SYNC, "sync", "--type", "new"], env={**os.environ, "ORDERS_SYNC_PROJECT": str(project)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    deadline = time.monotonic() + limit(30)
    with psycopg.connect(os.environ["ORDERS_DATABASE_URL"], autocommit=True) as connection:
        while not connection.execute("SELECT FROM lane_runs").rowcount and time.monotonic() < deadline:
            time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=limit(30))
    assert (running.returncode, stderr.splitlines()[-1]) == (EXIT_INTERRUPTED, "Interrupted.")
    assert "Traceback" not in stderr


def test_dagsters_database_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://me:secret@127.0.0.1:1/dagster")
    done = process("watch", "--once", env=dict(os.environ))
    assert done.returncode == EXIT_FAILED
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        'Error: Dagster\'s database: connection to server at "127.0.0.1", port 1 failed'
    )


def test_a_text_that_is_no_utf_8_is_one_line(shop: Marketplace) -> None:
    result = run("changes", "shop", "\udcff")
    assert (result.exit_code, result.stderr) == (EXIT_FAILED, "Error: a text has characters that are no UTF-8.\n")


def test_errors_and_warnings_are_not_part_of_the_output(shop: Marketplace, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "defs.yaml").write_text("type: orders_sync.components.account.Account\nattributes: {}\n")
    for command in (("status", "--json"), ("accounts", "list", "--json"), ("sync", "--type", "new", "--json")):
        result = run(*command)
        assert result.stdout.startswith(("[", "{"))
        assert "marketplace: is missing" in result.stderr.replace("\n", "")
    shop.fault("status", status=401, times=0)
    result = run("sync", "--type", "new")
    assert ("credential is wrong" in result.stderr, "credential" in result.stdout) == (True, False)
