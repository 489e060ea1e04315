"""The settings: environment variables and YAML files, read in one way and checked with one voice."""
