"""Finds orders, and everything that is known about one: for the operator's pages."""
