"""Records into tables and events: fetch, leave out what is unchanged, validate, merge.

Knows no Dagster, and no marketplace but by the adapter protocol of `marketplaces/kit/`.
"""
