"""The kinds of order events."""

KINDS = {
    "OrderCreated": "An order was stored for the first time.",
    "OrderStatusChanged": "The status of an order, or of one of its items, has changed.",
    "OrderChanged": "Something else of an order has changed, e.g. a quantity, a SKU or the address.",
}
"""The kinds of events, with their meanings."""
DEFAULT_KINDS = ("OrderCreated", "OrderStatusChanged")
"""What a subscription gets that names no kinds."""
