"""Who started a run, as acts by hand are recorded."""

import dagster as dg

from orders_sync.acts.by import By
from orders_sync.dagster_instance.attribution import LAUNCHED_IN_TAG, REASON_TAG, USER_TAG

NOT_REPEATED = {"dagster/max_retries": "0"}
"""The tags of a job that must not run twice for one click. Its worker may have died after the act was stored, and
dagster.yaml runs again what a dead worker has left."""
_OF_AUTOMATION = ("dagster/schedule_name", "dagster/sensor_name", "dagster/from_automation_condition")
"""The tags of runs that no person starts. A person's re-execution of such a run has them too: Dagster copies them."""
_OF_A_RETRY = "dagster/retry_number"
"""The tag of a re-execution that Dagster's daemon starts. A person's re-execution does not get it from its parent."""


def by_run(run: dg.DagsterRun, reason: str | None = None) -> By:
    """The person who started a run: the run's tag `user`; without it, the run itself.

    `reason`: None where the act needs none: then it is that of the run's tag, if it has one. Raises InputError if the
    reason can't be used, e.g. is empty.
    """
    user = run.tags.get(USER_TAG) or f"Dagster run {run.run_id[:8]}"
    via = "Dagster UI" if run.job_name.startswith("__") else f"Dagster job {run.job_name}"
    if reason is None and (run.parent_run_id is None or _OF_A_RETRY in run.tags):
        # A person's re-execution has the tags of its parent, and not its reason.
        reason = run.tags.get(REASON_TAG)
    return By(user, "", via, run.run_id) if reason is None else By.checked(user, reason, via, run.run_id)


def by_hand(run: dg.DagsterRun, instance: dg.DagsterInstance) -> By | None:
    """The person who started a run by hand, or re-executed it; None: a schedule or a sensor did.

    An automatic retry counts as the run that it repeats.
    """
    first = _first_try(run, instance)
    is_re_executed = first.parent_run_id is not None and _OF_A_RETRY not in first.tags
    is_launched = is_re_executed or LAUNCHED_IN_TAG in first.tags
    is_automatic = not is_launched and any(tag in first.tags for tag in _OF_AUTOMATION)
    return None if is_automatic else by_run(run)


def _first_try(run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """The run that this one repeats, if it is an automatic retry, as far as Dagster still knows it; else itself."""
    while _OF_A_RETRY in run.tags and run.parent_run_id is not None:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            break
        run = parent
    return run
