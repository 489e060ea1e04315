"""`python -m orders_sync_tests.faults`: the random sequences of `chaos`."""

import sys

from orders_sync_tests.faults.chaos import main

if __name__ == "__main__":  # a process that is forked imports this module too
    sys.exit(main())
