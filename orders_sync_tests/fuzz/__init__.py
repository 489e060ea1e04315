"""Records and pages that no marketplace would write on purpose, for each adapter.

`test_fuzz.py` tries a few in each test run, `make fuzz SECONDS=3600` as many as fit into that CPU time.
"""
