"""One pass over the bench server's orders, in a process of its own, with the orders_sync of any checkout.

    PYTHONPATH=<checkout> python -P bench/one_pass.py upgrade             create or upgrade the tables
    PYTHONPATH=<checkout> python -P bench/one_pass.py pass <server URL>   run the `modified` pass

ORDERS_DATABASE_URL names the database. `pass` prints a JSON object: fetched, created, changed (orders), seconds and
cpu_seconds (of the pass, without Python's start and imports), peak_mb (of the whole process).
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "marketplace": "back_market",
    "token": "BACK_MARKET_SANDBOX_TOKEN",
    "limits": {"enforced": False, "connections": 4},
}
START = datetime(2026, 8, 1, tzinfo=UTC)
"""Before the first order of the bench server."""


@dataclass(frozen=True)
class Project:
    """The functions of orders_sync that a pass needs, wherever the checkout has them."""

    upgrade: Callable[[str], object]
    """Creates or upgrades the tables of the database with this URL."""
    account: Callable[[str, dict[str, Any], str], Any]
    """An account from its name, its settings and the file that is named in errors."""
    request: Callable[..., Any]
    sync_type: Any
    run: Callable[[Any], Any]


def project() -> Project:
    """The project of the checkout on Python's path, in the layout of 0.2 or of 0.1."""
    try:
        from orders_sync.marketplaces.kit.accounts import account_from
        from orders_sync.model.lane import SyncType
        from orders_sync.passes.run_pass import run_pass
        from orders_sync.sync.pass_request import PassRequest
    except ModuleNotFoundError:
        return _project_0_1()
    module = "orders_sync.database.schema_upgrade"
    if find_spec(module) is None:
        module = "orders_sync.database.schema"
    return Project(import_module(module).upgrade_schema, account_from, PassRequest, SyncType, run_pass)


def _project_0_1() -> Project:
    return Project(
        import_module("orders_sync.database.migrate").migrate,
        import_module("orders_sync.accounts").check_account,
        import_module("orders_sync.sync.context").PassRequest,
        import_module("orders_sync.sync.lanes").SyncType,
        import_module("orders_sync.sync.passes").run_pass,
    )


def measured_pass(url: str) -> dict[str, float]:
    """Runs the pass; returns the numbers of the module's docstring."""
    os.environ.setdefault("BACK_MARKET_SANDBOX_TOKEN", "bench")
    loaded = project()
    account = loaded.account("bench", {**SETTINGS, "base_url": url}, "bench")
    request = loaded.request(account, loaded.sync_type("modified"), "bench", start=START)
    began, cpu = time.perf_counter(), time.process_time()
    summary = loaded.run(request)
    return {
        "fetched": summary.fetched,
        "created": summary.created,
        "changed": summary.changed,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """The most memory that this process has used so far, in MB (2**20 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss also counts the parent's memory before exec; VmHWM does not.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    if sys.argv[1] == "upgrade":
        project().upgrade(os.environ["ORDERS_DATABASE_URL"])
    else:
        print(json.dumps(measured_pass(sys.argv[2])))


if __name__ == "__main__":
    main()
