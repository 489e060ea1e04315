"""The words of the project: statuses, records, lanes, summaries. Imports nothing else of the project."""
