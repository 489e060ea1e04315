"""Workers of runs that start with Dagster and the project loaded.

Dagster's code server starts a new Python for each run, which spends 4 s of CPU on imports before it does anything. Here
it forks each from a process that has imported everything, has no thread, and reads no settings: a run still reads the
account files as they are when it starts.
"""

import multiprocessing
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess

_OF_EACH_RUN = ("dagster._cli", "dagster._grpc.impl", "dagster_postgres")
"""What each run of Dagster imports, whatever the project."""
_LAST = "orders_sync.dagster_instance.forked_workers"


def fork_workers(modules: Sequence[str]) -> None:
    """Lets the code server of this process fork its runs; does nothing in any other process.

    `modules`: what runs of the project import, but for what depends on its settings.
    """
    if multiprocessing.parent_process() is not None or "dagster._grpc.server" not in sys.modules:
        return
    multiprocessing.set_forkserver_preload([*_OF_EACH_RUN, *modules, _LAST])
    # The code server starts runs, and nothing else, by this context (dagster/_grpc/server.py, StartRun).
    multiprocessing.get_context("spawn").Process = ForkServerProcess  # pyright: ignore[reportAttributeAccessIssue]
