"""`orders-sync web` as a process: it starts, requires its login, and ends in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit, wait_for


def command(port: int, workspace: Path) -> list[str]:
    workspace.write_text("load_from: []\n")
    return [sys.executable, "-m", "orders_sync.cli", "web", "--port", str(port), "-w", str(workspace)]


@pytest.mark.usefixtures("database_url")
def test_it_serves_with_a_login_until_it_is_stopped(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery")
    password.chmod(0o600)
    port = free_port()
    environment = {**os.environ, "ORDERS_SYNC_UI_PASSWORD_FILE": str(password)}
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command(port, tmp_path / "workspace.yaml"), env=environment, stdout=output, stderr=output
        )
    try:

        def answer(path: str) -> int:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code
            except httpx.TransportError:
                return 0

        wait_for(lambda: answer("/operations/health") == 200, seconds=60, what="the web process")
        assert (answer("/server_info"), answer("/operations")) == (401, 401)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(limit(30)) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_with_a_password_that_others_can_read_it_does_not_start(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery")
    password.chmod(0o644)
    done = subprocess.run(
        command(free_port(), tmp_path / "workspace.yaml"), check=False, capture_output=True, text=True,
        env={**os.environ, "ORDERS_SYNC_UI_PASSWORD_FILE": str(password)}, timeout=limit(60),
    )  # fmt: skip
    assert (done.returncode, "which others can read" in done.stderr) == (1, True)
    assert "correct horse" not in done.stderr
