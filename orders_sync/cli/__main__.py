"""`python -m orders_sync.cli`: the same as `orders-sync`."""

from orders_sync.cli import main

main()
