"""Figures, side by side in one run; never asserted in a timed test. `make bench` makes bench/README.md's table."""

CUTOVER_HEADING = "## V1 and V2 over a week"
"""The heading in bench/README.md of the part that `make bench-cutover` writes; `make bench` keeps it."""
