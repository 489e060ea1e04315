"""An order that the record check takes as it is."""

from datetime import UTC, datetime
from decimal import Decimal

from orders_sync.model.records import Order, OrderItem
from orders_sync.model.statuses import Status

RIGHT = Order(
    "1", Status.PENDING, [OrderItem("11", "A", 1, Status.PENDING, price="229.00")],
    created_at=datetime(2026, 11, 24, tzinfo=UTC), currency="EUR", items_total=Decimal("229"),
)  # fmt: skip
