"""The bounds of numbers that people choose, each once: for the settings and the command line."""

from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """The least and the greatest value, both allowed. `Field(**bounds.of_field())`, `click.IntRange(*bounds)`."""

    least: int
    greatest: int

    def of_field(self) -> dict[str, Any]:
        """As the arguments of a pydantic field."""
        return {"ge": self.least, "le": self.greatest}


PAGE_SIZE = Bounds(1, 100)
"""Orders per page. A marketplace whose own pages are smaller gets its own largest size."""
DAYS_BACK = Bounds(1, 90)
MONTHS_BACK = Bounds(1, 24)
OVERLAP_MINUTES = Bounds(1, 7 * 24 * 60)
LAG_SECONDS = Bounds(0, 3600)
RETENTION_DAYS = Bounds(1, 36_500)
"""A hundred years: a greater number of days is no date any more."""
CONNECTIONS = Bounds(1, 64)
OUTAGE_MINUTES = Bounds(0, 240)
ANSWER_MEGABYTES = Bounds(1, 500)
LANE_WAIT_SECONDS = Bounds(0, 24 * 60 * 60)
"""How long a command waits for a busy lane."""
LOG_LINES = Bounds(0, 1_000_000)
ROWS_SHOWN = Bounds(1, 1_000_000)
_INTEGER = 2**31 - 1
"""The greatest number that PostgreSQL's integer holds."""
PIECES = Bounds(-_INTEGER, _INTEGER)
"""Pieces of a SKU or item, as a column holds them; what an act makes of them, it says itself."""
PERCENT = Bounds(0, 100)
ROW_ID = Bounds(1, 2**63 - 1)
"""The running number of a row: PostgreSQL's bigint."""
READINESS_DAYS = Bounds(1, 60)
V1_CHECK_DAYS = Bounds(1, 366)
IN_FLIGHT_MINUTES = Bounds(1, 24 * 60)
IN_FLIGHT_HOURS = Bounds(1, 7 * 24)
VERIFIED_ORDERS = Bounds(0, 10_000)
CALLS_PER_DAY = Bounds(1, 100_000_000)
SANDBOX_SEED = Bounds(0, 2**31 - 1)
SANDBOX_ORDERS = Bounds(0, 1_000_000)
SANDBOX_DAYS = Bounds(1, 3650)
