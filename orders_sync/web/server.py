"""Serves the web application: `orders-sync web`."""

from pathlib import Path

import uvicorn

from orders_sync.dagster_instance.instance import open_instance
from orders_sync.database.schema import upgrade_schema
from orders_sync.web.app import web_app
from orders_sync.web.dagster_app import dagster_app
from orders_sync.web.settings import WebSettings


def serve(settings: WebSettings, workspace: Path) -> None:
    """Serves until the process gets SIGINT or SIGTERM. `workspace`: the file that names Dagster's code location."""
    upgrade_schema()
    with open_instance() as instance, dagster_app(instance, workspace) as dagster:
        uvicorn.run(
            web_app(dagster, settings), host=settings.host, port=settings.port, log_level="warning",
            server_header=False,
            # An address that a client may choose itself is worth nothing, and none is needed.
            proxy_headers=False,
        )  # fmt: skip
