"""The statuses of orders and items, the same for all marketplaces. Adapters map their marketplace's states to them."""

from enum import StrEnum


class Status(StrEnum):
    """The status of an order or of an item."""

    AWAITING_PAYMENT = "awaiting_payment"
    """Ordered and not paid yet: nothing to do, must not be shipped."""
    PENDING = "pending"
    """Paid; waits for the merchant to accept or cancel it."""
    ACCEPTED = "accepted"
    """Accepted by the merchant; to be shipped."""
    SHIPPED = "shipped"
    """Handed to the carrier."""
    CANCELLED = "cancelled"
    """Cancelled before shipping."""
    REFUNDED_BEFORE_SHIPPING = "refunded_before_shipping"
    """Accepted, then refunded before it was shipped."""
    REFUNDED_AFTER_SHIPPING = "refunded_after_shipping"
    """Shipped, then refunded on the buyer's request."""
    RETURNED = "returned"
    """Shipped, then returned by the buyer."""
    UNPAID = "unpaid"
    """The payment failed."""
    REMOVED = "removed"
    """Items only: a later version of the order no longer lists the item."""
    UNKNOWN = "unknown"
    """A state that the marketplace does not document. It is stored as it came, and a check reports it."""


#: The statuses in which an order should have a delivery note.
DELIVERY_NOTE_DUE = (Status.PENDING, Status.ACCEPTED)
#: The statuses in which an order should have a shipping label, if the marketplace makes it.
LABEL_DUE = (Status.ACCEPTED,)
