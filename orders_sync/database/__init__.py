"""The orders database: its tables, its migrations, how to reach it. Always PostgreSQL."""
