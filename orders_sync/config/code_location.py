"""What the code server of this machine has loaded, and of which settings: it notes that in the state folder.

The definitions are those of the moment in which they were loaded. A schedule that was changed since, or an account that
was added, waits for a reload, and nothing else says so.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil

from orders_sync.config.account_files import FILE_NAME, account_entries
from orders_sync.config.environment import accounts_folder, schedules_file, state_folder, v1_file
from orders_sync.config.private_files import private_file

_CODE_SERVER = ("grpc", "code-server")
"""The commands of Dagster that serve definitions; others load them, too, e.g. for one run."""


def is_code_server() -> bool:
    """Whether this process serves definitions to Dagster. A run that the code server started has its arguments, too."""
    is_run = multiprocessing.parent_process() is not None
    return not is_run and any(argument in _CODE_SERVER for argument in sys.argv[1:])


_loaded_accounts: frozenset[str] | None = None
"""The accounts whose lanes a run can be requested of; None: this process serves no definitions."""


def note_loaded_accounts(names: Iterable[str]) -> None:
    """Notes the accounts that can be used as this process has loaded them, if it is a code server."""
    global _loaded_accounts
    if is_code_server():
        _loaded_accounts = frozenset(names)


def waits_for_reload(account: str) -> bool:
    """Whether an account's file can be used only since the definitions were loaded, so that it has no assets yet.

    A request of one such lane would make Dagster refuse those of all lanes.
    """
    return _loaded_accounts is not None and account not in _loaded_accounts


class CodeLocation(NamedTuple):
    """What a code server has loaded."""

    loaded_at: datetime
    left_out: Mapping[str, str]
    """Each part that could not be loaded, by its path, with the reason."""
    settings: Mapping[str, str]
    """The digest of each file of settings, by its path."""
    automation: frozenset[str]
    """The names of its schedules and sensors. Dagster keeps the states of those that are gone."""
    is_served: bool
    """Whether the code server runs."""


def note_code_location(left_out: Mapping[Path, str], automation: Iterable[str]) -> None:
    """Notes what this process has loaded, if it is a code server. `automation`: names of its schedules and sensors."""
    if not is_code_server():
        return
    document = {
        "pid": os.getpid(),
        "started_at": psutil.Process().create_time(),
        "loaded_at": datetime.now(UTC).isoformat(),
        "left_out": {str(path): reason for path, reason in left_out.items()},
        "settings": _digests(),
        "automation": sorted(automation),
    }
    with suppress(OSError):  # a disk that is full must not keep the definitions from being loaded
        new = _file().with_suffix(".new")
        with open(new, "w", opener=private_file) as file:
            file.truncate()
            json.dump(document, file)
        new.replace(_file())


def present_code_location() -> CodeLocation | None:
    """What the code server that runs on this machine has loaded; None if none runs."""
    location = last_code_location()
    return location if location is not None and location.is_served else None


def last_code_location() -> CodeLocation | None:
    """What the last code server of this machine had loaded, even if it has ended; None if there was none."""
    try:
        noted = json.loads(_file().read_text())
        loaded_at, automation = datetime.fromisoformat(noted["loaded_at"]), frozenset(noted["automation"])
        is_served = _runs(noted["pid"], noted["started_at"])
        return CodeLocation(loaded_at, noted["left_out"], noted["settings"], automation, is_served)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_loaded(name: str) -> bool:
    """Whether the code server has a schedule or sensor of this name; True if none runs on this machine."""
    location = present_code_location()
    return location is None or name in location.automation


def changed_settings(location: CodeLocation) -> list[str]:
    """The files of settings that were changed, added or removed since the code server has loaded them."""
    present = _digests()
    paths = present.keys() | location.settings.keys()
    return sorted(path for path in paths if present.get(path) != location.settings.get(path))


def _runs(pid: int, started_at: float) -> bool:
    """Whether the process runs that had this number since then (epoch seconds)."""
    try:
        return psutil.Process(pid).create_time() == started_at
    except psutil.Error:
        return False


def _digests() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _files_of_settings():
        with suppress(OSError):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _files_of_settings() -> Iterator[Path]:
    yield schedules_file()
    yield v1_file()
    for entry in account_entries(accounts_folder()):
        yield entry / FILE_NAME if entry.is_dir() else entry


def _file() -> Path:
    return state_folder() / "code_location.json"
