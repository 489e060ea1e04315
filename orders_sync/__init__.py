"""Every marketplace order in your own PostgreSQL, its stock locked exactly once."""
