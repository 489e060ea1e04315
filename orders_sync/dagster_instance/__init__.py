"""The Dagster instance: its storage, the state of its schedules and sensors, and the private parts of Dagster."""
