"""Delivers order events to others: each subscription gets each event at least once, in order for each order."""
