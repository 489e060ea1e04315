"""The kinds of order events."""

KINDS = {
    "OrderCreated": "An order was stored for the first time.",
    "OrderStatusChanged": "The status of an order, or of one of its items, has changed.",
    "OrderChanged": "Something else of an order has changed, e.g. a quantity, a SKU or the address.",
    "DocumentAvailable": "A delivery note or a shipping label of an order can be fetched, or was replaced.",
    "CareOpened": "A care case of an order was opened, or opened again.",
    "CareClosed": "A care case of an order was closed or cancelled.",
    "StockLocked": "Pieces of a SKU were locked for an item of an order.",
    "StockShort": "Pieces of a SKU are missing for an item of an order.",
}
"""The kinds of events, with their meanings."""
DEFAULT_KINDS = ("OrderCreated", "OrderStatusChanged")
"""What a subscription gets that names no kinds."""
