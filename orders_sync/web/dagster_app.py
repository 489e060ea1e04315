"""Dagster's own web app as an ASGI application.

Besides `dagster_instance/internals.py`, which run workers import too, and `dagster_instance/pace.py` the only module
with private parts of Dagster. It does what the command `dagster-webserver` does before it serves
(dagster_webserver/cli.py): look there first when an upgrade of Dagster breaks it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import (
    create_app_from_workspace_process_context,  # pyright: ignore[reportUnknownVariableType]
)
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__
from starlette.types import ASGIApp

from orders_sync.dagster_instance.pace import look_less_often
from orders_sync.web.users import user_of

LIVE_DATA_MILLISECONDS = 2000
"""How often the UI asks for the newest state of assets; the default of `dagster-webserver`."""


class _ByRole(WorkspaceProcessContext):
    """Dagster's context, in which requests of readers get what `dagster-webserver --read-only` gives to everyone."""

    def create_request_context(self, source: object | None = None) -> WorkspaceRequestContext:
        user = user_of(getattr(source, "scope", {}))  # of the request or websocket
        return WorkspaceRequestContext(
            instance=self.instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=user.reads_only,
        )


@contextmanager
def dagster_app(instance: dg.DagsterInstance, workspace: Path) -> Generator[ASGIApp]:
    """Dagster's web app for the length of the block. `workspace`: the file that names the code location."""
    instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
    look_less_often()
    target = WorkspaceFileTarget([str(workspace)])
    with _ByRole(instance, target, version=__version__) as context:
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=LIVE_DATA_MILLISECONDS)
