"""The first day of the partitions where the settings name none: the first one that a first pass covers.

Only the code server asks the orders database, once, when it loads the definitions. A run must have each day that
whoever requested it could choose. So every other process, that of a run included, takes EARLIEST_DAY, and needs no
database for it.
"""

import threading
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import LiteralString

from orders_sync.config.code_location import is_code_server
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.engine import connect
from orders_sync.marketplaces.kit.accounts import load_accounts

FIRST_PASS_DAYS = 92
"""How many days back the run of a lane without a watermark covers: three months."""
EARLIEST_DAY = date(2025, 1, 1)
"""The first day for whoever does not know a later one: no pass is older."""
ANSWER_SECONDS = 5.0
"""How long the orders database is waited for: without it, the definitions load all the same."""


def first_day(settings: ScheduleSettings) -> date:
    """The first day of the partitions: that of the settings, else the first one that the first pass covered.

    Before the first pass, it is the first day that a pass would cover now.
    """
    if settings.partitions_start is not None:
        return settings.partitions_start
    return _first_covered_day() if is_code_server() else EARLIEST_DAY


@cache
def _first_covered_day() -> date:
    """Once for each process; EARLIEST_DAY if the orders database does not answer in time."""
    first_pass: list[datetime] = []
    thread = threading.Thread(target=_find_first_pass, args=(first_pass,), daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if not first_pass:
        return EARLIEST_DAY
    # The whole days of the longest window of `modified` (sync/modified.py), which is that of a first pass as well.
    windows = (31 * account.settings.months_back - 1 for account in load_accounts()[0].values())
    day = first_pass[0].astimezone(UTC).date() - timedelta(days=max((FIRST_PASS_DAYS, *windows)))
    return max(day, EARLIEST_DAY)


def _find_first_pass(found: list[datetime]) -> None:
    try:
        with connect(application="orders_sync definitions") as connection:
            ((has_schema,),) = connection.execute("SELECT to_regclass('lane_runs') IS NOT NULL")
            at = datetime.now(UTC)
            if has_schema:
                ((at,),) = connection.execute(_FIRST_PASS)
    except Exception:  # whatever is wrong with the database: the definitions load, and the doctor reports it
        return
    found.append(at)


# Old passes are deleted, but not the event of the first order: the first pass that found one made it.
_FIRST_PASS: LiteralString = """
SELECT least(
  now(),
  (SELECT started_at FROM lane_runs ORDER BY lane_run_id LIMIT 1),
  (SELECT recorded_at FROM order_events ORDER BY event_id LIMIT 1))
"""
