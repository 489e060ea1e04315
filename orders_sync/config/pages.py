"""The paths of the operator's pages that others link to, and the header in which the web process names a user."""

START_PAGE = "/operations"
WAITING_PAGE = "/operations/waiting"
ORDERS_PAGE = "/operations/orders"
ORDER_PAGE = "/operations/orders/one"
LANES_PAGE = "/operations/lanes"
USER_HEADER = "x-orders-sync-user"
"""Set by the web process alone: it removes what a client sends under this name."""
