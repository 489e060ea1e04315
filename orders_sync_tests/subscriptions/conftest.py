"""Subscriptions, and events that syncs of a fake marketplace write."""

from collections.abc import Callable
from typing import Any

import pytest

from orders_sync.config.subscriptions import SubscriptionSettings, check_subscription
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.registration import register
from orders_sync_tests.stock.stored_orders import ACCOUNT, StoredItem, StoredOrder, store_order

FILE = "defs/subscriptions/erp/defs.yaml"
Subscribe = Callable[..., SubscriptionSettings]


def settings(**values: Any) -> SubscriptionSettings:
    """Settings of a subscription, by default with a consumer in SQL."""
    consumers = {"dagster", "webhook", "sql"}
    return check_subscription({**({} if consumers & values.keys() else {"sql": {"role": "erp"}}), **values}, FILE)


@pytest.fixture
def subscribe(connection: Connection) -> Subscribe:
    """Registers a subscription: `erp`, unless it is named."""

    configured: dict[str, SubscriptionSettings] = {}

    def registered(name: str = "erp", **values: Any) -> SubscriptionSettings:
        configured[name] = settings(**values)
        register(connection, configured)
        return configured[name]

    return registered


def an_event(connection: Connection, order_id: str = "1", status: str = "accepted", account: str = ACCOUNT) -> None:
    """Creates an order of one item, or changes the status of both: one event, or two."""
    item = StoredItem(f"{order_id}-1", status=status)
    store_order(connection, StoredOrder(order_id, [item], status=status, account=account))


def event_ids(connection: Connection) -> list[int]:
    return [event_id for (event_id,) in connection.execute("SELECT event_id FROM order_events ORDER BY 1")]
