"""Folders and files that only their owner may open: databases, logs and saved state hold buyers' data.

What an older release left open is closed when it is used next.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from orders_sync.model.errors import UserFacingError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class OpenToOthersError(UserFacingError):
    """Other users may open a folder or file, and this process can't close it: which one, and what to do."""


class NoFolderError(UserFacingError):
    """A folder can't be made, since there is a file."""


def private_folder(folder: Path, *, passable: bool = False) -> Path:
    """Makes the folder when it is missing, and closes it to others; if it is ours, also the files directly in it.

    `passable`: others may pass through it to a path that they know, but not list it (mode 0711 instead of 0700).
    Raises OpenToOthersError when it is open and can't be closed, and NoFolderError when it can't be made.
    """
    allowed = 0o711 if passable else 0o700
    try:
        folder.mkdir(mode=allowed, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NoFolderError(f"{folder} can't be made: it, or what it is to be in, is a file. Choose another.") from None
    if _is_open(folder, allowed):
        _close(folder, allowed)
        if not passable and folder.stat().st_uid == os.geteuid():
            for entry in os.scandir(folder):
                if entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # it has just been removed
                        _close(Path(entry.path), 0o600)
    return folder


def check_maker(folder: Path) -> None:
    """Raises OpenToOthersError if another user may have made the folder for root to put its data into.

    Root may use the folder of another user, e.g. in that user's checkout; in a folder where everyone may make one, it
    may be a trap.
    """
    owner = folder.stat().st_uid
    if os.geteuid() == 0 and owner != 0 and folder.parent.stat().st_mode & stat.S_IWOTH:
        raise OpenToOthersError(
            f"{folder} belongs to another user (uid {owner}), and everyone may make folders in {folder.parent}. Remove "
            "it, or set ORDERS_SYNC_STATE to another folder. Nothing is started until then."
        )


def private_file(path: str | Path, flags: int = os.O_WRONLY | os.O_CREAT) -> int:
    """Opens a file that only its owner may open, and returns its descriptor: an `opener` for Python's `open`.

    Raises OpenToOthersError when it is open to others and can't be closed.
    """
    descriptor = os.open(path, flags, 0o600)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & _OTHERS:
            _close(Path(path), 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_open(path: Path, allowed: int) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS & ~allowed)


def _close(path: Path, allowed: int) -> None:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & allowed)
        is_open, why = _is_open(path, allowed), "its file system keeps no modes"
    except PermissionError:
        is_open, why = True, f"it belongs to another user (uid {path.stat().st_uid})"
    if is_open:
        mode = stat.S_IMODE(path.stat().st_mode)
        raise OpenToOthersError(
            f"Other users may open {path} (mode {mode:04o}), and it can't be closed to them: {why}. It holds buyers' "
            f"data; allowed is mode {allowed:04o}. Give it to the user that runs this (chown), or set "
            "ORDERS_SYNC_STATE to a folder of that user on another file system. Nothing is started until then."
        )
