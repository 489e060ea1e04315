"""Dagster's queue of runs, which notes who has launched a run in the UI."""

from urllib.parse import unquote

import dagster as dg

from orders_sync.config.pages import USER_HEADER
from orders_sync.dagster_instance.attribution import LAUNCHED_IN_TAG, USER_TAG


class AttributingRunCoordinator(dg.QueuedRunCoordinator):
    """The queue. A run that a user launches in the UI gets the user's name as a tag, if a login at a proxy shows it.

    By "Run attribution" of Dagster's documentation.
    """

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        user = context.get_request_header(USER_HEADER)
        tags = {} if user is None else {USER_TAG: unquote(user)}
        if context.get_request_header("host") is not None:  # the daemon and the command line have no request
            tags[LAUNCHED_IN_TAG] = "ui"
        if tags:
            self._instance.add_run_tags(context.dagster_run.run_id, tags)
        return super().submit_run(context)
