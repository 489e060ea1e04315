"""What the sandbox's world is made of."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

#: Line states of the contract.
NEW, PAID, ACCEPTED, SHIPPED, CANCELLED, REFUNDED_EARLY, REFUNDED_LATE, NOT_PAID = 0, 1, 2, 3, 4, 5, 6, 7
#: Which line states the merchant may ask for, and from where (schema OrderLineState, "possible next states").
MERCHANT_MOVES = {
    ACCEPTED: PAID,
    CANCELLED: PAID,
    SHIPPED: ACCEPTED,
    REFUNDED_EARLY: ACCEPTED,
    REFUNDED_LATE: SHIPPED,
}


@dataclass
class Line:
    id: int
    sku: str
    product: str
    brand: str
    quantity: int
    price: int
    """Unit price in cents."""
    state: int = NEW


@dataclass
class SandboxOrder:
    id: int
    created: datetime
    lines: list[Line]
    buyer: dict[str, Any]
    country_code: str
    rng: random.Random
    modified: datetime
    paid: datetime | None = None
    shipped: datetime | None = None
    note: str | None = None
    label: str | None = None
    label_made: datetime | None = None
    tracking: str | None = None


@dataclass
class Folder:
    id: int
    order_id: int
    line_id: int
    choice: str | None
    returned: bool
    created: datetime
    modified: datetime
    closed: datetime | None = None
