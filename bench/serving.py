"""The bench server as a process of its own, and the calls that steer it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BenchServer:
    """A running bench server."""

    url: str

    def control(self, **settings: float) -> dict[str, Any]:
        """Sets `changed` (the share of changed orders) and `latency` (seconds per page); returns its counts."""
        query = "&".join(f"{name}={value}" for name, value in settings.items())
        with urllib.request.urlopen(f"{self.url}/bench?{query}") as response:
            return json.load(response)

    @property
    def served(self) -> int:
        """The pages served so far."""
        return int(self.control()["served"])


@contextmanager
def bench_server(orders: int, *, is_real_life: bool = False) -> Iterator[BenchServer]:
    """Serves so many orders on a free port for the length of the block."""
    command = [sys.executable, "-m", "bench.server", "--orders", str(orders), "--port", "0"]
    command += ["--real-life"] if is_real_life else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield BenchServer(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
