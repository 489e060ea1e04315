"""Figures, side by side in one run; never asserted in a timed test. `make bench` makes bench/README.md's table."""
