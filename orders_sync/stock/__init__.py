"""Order events become locks on stock. Does not import Dagster."""
