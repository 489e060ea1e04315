"""How slow this machine is, measured once a run: the tests' time limits scale with it."""

import functools
import os
import subprocess
import sys

VARIABLE = "TESTS_SLOWNESS"
"""Set it to a number to skip the measurement, e.g. 3 on a machine that becomes busy only during the run."""
REFERENCE_SECONDS = 0.50
"""Seconds that WORK takes on the machine on which the limits were chosen: two cores of 2024, otherwise idle."""
MAX_SECONDS = 60.0
"""A machine that needs longer than this for WORK counts as one that needs this long."""

WORK = """
import time
began = time.perf_counter()
total = 0
for number in range(5_000_000):
    total += number * number % 7
print(time.perf_counter() - began)
"""


@functools.cache
def slowness() -> float:
    """How many times as long as on the reference machine something takes here and now; at least 1.

    Measured by wall clock with one process a core, so that other busy processes count. The first process of a run
    measures and keeps the result in the environment variable TESTS_SLOWNESS, which its workers inherit. Workers that
    share a core with others have as much less of it.
    """
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{max(1.0, _measured_seconds() / REFERENCE_SECONDS):.2f}"
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1.0, float(os.environ[VARIABLE])) * max(1.0, workers / (os.cpu_count() or 1))


def _measured_seconds() -> float:
    """The mean time of WORK over one process for each core, all at once; at most MAX_SECONDS."""
    cores = os.cpu_count() or 1
    processes = [
        subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True) for _ in range(cores)
    ]
    return sum(_seconds_of(process) for process in processes) / cores


def _seconds_of(process: "subprocess.Popen[str]") -> float:
    try:
        return float(process.communicate(timeout=MAX_SECONDS)[0])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return MAX_SECONDS
