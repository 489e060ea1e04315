"""From V1 to V2: both side by side, compared every day, then V1 off. Does not import Dagster."""
