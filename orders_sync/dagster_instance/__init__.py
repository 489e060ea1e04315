"""The Dagster instance: its storage, and the state of its schedules."""
