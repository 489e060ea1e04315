"""Who launches runs and backfills in the UI: the user whom the web process knows, whatever tags a client sends."""

from contextvars import ContextVar

USER_TAG = "user"
"""The tag that says who started a run. Dagster+ sets it as well; where nobody is known by name, a person may do so in
the launchpad."""
REASON_TAG = "orders_sync/reason"
"""The tag that says why a person started a run: the operator's pages set it."""
LAUNCHED_IN_TAG = ".dagster/orders_sync_launched_in"
"""Its value is `ui` on runs that the web process has put into the queue, whatever other tags a client gave them. The UI
does not show tags that begin with `.dagster/`."""

acting_user: ContextVar[str | None] = ContextVar("acting_user", default=None)
"""In the web process: the name of the user who sends the request, as the login found it out."""
