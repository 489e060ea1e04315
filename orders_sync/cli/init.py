"""`orders-sync init`: a project of the user's own, with its accounts and schedules, beside an installed package."""

import shutil
from pathlib import Path

import click

from orders_sync.cli.output import console
from orders_sync.config.environment import PROJECT_FOLDER, PROJECT_ROOT, WORKSPACE_FILE
from orders_sync.model.errors import UserFacingError

PACKAGED = Path(__file__).resolve().parent.parent / "project"
"""Where an installed package has the files that lie beside the package in a checkout: see setup.py."""
DEFS = Path(__file__).resolve().parent.parent / "defs"
GIT_IGNORES = ".state/\n.env\n"


class ProjectExistsError(UserFacingError):
    """The folder has some of the files that a new project would have."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--with-sandbox", is_flag=True, help="Add the accounts of the sandbox marketplaces.")
def init(folder: Path, with_sandbox: bool) -> None:
    """Write a project of your own into DIR.

    It has Dagster's files, the schedules, the alerts, the settings of V1, and folders for accounts and subscriptions.
    The commands find it as the current folder, or by ORDERS_SYNC_PROJECT. Exit code 1 if DIR has one of these files
    already.
    """
    root = PACKAGED if PACKAGED.is_dir() else PROJECT_ROOT
    files = {
        Path("dagster.yaml"): root / "dagster.yaml",
        Path(WORKSPACE_FILE): root / WORKSPACE_FILE,
        Path("defs/sync/defs.yaml"): DEFS / "sync" / "defs.yaml",
        Path("defs/alerts/defs.yaml"): DEFS / "alerts" / "defs.yaml",
        Path("defs/cutover/v1.yaml"): DEFS / "cutover" / "v1.yaml",
    }
    if with_sandbox:
        accounts = sorted((DEFS / "accounts").glob("*_sandbox/defs.yaml"))
        files |= {Path("defs") / account.relative_to(DEFS): account for account in accounts}
    files = {file: source for file, source in files.items() if source.exists()}  # V1 may have been deleted
    folder = folder.resolve()
    if existing := [str(file) for file in files if (folder / file).exists()]:
        raise ProjectExistsError(f"{folder} has {', '.join(existing)} already. Nothing was changed.")
    for name in ("accounts", "subscriptions"):
        (folder / "defs" / name).mkdir(parents=True, exist_ok=True)
    for file, source in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / file)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text(GIT_IGNORES)
    console.print(f"Wrote a project into {folder}. Change to it, or set {PROJECT_FOLDER} to it. Then:", markup=False)
    if with_sandbox:
        console.print("  orders-sync up                                  runs everything, with the sandbox")
    console.print("  orders-sync accounts add NAME --marketplace M   adds an account")
    console.print("  orders-sync up --no-sandbox                     runs everything on this machine")
