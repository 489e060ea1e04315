"""Where the project keeps its state and which environment variables it reads. Knows no Dagster."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent

ORDERS_DATABASE_URL = "ORDERS_DATABASE_URL"
DAGSTER_POSTGRES_URL = "DAGSTER_POSTGRES_URL"
STATE_FOLDER = "ORDERS_SYNC_STATE"
DEAD_RUN_SECONDS = "ORDERS_SYNC_DEAD_RUN_SECONDS"


def state_folder() -> Path:
    """The one folder that holds everything that is not code: databases, logs, the sandbox's memory.

    `ORDERS_SYNC_STATE` moves it; by default it is `.state` in the project's folder, ignored by git.
    """
    folder = Path(os.environ.get(STATE_FOLDER) or PROJECT_ROOT / ".state").expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def dead_run_seconds() -> float:
    """After how many seconds without a sign of life a started run counts as dead and is failed.

    `ORDERS_SYNC_DEAD_RUN_SECONDS` changes it; by default 90.
    """
    return float(os.environ.get(DEAD_RUN_SECONDS) or 90)


def accounts_folder() -> Path:
    """Where the account files live: one folder an account, with a `defs.yaml`."""
    return PROJECT_ROOT / "orders_sync" / "defs" / "accounts"


def sync_log_file() -> Path:
    """The log of all syncs of this machine, whoever launched them (`orders-sync log --follow`)."""
    folder = state_folder() / "logs"
    folder.mkdir(exist_ok=True)
    return folder / "sync.log"
