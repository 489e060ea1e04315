"""Installs npm packages that some tests need, each set into a folder of its own, which git ignores."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orders_sync.testing.waiting import limit


def install(folder: Path, dependencies: Mapping[str, str], *, program: str | None = None) -> None:
    """Installs the packages, unless they are there. `program`: the one that shows that they are.

    Tests in other processes that need the same folder wait until it is whole.
    """
    assert shutil.which("npm"), "npm is needed, which comes with Node.js 20.19 or newer."
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(folder, dependencies, program)


def _install(folder: Path, dependencies: Mapping[str, str], program: str | None) -> None:
    package = folder / "package.json"
    required = json.dumps({"name": "orders-sync-tests", "private": True, "dependencies": dependencies}, indent=2)
    modules = folder / "node_modules"
    is_there = modules.exists() if program is None else (modules / ".bin" / program).exists()
    if is_there and package.exists() and package.read_text() == required:
        return
    package.write_text(required)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder, capture_output=True, text=True, timeout=limit(900), check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"npm install:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
