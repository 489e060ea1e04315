"""Delivers events by HTTP, as the Standard Webhooks specification and CloudEvents ask for."""
