"""Specifications of orders_sync, against real servers: PostgreSQL, HTTP, Dagster's daemon, Chromium."""
