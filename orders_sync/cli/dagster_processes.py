"""The parts of Dagster as processes of their own: code server, daemon and web server. `orders-sync up` starts them.

Started together by `dagster dev`, they end together, and its web server has neither guard nor login.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import yaml

CODE_SERVER_THREADS = {"DAGSTER_CODE_SERVER_MAX_WORKERS": "16", "DAGSTER_GRPC_MAX_WORKERS": "16"}
"""Environment variables of Dagster: how many calls the code server and its proxy answer at once. Ticks that wait occupy
some; by default a machine with two cores has six."""
LOCATION = {"module_name": "orders_sync.definitions", "location_name": "orders_sync"}
"""As in workspace.yaml: Dagster stores the states of schedules under the name of the location."""


class DagsterProcesses(NamedTuple):
    """The command lines of Dagster's parts."""

    code_server: list[str]
    daemon: list[str]
    web: list[str]
    socket: Path
    """Where the code server listens: the file is there once it has loaded the definitions."""


def dagster_processes(folder: Path, port: int) -> DagsterProcesses:
    """The command lines. `folder`: an empty one for the socket, its path shorter than 90 characters."""
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.dagster_instance.internals import serialize_value

    socket, workspace = folder / "code_server.sock", folder / "workspace.yaml"
    server = {"socket": str(socket), "location_name": LOCATION["location_name"]}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    with open_instance() as instance:
        instance_ref = serialize_value(instance.get_ref())
    dagster = [sys.executable, "-m", "dagster"]
    return DagsterProcesses(
        [
            *dagster, "code-server", "start", "-m", LOCATION["module_name"], "--socket", str(socket),
            "--location-name", LOCATION["location_name"], "--use-python-environment-entry-point",
            "--inject-env-vars-from-instance", "--instance-ref", instance_ref,
        ],
        [sys.executable, "-m", "orders_sync.cli", "daemon", "-w", str(workspace)],
        [sys.executable, "-m", "orders_sync.cli", "web", "--port", str(port), "-w", str(workspace)],
        socket,
    )  # fmt: skip
