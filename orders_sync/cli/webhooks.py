"""One round of deliveries to the receivers of webhooks, for processes without Dagster."""

from orders_sync.database.engine import connect
from orders_sync.database.opened import orders_database
from orders_sync.subscriptions.webhooks.delivery import Delivered, deliver_all

APPLICATION = "orders_sync webhooks"


def deliver_webhooks(seconds: float) -> list[Delivered]:
    """Registers new subscriptions, and delivers what is due to all webhooks, for `seconds` at most."""
    from orders_sync.config.subscriptions import load_subscriptions
    from orders_sync.subscriptions.deliveries import is_due
    from orders_sync.subscriptions.registration import register

    configured, _ = load_subscriptions()
    with orders_database(APPLICATION) as connection:
        register(connection, configured)
        due = {
            name: settings.webhook
            for name, settings in configured.items()
            if settings.webhook is not None and is_due(connection, name)
        }
    return deliver_all(lambda: connect(application=APPLICATION), due, seconds)
