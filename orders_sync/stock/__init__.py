"""What an order event does to the locks on stock. Knows no Dagster."""
