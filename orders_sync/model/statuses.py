"""Our vocabulary of statuses, one for orders and items alike, whatever the marketplace calls them."""

from enum import StrEnum


class Status(StrEnum):
    """The status of an order or of an item."""

    AWAITING_PAYMENT = "awaiting_payment"
    """The buyer has ordered and not paid yet: nothing to do, must not be shipped."""
    PENDING = "pending"
    """Paid; waits for the merchant to accept or cancel."""
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
    """Shipped, and come back from the buyer."""
    UNPAID = "unpaid"
    """The payment failed."""
    REMOVED = "removed"
    """Items only: a later version of the order no longer lists the item."""
    UNKNOWN = "unknown"
    """A state that the marketplace has not published; kept as it came and reported by a check."""


#: Which papers an order should have in a status. A label only where the marketplace makes it.
DELIVERY_NOTE_DUE = (Status.PENDING, Status.ACCEPTED)
LABEL_DUE = (Status.ACCEPTED,)
