"""Fake marketplaces to run on a laptop: Back Market's, refurbed's and Mirakl's published contracts over real HTTP.

`orders-sync sandbox` serves them in a process of its own (server.py). Each marketplace (back_market.py, refurbed.py,
mirakl.py) presents a world of orders (world.py) in its contract's form. Faults (faults.py) and the clock (clock.py) are
steered by requests to /sandbox/*. v1.py is the stand-in for V1. No production code imports this package.
"""
