"""The pipeline: fetch, validate, stage, merge, emit. Knows no Dagster and no marketplace."""
