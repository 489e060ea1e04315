"""Dagster's queue of runs, which notes who has launched a run in the UI."""

from urllib.parse import unquote

import dagster as dg

from orders_sync.config.pages import USER_HEADER

USER_TAG = "user"
"""The tag that says who started a run. Dagster+ sets it as well; where nobody is known by name, a person may do so in
the launchpad."""


class AttributingRunCoordinator(dg.QueuedRunCoordinator):
    """The queue. A run that a user launches in the UI gets the user's name as a tag, if a login at a proxy shows it.

    By "Run attribution" of Dagster's documentation.
    """

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        user = context.get_request_header(USER_HEADER)
        if user is not None:
            self._instance.add_run_tags(context.dagster_run.run_id, {USER_TAG: unquote(user)})
        return super().submit_run(context)
