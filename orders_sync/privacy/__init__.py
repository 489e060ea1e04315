"""Buyers' data, and how long it is kept."""
