"""The Dagster components behind the YAML files of defs/."""
