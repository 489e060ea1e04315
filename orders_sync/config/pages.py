"""The paths of the operator's pages that others link to; the web process serves them beside the Dagster UI."""

START_PAGE = "/operations"
WAITING_PAGE = "/operations/waiting"
