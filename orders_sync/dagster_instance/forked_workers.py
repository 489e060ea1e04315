"""What the process from which workers are forked (`warm_workers`) does once it has imported everything."""

import gc
import json
import os

BEFORE = "_ORDERS_SYNC_ENVIRONMENT"
"""The environment variable with what the code server has changed in the environment of this process, as JSON."""


def restore_environment() -> None:
    """Gives this process, and so the workers, the environment of the code server."""
    before: dict[str, str | None] = json.loads(os.environ.pop(BEFORE))
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


if BEFORE in os.environ:
    restore_environment()
    # Else the garbage collector of each worker would write to all objects, which so would no longer be shared.
    gc.collect()
    gc.freeze()
