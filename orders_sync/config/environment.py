"""The folders of the project and the names of its environment variables."""

import math
import os
import stat
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from orders_sync.config.private_files import check_maker, private_file, private_folder
from orders_sync.model.errors import UserFacingError

MAX_DAYS = 36_500
MAX_LOG_MEGABYTES = 10_000
PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
"""The folder that this code is in: that of a checkout, or `site-packages` of an installed package."""
WORKSPACE_FILE = "workspace.yaml"

PROJECT_FOLDER = "ORDERS_SYNC_PROJECT"
ORDERS_DATABASE_URL = "ORDERS_DATABASE_URL"
DAGSTER_POSTGRES_URL = "DAGSTER_POSTGRES_URL"
STATE_FOLDER = "ORDERS_SYNC_STATE"
DEAD_RUN_SECONDS = "ORDERS_SYNC_DEAD_RUN_SECONDS"
STALLED_PASS_SECONDS = "ORDERS_SYNC_STALLED_PASS_SECONDS"
KEEP_RUNS_DAYS = "ORDERS_SYNC_KEEP_RUNS_DAYS"
KEEP_EVENTS_DAYS = "ORDERS_SYNC_KEEP_EVENTS_DAYS"
LOG_MEGABYTES = "ORDERS_SYNC_LOG_MEGABYTES"
UI_HOSTS = "ORDERS_SYNC_UI_HOSTS"
UI_PASSWORD_FILE = "ORDERS_SYNC_UI_PASSWORD_FILE"
UI_READER_PASSWORD_FILE = "ORDERS_SYNC_UI_READER_PASSWORD_FILE"
UI_PROXY_PASSWORD_FILE = "ORDERS_SYNC_UI_PROXY_PASSWORD_FILE"
UI_EDITORS = "ORDERS_SYNC_UI_EDITORS"

ENVIRONMENT_VARIABLES: Mapping[str, str] = {
    PROJECT_FOLDER: (
        "The folder of your project, which `orders-sync init` has written. Not set: the current folder or one above "
        "it, if it is such a project; else the checkout."
    ),
    ORDERS_DATABASE_URL: "The orders database, e.g. `postgresql://user@host/orders`. Not set: the embedded server.",
    DAGSTER_POSTGRES_URL: (
        "Dagster's own storage, e.g. `postgresql://user@host/dagster`. Not set: the embedded server."
    ),
    STATE_FOLDER: (
        "The folder of the embedded server, the logs and the sandbox's saved state. Not set: `.state` in the project."
    ),
    DEAD_RUN_SECONDS: (
        "After how many seconds without a sign of life a started run counts as dead, and is failed. Not set: 90."
    ),
    STALLED_PASS_SECONDS: (
        "After how many seconds without progress a pass counts as stalled, and is ended, at least 30. Not set: 600."
    ),
    KEEP_RUNS_DAYS: (
        "How many days Dagster's runs are kept, with their events and output, and the history of passes. Not set: 90."
    ),
    KEEP_EVENTS_DAYS: (
        "How many days the events of an order are kept after the newest one of them; the first and the latest of each "
        "item stay. Not set: 730."
    ),
    LOG_MEGABYTES: (
        "How many megabytes a log in `.state/logs` may have; then it gets a number, and a new one begins. Four full "
        "files of each log are kept. Not set: 20."
    ),
    UI_HOSTS: (
        "Further hosts under which browsers may reach the web server, separated by commas, e.g. "
        "`orders.example.com`. Not set: `localhost` and the address of `--host`."
    ),
    UI_PASSWORD_FILE: (
        "A file with the password of the UI, which only its owner may read (mode 0600). Not set: there is no login."
    ),
    UI_READER_PASSWORD_FILE: (
        "A file with a second password of the UI, for people who may see everything and change nothing. Not set: there "
        "is none."
    ),
    UI_PROXY_PASSWORD_FILE: (
        "A file with the password of a proxy at which users log in, of at least 32 characters. The proxy sends it with "
        "the name of its user by HTTP basic authentication. Not set: there is no such proxy."
    ),
    UI_EDITORS: (
        "The users of that proxy who may change things, as it names them, separated by commas; all others only read. "
        "Not set: all may change things."
    ),
}
"""Each environment variable that the project reads, and its meaning; the documentation lists them from here.

The files of accounts and of V1 name further ones, for credentials.
"""


class EnvironmentVariableError(UserFacingError):
    """An environment variable can't be used: which one, what is wrong, what is allowed."""


class NoProjectError(UserFacingError):
    """There is no project: neither named, nor where the command runs, nor around the code."""


def project_folder() -> Path:
    """The folder of the user's project: its accounts and schedules, and Dagster's own files.

    `ORDERS_SYNC_PROJECT` names it. Not set: the current folder or the nearest above it that `orders-sync init` has
    written; else the checkout. Raises NoProjectError.
    """
    if named := os.environ.get(PROJECT_FOLDER):
        folder = Path(named).expanduser().resolve()
        if not (folder / WORKSPACE_FILE).is_file():
            raise NoProjectError(
                f"{PROJECT_FOLDER} is {folder}, and there is no project: it has no {WORKSPACE_FILE}. Write one with "
                f"`orders-sync init {folder}`."
            )
        return folder
    for folder in _present_folders():
        if (folder / WORKSPACE_FILE).is_file() and (folder / "defs" / "accounts").is_dir():
            return folder
    if (PROJECT_ROOT / WORKSPACE_FILE).is_file():
        return PROJECT_ROOT
    raise NoProjectError(
        "There is no project here. Write one with `orders-sync init DIR`, and change to that folder, or name it in "
        f"{PROJECT_FOLDER}."
    )


def _present_folders() -> tuple[Path, ...]:
    """The current folder and all above it; none if it was deleted."""
    try:
        return (Path.cwd(), *Path.cwd().parents)
    except FileNotFoundError:
        return ()


def defs_folder() -> Path:
    """The folder of the project's settings: of the accounts, the schedules and V1."""
    project = project_folder()
    return project / "orders_sync" / "defs" if project == PROJECT_ROOT else project / "defs"


def state_folder() -> Path:
    """The one folder for everything that is not code: databases, logs, the sandbox's state. Makes it when missing.

    `ORDERS_SYNC_STATE` names it; the default is `.state` in the project's folder, which git ignores. It is closed to
    other users. Raises OpenToOthersError when that can't be done, or when another user may have made it for us.
    """
    folder = Path(os.environ.get(STATE_FOLDER) or project_folder() / ".state").expanduser().resolve()
    if folder.is_dir():
        check_maker(folder)
        if _is_shared(folder):
            return folder  # it must stay open; what we put into it is closed
    # Root does not run the embedded server itself. The user that does passes through to its own folders; each folder
    # in here has mode 0700, so this opens nothing.
    return private_folder(folder, passable=os.geteuid() == 0)


def _is_shared(folder: Path) -> bool:
    """Whether the folder is also used for something else, such as /tmp, the project's folder or a home folder."""
    has_others = any(each.is_relative_to(folder) for each in (project_folder(), Path(os.path.expanduser("~"))))
    return has_others or bool(folder.stat().st_mode & stat.S_ISVTX)


def dead_run_seconds() -> float:
    """After how many seconds without a sign of life a started run counts as dead and is failed.

    `ORDERS_SYNC_DEAD_RUN_SECONDS` changes it; by default 90. Raises EnvironmentVariableError for anything but a number
    of at least 0.
    """
    return _seconds(DEAD_RUN_SECONDS, os.environ.get(DEAD_RUN_SECONDS), 90.0, at_least=0.0)


def stalled_pass_seconds() -> float:
    """After how many seconds without progress a pass counts as stalled and is ended.

    `ORDERS_SYNC_STALLED_PASS_SECONDS` changes it; by default 600. Raises EnvironmentVariableError for anything but a
    number of at least 30: a healthy pass may note no progress for some seconds.
    """
    return _seconds(STALLED_PASS_SECONDS, os.environ.get(STALLED_PASS_SECONDS), 600.0, at_least=30.0)


def keep_runs() -> timedelta:
    """How long Dagster's runs and the history of passes are kept.

    `ORDERS_SYNC_KEEP_RUNS_DAYS` changes it; by default 90 days. Raises EnvironmentVariableError for anything but a
    whole number of days, at least 1.
    """
    return _days(KEEP_RUNS_DAYS, os.environ.get(KEEP_RUNS_DAYS), 90)


def keep_events() -> timedelta:
    """How long the events of an order are kept after its newest one.

    `ORDERS_SYNC_KEEP_EVENTS_DAYS` changes it; by default 730 days. Raises EnvironmentVariableError as `keep_runs`.
    """
    return _days(KEEP_EVENTS_DAYS, os.environ.get(KEEP_EVENTS_DAYS), 730)


def log_bytes() -> int:
    """The size in bytes at which a log of the state folder is full.

    `ORDERS_SYNC_LOG_MEGABYTES` changes it; by default 20 MB. Raises EnvironmentVariableError for anything but a whole
    number of megabytes, at least 1.
    """
    return 1_000_000 * _whole(LOG_MEGABYTES, os.environ.get(LOG_MEGABYTES), 20, MAX_LOG_MEGABYTES, "MB")


def _days(variable: str, value: str | None, default: int) -> timedelta:
    return timedelta(days=_whole(variable, value, default, MAX_DAYS, "days"))


def _whole(variable: str, value: str | None, default: int, at_most: int, unit: str) -> int:
    text = value or str(default)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= at_most):
        raise EnvironmentVariableError(f"{variable} is {text!r}; allowed are 1 to {at_most} {unit}, e.g. {default}")
    return int(text)


def _seconds(variable: str, value: str | None, default: float, *, at_least: float) -> float:
    text = value or f"{default:g}"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not at_least <= seconds < math.inf:
        least = f", at least {at_least:g}" if at_least else ""
        raise EnvironmentVariableError(f"{variable} is {text!r}; allowed are seconds{least}, e.g. {default:g}")
    return seconds


def accounts_folder() -> Path:
    """The folder of the account files: it has one folder for each account, with a `defs.yaml`."""
    return defs_folder() / "accounts"


def schedules_file() -> Path:
    """The file of the schedules of the syncs."""
    return defs_folder() / "sync" / "defs.yaml"


def last_valid_schedules_file() -> Path:
    """The copy of the schedules file as it was when it could last be used."""
    return state_folder() / "schedules.yaml"


def v1_file() -> Path:
    """The file of the settings of V1."""
    return defs_folder() / "cutover" / "v1.yaml"


def sync_log_file() -> Path:
    """The log of all syncs of this machine, from Dagster and from the CLI. `orders-sync log` shows it."""
    log = private_folder(state_folder() / "logs") / "sync.log"
    if not log.exists():
        os.close(private_file(log))
    return log
