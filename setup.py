"""Puts the files of a project that lie beside the package into the package, for `orders-sync init`.

All else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT_FILES = ("dagster.yaml", "workspace.yaml")


class BuildWithProjectFiles(build_py):
    """Builds the package with the files of a project."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "orders_sync" / "project"
        target.mkdir(parents=True, exist_ok=True)
        for name in PROJECT_FILES:
            shutil.copyfile(name, target / name)


setup(cmdclass={"build_py": BuildWithProjectFiles})
