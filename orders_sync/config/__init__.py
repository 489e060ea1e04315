"""The settings: environment variables and YAML files, with one reader and one form of errors."""
