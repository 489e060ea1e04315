"""The project's Dagster instance, for the command line."""

import os

import dagster as dg

from orders_sync.config.environment import project_folder
from orders_sync.dagster_instance.internals import InstanceRef
from orders_sync.dagster_instance.storage import dagster_folder


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME or, where that is not set, the one of the project's dagster.yaml."""
    if os.environ.get("DAGSTER_HOME"):
        return dg.DagsterInstance.get()
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(dagster_folder()), config_dir=str(project_folder())))
