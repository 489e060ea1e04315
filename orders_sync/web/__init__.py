"""The one web process: Dagster's web app, and the operator's pages under /operations, behind a guard and a login."""
