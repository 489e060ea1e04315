"""The orders database, always PostgreSQL: its tables, their revisions, and how to connect."""
