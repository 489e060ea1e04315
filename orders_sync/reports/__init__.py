"""Figures and plots out of the orders database. Knows no Dagster."""
