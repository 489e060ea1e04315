"""What Dagster loads: a folder for each domain (assets, checks, jobs, schedules, sensors), and the YAML files."""
