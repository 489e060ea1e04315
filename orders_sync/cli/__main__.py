from orders_sync.cli import main

main()
