"""Figures and plots from the orders database. Does not import Dagster."""
