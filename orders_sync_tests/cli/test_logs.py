"""The logs in the state folder: times in UTC, one line for each record, no noise of Dagster's."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orders_sync.cli.output import log_to_stderr
from orders_sync.config.environment import sync_log_file
from orders_sync.testing.marketplace import Marketplace
from orders_sync.testing.waiting import limit
from orders_sync_tests.cli.command_line import run

UTC_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z "
REPOSITORY = Path(__file__).resolve().parent.parent.parent


def test_the_sync_log_has_times_in_utc_wherever_the_machine_is(
    shop: Marketplace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path_factory.mktemp("state")))
    run("sync", "--type", "new")
    lines = sync_log_file().read_text().splitlines()
    assert lines
    assert all(re.match(rf"{UTC_TIME}INFO OrderSync shop/new: ", line) for line in lines)


def test_a_process_that_logs_to_standard_error_does_so_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers.clear()
    try:
        log_to_stderr()
        root.warning("no tick\nwas evaluated")
    finally:
        root.handlers[:] = before
    assert re.fullmatch(rf"{UTC_TIME}WARNING no tick\^Jwas evaluated\n", capsys.readouterr().err)


def test_the_definitions_load_without_warnings_about_beta_functions(tmp_path: Path) -> None:
    """Each load, run and tick would write dozens of them into the logs."""
    code = "import orders_sync.definitions as module; module.defs()"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, timeout=limit(60), check=False,
        env={**os.environ, "ORDERS_SYNC_STATE": str(tmp_path)}, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "BetaWarning" not in done.stderr
    assert "PreviewWarning" not in done.stderr
