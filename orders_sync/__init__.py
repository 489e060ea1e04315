"""Every marketplace order in your own PostgreSQL, with stock locked exactly once."""
