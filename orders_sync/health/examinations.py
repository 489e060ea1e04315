"""All examinations, by name, and how they are run so that one that fails hides no other."""

from collections.abc import Callable, Iterator, Mapping

from orders_sync.database.problems import postgresql_error, problem_of
from orders_sync.health.alerts import examine_alerts
from orders_sync.health.cutover import examine_cutover
from orders_sync.health.daemon import examine_daemon
from orders_sync.health.database import examine_database
from orders_sync.health.finding import Finding
from orders_sync.health.lanes import examine_lanes
from orders_sync.health.records import (
    examine_damage,
    examine_flaws,
    examine_rate_limits,
    examine_records,
    examine_waiting_lines,
)
from orders_sync.health.settings import examine_accounts, examine_code_location, examine_deadlines, examine_schedules
from orders_sync.health.subscriptions import examine_subscriptions

EXAMINATIONS: Mapping[str, Callable[[], Iterator[Finding]]] = {
    "database": examine_database,
    "accounts": examine_accounts,
    "daemon": examine_daemon,
    "code location": examine_code_location,
    "schedules": examine_schedules,
    "acceptance deadlines": examine_deadlines,
    "waiting orderlines": examine_waiting_lines,
    "lanes": examine_lanes,
    "rate limits": examine_rate_limits,
    "records": examine_records,
    "subscriptions": examine_subscriptions,
    "cutover": examine_cutover,
    "alerts": examine_alerts,
    "damage": examine_damage,
    "flaws": examine_flaws,
}
"""The examinations in the order of the report: what comes first is often the cause of what follows. To add one, add a
function here."""
SLOW = frozenset(["damage", "flaws"])
"""Those that read whole tables."""


def findings(examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of an examination; an error in it is a finding too, so that the other examinations run."""
    try:
        yield from examine()
    except Exception as error:
        if (cause := postgresql_error(error)) is not None:
            error = problem_of(cause)
        yield Finding(False, str(error).splitlines()[0] if str(error) else type(error).__name__, kind="examination")
