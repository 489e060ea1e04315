"""This checkout of the project and, to compare it, another one: each with a database of its own on one server."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Checkout:
    """A checkout of the project with a database of its own."""

    name: str
    root: Path
    url: str
    """Of its database."""
    results: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    """What was measured, a row for each round, by scene."""

    def call(self, script: str, *arguments: str) -> str:
        """Runs a script of bench/ with this checkout's code; returns what it printed. Ends the bench if it fails."""
        done = subprocess.run(
            [sys.executable, "-P", str(ROOT / "bench" / script), *arguments],
            env={**os.environ, "PYTHONPATH": str(self.root), "ORDERS_DATABASE_URL": self.url},
            cwd=self.root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{script} failed with the checkout {self.name}:\n{done.stderr[-3000:]}")
        return done.stdout

    def median(self, scene: str, name: str) -> float:
        """The median of a measured value over all rounds."""
        return statistics.median(result[name] for result in self.results[scene])


def add_checkout_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--checkout`: a path, or None."""
    parser.add_argument("--checkout", type=_checkout, help="the folder of another checkout to compare with")


def _checkout(value: str) -> Path:
    root = Path(value).resolve()
    if not (root / "orders_sync").is_dir():
        raise argparse.ArgumentTypeError(f"{value} holds no orders_sync")
    return root


@contextmanager
def open_checkouts(other: Path | None) -> Iterator[list[Checkout]]:
    """`this` checkout and the `other` one, each with an empty database of its own version. Removes them at the end."""
    with tempfile.TemporaryDirectory(prefix="osbench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ORDERS_SYNC_STATE"] = folder
        from orders_sync.database.embedded import embedded_url, stop_if_last

        try:
            checkouts = [Checkout("this", ROOT, embedded_url("bench_this"))]
            if other is not None:
                checkouts.append(Checkout("other", other, embedded_url("bench_other")))
            for checkout in checkouts:
                checkout.call("one_pass.py", "upgrade")
            yield checkouts
        finally:
            stop_if_last()
