"""A process that `orders-sync up` starts, watches, and stops together with everything that it started itself."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import httpx

from orders_sync.cli.output import console
from orders_sync.config.environment import PROJECT_ROOT, state_folder
from orders_sync.model.errors import UserFacingError

STOP_SECONDS = 30.0
"""How long a process may take to end after SIGINT, before it is killed."""
KILL_SECONDS = 5.0
"""How long the rest of its session may take to end after SIGTERM, before it is killed."""
START_SECONDS = 120.0
"""How long a process may take until it answers."""


class ProcessDiedError(UserFacingError):
    """A process ended by itself, or never answered."""


class ManagedProcess:
    """A process in its own session, so that everything it starts can be stopped with it.

    Its output goes to the file `log`, in the folder `logs` of the state folder.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.log = state_folder() / "logs" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def check_alive(self) -> None:
        """Raises ProcessDiedError with the exit code and the last lines of the log when the process has ended."""
        if self._process.poll() is not None:
            last = " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            raise ProcessDiedError(
                f"{self.name} ended with exit code {self._process.returncode}: {last} (see {self.log})"
            )

    def wait_until_it_answers(self, url: str, seconds: float = START_SECONDS) -> None:
        """Waits until a GET of `url` succeeds. Raises ProcessDiedError when the process ends or is too slow."""

        def answers() -> bool:
            self.check_alive()
            try:
                return httpx.get(url, timeout=2, trust_env=False).is_success
            except httpx.TransportError:
                return False

        if not _wait(answers, seconds):
            raise ProcessDiedError(f"{self.name} does not answer on {url} after {seconds:.0f} s (see {self.log})")

    def stop(self) -> None:
        """Stops the process (SIGINT), then the rest of its session (SIGTERM, SIGKILL)."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                console.print(f"{self.name} does not end; killing it.", markup=False)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self._signal_session(sign):
                break
            _wait(lambda: not self._signal_session(0), KILL_SECONDS)

    def _signal_session(self, sign: int) -> bool:
        """Sends a signal to all processes of the session; False when there are none. Signal 0 only looks for them."""
        try:
            os.killpg(self._process.pid, sign)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until the condition is true; False when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
