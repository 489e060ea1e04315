"""The objects of the sandbox's world: orders, their lines, care folders. States are those of Back Market's contract."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

#: The contract's line states (schema OrderLineState).
NEW, PAID, ACCEPTED, SHIPPED, CANCELLED, REFUNDED_EARLY, REFUNDED_LATE, NOT_PAID = 0, 1, 2, 3, 4, 5, 6, 7
TYPE_OF_DEVICE = "35693803"
"""The beginning of the IMEIs (type allocation code)."""
LINES_TO_ONE_WITHOUT_IMEI = 20
MERCHANT_MOVES = {
    ACCEPTED: PAID,
    CANCELLED: PAID,
    SHIPPED: ACCEPTED,
    REFUNDED_EARLY: ACCEPTED,
    REFUNDED_LATE: SHIPPED,
}
"""The line states that the merchant may set, each with the state that the line must have before
(schema OrderLineState, "possible next states")."""


@dataclass
class Line:
    """A line of an order."""

    id: int
    sku: str
    product: str
    brand: str
    quantity: int
    price: int
    """Unit price in cents."""
    state: int = NEW
    refused: bool = False
    """Whether it was the merchant who cancelled it, instead of accepting it."""

    def imei(self) -> str | None:
        """The IMEI of a line's device, which the merchant enters when it ships; every 20th line has none."""
        if self.state not in (SHIPPED, REFUNDED_LATE) or self.id % LINES_TO_ONE_WITHOUT_IMEI == 0:
            return None
        digits = f"{TYPE_OF_DEVICE}{self.id % 1_000_000:06d}"
        numbers = [int(digit) for digit in digits]
        total = sum(numbers[::2]) + sum(sum(divmod(2 * number, 10)) for number in numbers[1::2])
        return f"{digits}{-total % 10}"

    def serial_number(self) -> str | None:
        """The serial number, likewise."""
        return f"SN{self.id:08d}" if self.imei() is not None else None


@dataclass
class SandboxOrder:
    """An order. All times are aware, in UTC; None: has not happened."""

    id: int
    created: datetime
    lines: list[Line]
    buyer: dict[str, Any]
    """The address, with the keys of Back Market's schema Address."""
    country_code: str
    """The shop's language and country, e.g. `fr-fr`."""
    rng: random.Random
    """Decides this order's further life: the same seed gives the same life."""
    modified: datetime
    paid: datetime | None = None
    shipped: datetime | None = None
    note: str | None = None
    """Path of the delivery note."""
    label: str | None = None
    """Path of the shipping label."""
    label_made: datetime | None = None
    """When the label will be, or was, made."""
    tracking: str | None = None
    """The carrier's tracking number."""


@dataclass
class Folder:
    """A care folder: a buyer's claim about one line."""

    id: int
    order_id: int
    line_id: int
    choice: str | None
    """The buyer's resolution: REPLACE, REFUND, REPAIR, or None before a choice was made."""
    returned: bool
    """Whether the buyer sends the piece back."""
    created: datetime
    modified: datetime
    closed: datetime | None = None
