"""Log files that do not grow for ever: when one is full, it gets a number, and a new one begins."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from orders_sync.config.environment import log_bytes

OLD_FILES = 4
"""So many full files of a log are kept, the newest one as `NAME.1`."""


def begin_anew_if_full(log: Path) -> None:
    """Renames a log that is full. Its writers must look whether the name is still that of their file.

    Of several processes at once, one does it. Raises EnvironmentVariableError as `log_bytes`.
    """
    with _alone(log):
        if _is_full(log):
            _make_room(log)
            log.rename(old_file(log, 1))


def empty_if_full(log: Path) -> str | None:
    """Copies and empties a log that is full, whose writers keep it open (for appending). Returns what failed.

    What is written between the copy and its end is lost. If the copy fails, since the disk is full, the log is emptied
    without it. Raises EnvironmentVariableError as `log_bytes`.
    """
    if not _is_full(log):
        return None
    problem = None
    try:
        _make_room(log)
        shutil.copyfile(log, old_file(log, 1))
    except OSError as error:
        old_file(log, 1).unlink(missing_ok=True)
        problem = f"the full log {log} could not be kept, and is emptied: {error.strerror}"
    with contextlib.suppress(FileNotFoundError):
        os.truncate(log, 0)
    return problem


def old_file(log: Path, number: int) -> Path:
    """The place of a full file of a log; 1 is the newest."""
    return log.with_name(f"{log.name}.{number}")


def _is_full(log: Path) -> bool:
    full = log_bytes()
    try:
        return log.stat().st_size >= full
    except FileNotFoundError:
        return False


def _make_room(log: Path) -> None:
    """Gives each full file the next number; the oldest one goes."""
    for number in range(OLD_FILES - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            old_file(log, number).replace(old_file(log, number + 1))


@contextmanager
def _alone(log: Path) -> Generator[None]:
    with log.with_name(f"{log.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
