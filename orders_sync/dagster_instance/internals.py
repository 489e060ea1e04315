"""The parts of Dagster that its public API does not export. No other module imports them from Dagster's private paths.

An upgrade of Dagster can move or change them without notice: look here first when it breaks.
"""

from dagster._core.definitions import freshness
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData, serialize_value
from dagster.components.component.component_loader import is_component_loader
from dagster.components.core.load_defs import get_library_json_enriched_defs
from dagster.components.definitions import LazyDefinitions
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "ConfigurableClassData",  # the class that an entry of dagster.yaml names
    "InstanceRef",  # an instance whose dagster.yaml is not in its own folder
    "InstigatorState",  # a schedule or sensor that somebody has switched on or off
    "InstigatorStatus",
    "InstigatorTick",  # one evaluation of a schedule or sensor
    "InstigatorType",
    "LazyDefinitions",  # what @dg.definitions makes of a function
    "LocalArtifactStorage",  # base class of StateArtifactStorage
    "LocalComputeLogManager",  # base class of StateComputeLogManager
    "PartitionBackfill",  # a backfill as AttributingRunStorage stores it
    "RegisteredCodeLocationOrigin",  # this one and the following: tests store what the UI's switch stores
    "RemoteInstigatorOrigin",
    "RemoteRepositoryOrigin",
    "ScheduleInstigatorData",
    "SensorInstigatorData",
    "SerializableErrorInfo",
    "TickData",  # tests store what the daemon stores
    "TickStatus",
    "freshness",  # what computes the shortest interval of a cron
    "get_library_json_enriched_defs",  # the description of all types of components, for the UI, as metadata
    "is_component_loader",  # whether @dg.component_instance made a function
    "serialize_value",  # an instance as an argument of the daemon and the code server
]
