"""A process that `orders-sync up` starts, watches, and stops together with everything that it started itself."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from orders_sync.cli.left_processes import LeftProcess, forget_process, note_process
from orders_sync.cli.output import console
from orders_sync.config.environment import project_folder, state_folder
from orders_sync.config.private_files import private_folder
from orders_sync.model.errors import UserFacingError
from orders_sync.model.processes import lives

log = logging.getLogger("orders_sync.up")

STOP_SECONDS = 30.0
"""How long a process may take to end after SIGINT, before it is killed; unless it says otherwise."""
KILL_SECONDS = 5.0
"""How long the rest of its session may take to end after SIGTERM, before it is killed."""
MAX_ENDS = 5
"""A process that ends so often in a row is not started again."""
PAUSE_SECONDS = 1.0
"""How long it takes until a process that has ended is started again; twice as long each time in a row."""
RETRY_SECONDS = 10.0
"""After so long, a start that the operating system refused is tried again."""
IDLE_SECONDS = 10.0
"""A process that needs its child, and has had none for so long, is killed."""
STEADY_SECONDS = 60.0
"""After living so long, an end does not count as one in a row with those before."""


class ProcessDiedError(UserFacingError):
    """A process ended by itself, again and again."""


class ManagedProcess:
    """A process in its own session, so that everything it starts can be stopped with it.

    Its output goes to the file `log`, in the folder `logs` of the state folder. It is on record there while it should
    run, so that the next `up` finds it when this one is killed.
    """

    def __init__(
        self, name: str, command: list[str], *, stop_seconds: float = STOP_SECONDS, needs_child: bool = False
    ) -> None:
        """Starts the process.

        `stop_seconds`: how long it may take to end by itself, with what it started. `needs_child`: it works only while
        a process that it started lives.
        """
        self.name = name
        self._needs_child = needs_child
        self._idle_since: float | None = None
        self._stop_seconds = stop_seconds
        self.log = private_folder(state_folder() / "logs") / f"{name}.log"
        self.log.touch(mode=0o600)
        self._command = command
        self._sessions: list[int] = []
        self._child: psutil.Process | None = None
        """The child that lived at the last look."""
        self._ends = 0
        self._start_again_at: float | None = None
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self._command,
                cwd=project_folder(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                umask=0o077,  # Dagster makes the socket of its code server by it, and its calls need no login
            )
        self._sessions.append(process.pid)
        self._note(process.pid)
        self.started_at = time.monotonic()
        """By `time.monotonic`, when it was started last."""
        self._start_again_at = None
        self._child = None
        return process

    def keep_running(self) -> str | None:
        """Starts the process again if it has ended, each time after a longer pause. Returns what there is to report.

        Raises ProcessDiedError when it has ended MAX_ENDS times in a row. What it started goes on, for example runs.
        """
        now = time.monotonic()
        self._kill_if_idle(now)
        if self.is_alive():
            if now - self.started_at > STEADY_SECONDS:
                self._ends = 0
        elif self._start_again_at is None:
            self._ends += 1
            if self._ends == MAX_ENDS:
                self.check_alive()
            pause = PAUSE_SECONDS * 2 ** (self._ends - 1)
            self._start_again_at = now + pause
            return f"{self.name} ended with exit code {self._process.returncode}; it is started again in {pause:.0f} s"
        elif now >= self._start_again_at:
            try:
                self._process = self._start()
            except OSError as error:  # no memory or no process is left, or the disk is full
                self._start_again_at = now + RETRY_SECONDS
                return f"{self.name} can't be started: {error.strerror}; it is tried again in {RETRY_SECONDS:.0f} s"
        return None

    def excuse_ends(self) -> None:
        """Does not count how often it has ended until now: what it needs was away."""
        self._ends = 0

    def _note(self, pid: int) -> None:
        """Puts the process on record; without a record it works as well."""
        try:
            note_process(LeftProcess(self.name, pid, self._command, ends_by_itself=bool(self._stop_seconds)))
        except OSError as error:
            log.error(
                "%s (process %s) can't be put on record: %s. If this `up` is killed, end that process before the next "
                "start.", self.name, pid, error.strerror,
            )  # fmt: skip

    def _kill_if_idle(self, now: float) -> None:
        if not self._needs_child or not self.is_alive() or self._has_child():
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= IDLE_SECONDS:
            self.kill()

    def _has_child(self) -> bool:
        """Whether a child of the process lives. To find one, all processes of the machine are read."""
        if self._child is not None and lives(self._child):
            return True
        self._child = next(filter(lives, _children(self._process.pid)), None)
        return self._child is not None

    def kill(self) -> None:
        """Ends the process, with the child that it needs; `keep_running` starts it again. All other processes go on."""
        children = _children(self._process.pid) if self._needs_child else []
        self._process.kill()
        self._process.wait()
        for child in children:  # frozen, it would not notice that it is alone
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def check_alive(self) -> None:
        """Raises ProcessDiedError with the exit code and the last lines of the log when the process has ended."""
        if not self.is_alive():
            last = " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            raise ProcessDiedError(
                f"{self.name} ended with exit code {self._process.returncode}: {last} (see {self.log})"
            )

    def stop(self) -> None:
        """Stops the process (SIGINT), then the rest of its sessions (SIGTERM, SIGKILL)."""
        if self.is_alive() and self._stop_seconds:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                console.print(f"{self.name} does not end; killing it.", markup=False)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self._signal_sessions(sign):
                break
            _wait(lambda: not self.is_alive() and not self._signal_sessions(0), KILL_SECONDS)
        forget_process(self.name)

    def _signal_sessions(self, sign: int) -> bool:
        """Sends a signal to all processes of the sessions; False when there are none. Signal 0 only looks for them."""
        self._sessions = [session for session in self._sessions if _signal_session(session, sign)]
        return bool(self._sessions)


def _signal_session(session: int, sign: int) -> bool:
    try:
        os.killpg(session, sign)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until the condition is true; False when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
