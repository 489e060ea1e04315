"""`orders-sync metrics`: the figures for Prometheus."""

import click

from orders_sync.cli.database import read_stock_database
from orders_sync.cli.output import print_as_it_is

APPLICATION = "orders_sync metrics"


@click.command()
def metrics() -> None:
    """Print figures in Prometheus's text format.

    The web process serves the same under /operations/metrics. For node_exporter's textfile collector, write the output
    into a file with the ending .prom.
    """
    from orders_sync.health.metrics import metrics_text

    with read_stock_database(APPLICATION) as stock:
        print_as_it_is(metrics_text(stock).decode())
