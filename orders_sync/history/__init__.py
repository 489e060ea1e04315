"""Finds orders, and tells all that is known of one: for the operator's pages."""
