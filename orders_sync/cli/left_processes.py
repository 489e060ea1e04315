"""What a killed `orders-sync up` left running: its processes are on record in the state folder, and are ended first.

A killed process can't stop what it started. Its code server, daemon and web server go on, watched by nobody, and keep
their ports and the daemon's lock.
"""

import contextlib
import json
import signal
from pathlib import Path
from typing import NamedTuple

import psutil

from orders_sync.config.environment import state_folder
from orders_sync.config.private_files import private_folder

END_SECONDS = 10.0
"""How long the processes may take to end after SIGINT, before they are killed."""


class LeftProcess(NamedTuple):
    """A process that `up` started, as it is on record."""

    name: str
    pid: int
    command: list[str]
    """Its command line: the number may be another program's by now."""
    ends_by_itself: bool
    """Whether it is asked to end by SIGINT, before it is killed."""


def note_process(process: LeftProcess) -> None:
    """Puts a process on record; replaces the one of this name."""
    file = _file(process.name)
    private_folder(file.parent)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(process._asdict()))
    new.replace(file)


def forget_process(name: str) -> None:
    """Takes a process off the record, since it was stopped."""
    _file(name).unlink(missing_ok=True)


def end_left_processes() -> list[str]:
    """Ends the processes on record that still run, and returns a line for each. What they started goes on, e.g. runs.

    Call it only while no other `up` uses the state folder.
    """
    lines: list[str] = []
    found: list[tuple[LeftProcess, psutil.Process]] = []
    for left in _on_record():
        if (process := _running(left)) is None:
            forget_process(left.name)
            continue
        found.append((left, process))
        _send(process, signal.SIGINT if left.ends_by_itself else signal.SIGKILL)
    _, frozen = psutil.wait_procs([process for _, process in found], timeout=END_SECONDS)
    for process in frozen:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(frozen, timeout=END_SECONDS)
    for left, process in found:
        still = _running(left) is not None
        what = "could not be ended: end it" if still else "is ended; runs that were under way go on"
        lines.append(f"{left.name} of an `up` that was killed still ran (process {process.pid}), and {what}")
        if not still:
            forget_process(left.name)
    return lines


def _on_record() -> list[LeftProcess]:
    found: list[LeftProcess] = []
    for file in sorted(_folder().glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):  # not ours, or of another version
            found.append(LeftProcess(**json.loads(file.read_text())))
    return found


def _running(left: LeftProcess) -> psutil.Process | None:
    """The process, if it still runs."""
    try:
        process = psutil.Process(left.pid)
        is_it = process.cmdline() == left.command and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # it has ended, or belongs to another user and is not one of ours
        return None
    return process if is_it else None


def _send(process: psutil.Process, sign: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):  # it has just ended
        process.send_signal(sign)


def _file(name: str) -> Path:
    return _folder() / f"{name}.json"


def _folder() -> Path:
    return state_folder() / "processes"
