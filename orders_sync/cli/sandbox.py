"""`orders-sync sandbox`: fake marketplaces to run on a laptop."""

import click

from orders_sync.cli.listening import PORT, check_is_free
from orders_sync.config.bounds import SANDBOX_DAYS, SANDBOX_ORDERS, SANDBOX_SEED
from orders_sync.config.sandbox_address import SANDBOX_PORT, note_sandbox_port


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; loopback only.")
@click.option("--port", type=PORT, default=SANDBOX_PORT, show_default=True, help="Port to listen on.")
@click.option(
    "--seed",
    type=click.IntRange(*SANDBOX_SEED),
    default=1,
    show_default=True,
    help="The same seed makes the same orders.",
)
@click.option(
    "--orders",
    type=click.IntRange(*SANDBOX_ORDERS),
    default=2500,
    show_default=True,
    help="Number of orders in the history.",
)
@click.option(
    "--days", type=click.IntRange(*SANDBOX_DAYS), default=90, show_default=True, help="Number of days of history."
)
@click.option("--arrivals", default=480.0, show_default=True, help="New orders per day.")
@click.option("--speed", default=1.0, show_default=True, help="Speed of the sandbox's clock; 1 is real time.")
@click.option("--limits/--no-limits", default=True, show_default=True, help="Enforce the published rate limits.")
@click.option("--forget", is_flag=True, help="Start with new orders, and do not save them.")
def sandbox(
    host: str,
    port: int,
    seed: int,
    orders: int,
    days: int,
    arrivals: float,
    speed: float,
    limits: bool,
    forget: bool,
) -> None:
    """Serve fake marketplaces to run on a laptop.

    They follow the published contracts of Back Market, refurbed and Mirakl. The sandbox continues where it stopped.
    POST /sandbox/faults switches faults on, POST /sandbox/clock moves the clock.
    """
    from orders_sync.config.environment import state_folder
    from orders_sync.config.private_files import private_folder
    from orders_sync.config.sandbox_credentials import SANDBOX_CREDENTIALS
    from orders_sync.sandbox.server import open_sandbox, serve

    check_is_free(host, port, "the sandbox")
    tokens = {
        "back_market": SANDBOX_CREDENTIALS["BACK_MARKET_SANDBOX_TOKEN"],
        "refurbed": SANDBOX_CREDENTIALS["REFURBED_SANDBOX_TOKEN"],
        "mirakl": SANDBOX_CREDENTIALS["MIRAKL_SANDBOX_KEY"],
    }
    folder = None if forget else private_folder(state_folder() / "sandbox")
    opened = open_sandbox(
        folder,
        tokens=tokens,
        seed=seed,
        orders=orders,
        days=days,
        arrivals_per_day=arrivals,
        speed=speed,
        limits=limits,
    )
    count = sum(len(marketplace.world.orders) for marketplace in opened.marketplaces.values())
    click.echo(f"Sandbox marketplaces ({', '.join(opened.marketplaces)}) on http://{host}:{port} with {count} orders.")
    note_sandbox_port(port)  # the sandbox's accounts call it there
    try:
        serve(opened, host, port)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
