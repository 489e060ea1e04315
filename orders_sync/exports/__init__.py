"""Rows as files for other programs: orders, items, the pick list and documents, as CSV or Parquet."""
