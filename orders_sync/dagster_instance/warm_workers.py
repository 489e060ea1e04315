"""Workers of runs that start with Dagster and the project imported.

Dagster's code server starts a new Python for each run, which spends seconds of CPU on imports before it does anything.
Here it forks each from a process that has imported everything, has no thread, and has read no settings: a run still
reads the account files as they are when it starts.
"""

import json
import multiprocessing
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.popen_forkserver import Popen
from multiprocessing.process import BaseProcess

import psutil

from orders_sync.config.code_location import is_code_server
from orders_sync.dagster_instance.forked_workers import BEFORE, restore_environment
from orders_sync.model.processes import lives

_OF_EACH_RUN = ("dagster._cli", "dagster._grpc.impl", "dagster_postgres")
"""What each run of Dagster imports, whatever the project."""
_FORKED_NO_MORE = 255
"""The exit code that multiprocessing gives a worker when the process that forked it has ended."""
_LAST = "orders_sync.dagster_instance.forked_workers"


def fork_workers(modules: Sequence[str]) -> None:
    """Lets this process fork its runs if it is a code server. `modules`: what runs of the project import."""
    if is_code_server():
        multiprocessing.set_forkserver_preload([*_OF_EACH_RUN, *modules, _LAST])
        # The code server starts runs, and nothing else, by this context (dagster/_grpc/server.py, StartRun).
        multiprocessing.get_context("spawn").Process = _Worker  # pyright: ignore[reportAttributeAccessIssue]


class _Worker(ForkServerProcess):
    """The process of a run."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:  # multiprocessing calls it so
        with _same_paths():
            forkserver.ensure_running()
        return _Forked(process_obj)


class _Forked(Popen):
    """What the code server knows of a worker: also that it lives on if the process that forked it is killed."""

    def __init__(self, process_obj: BaseProcess) -> None:
        super().__init__(process_obj)
        try:
            self._process = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            self._process = None

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, or None while the worker lives."""
        code = super().poll(flag)
        if code == _FORKED_NO_MORE and self._process is not None and lives(self._process):
            self.returncode = None
        return self.returncode


@contextmanager
def _same_paths() -> Generator[None]:
    """Lets a Python that starts meanwhile import everything from where this process does, in whatever folder it is."""
    before = dict(os.environ)
    changed = {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",  # else the folder in which it starts would come first
    }
    os.environ |= {**changed, BEFORE: json.dumps({name: before.get(name) for name in changed})}
    try:
        yield
    finally:
        restore_environment()
