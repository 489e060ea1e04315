"""`orders-sync web`: the Dagster UI and the operator's pages, behind a guard and a login."""

from pathlib import Path

import click

from orders_sync.cli.listening import PORT, listening_sockets
from orders_sync.config.environment import WORKSPACE_FILE, project_folder


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=3000, show_default=True, help="Port to listen on.")
@click.option(
    "--workspace", "-w", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: project_folder() / WORKSPACE_FILE,
    help="The file that names Dagster's code location; workspace.yaml of the project by default.",
)  # fmt: skip
def web(host: str, port: int, workspace: Path) -> None:
    """Serve the Dagster UI and operator pages.

    The UI is at the root, the pages at /operations. Requests that pages of other sites send are refused.
    ORDERS_SYNC_UI_PASSWORD_FILE names the file with a password, without which nobody gets in; ORDERS_SYNC_UI_HOSTS adds
    hosts under which browsers may reach the server. `orders-sync up` runs this command, too.
    """
    from orders_sync.web.settings import web_settings

    settings = web_settings(host, port)
    sockets = listening_sockets(host, port, "the web process")
    from orders_sync.web.server import serve  # loads Dagster, which takes seconds

    serve(settings, sockets, workspace)
