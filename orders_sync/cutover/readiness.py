"""Whether V2 is ready to be the truth: what must hold, checked one by one, each with its reason in words."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from orders_sync.config.schedules import load_schedules
from orders_sync.config.v1 import CutoverError, CutoverSettings
from orders_sync.cutover.v1_database import V1Database
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import lane_states
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.model.lane import SyncType

LATE = timedelta(hours=3)
"""So long after its tick a lane that has not succeeded is not fresh."""


class Check(NamedTuple):
    """One thing that must hold."""

    name: str
    passed: bool
    what: str


def checks_to_monitor(connection: Connection, settings: CutoverSettings, now: datetime | None = None) -> list[Check]:
    """What must hold before the days of agreement are counted: V1 can be read, V2's lanes run, a day was compared."""
    compared = connection.execute("SELECT count(*) FROM migration_comparisons").fetchone()
    count = int(compared[0]) if compared else 0
    return [
        _v1_is_readable(settings),
        _lanes_are_fresh(connection, settings, now or datetime.now(UTC)),
        Check("compared", count > 0, f"{count} account days were compared; `orders-sync migration compare` makes one"),
    ]


def checks_to_live(connection: Connection, settings: CutoverSettings, now: datetime | None = None) -> list[Check]:
    """What must hold before V1 is switched off."""
    now = now or datetime.now(UTC)
    wanted = settings.readiness
    days = [now.date() - timedelta(days=back) for back in range(wanted.days, 0, -1)]
    rows = connection.execute(
        """
        SELECT account, day, agreement, only_in_v1, locks_differing, calls_v2, too_many_requests_v2, verdict
        FROM migration_comparisons WHERE day = ANY(%s) ORDER BY account, day
        """,
        [days],
    ).fetchall()
    accounts = sorted(set(settings.marketplaces.values()))
    missing = sorted({(account, day) for account in accounts for day in days} - {(row[0], row[1]) for row in rows})
    days_missing = f"{len(missing)} of {len(days) * len(accounts)} account days are still needed: " + _some(
        [f"{account} {day}" for account, day in missing]
    )
    found = {
        "agreement": [f"{row[0]} {row[1]}: {row[2]:.2f} %" for row in rows if float(row[2]) < wanted.agreement],
        "missing": [f"{row[0]} {row[1]}: {row[3]}" for row in rows if row[3]],
        "locks": [f"{row[0]} {row[1]}: {row[4]}" for row in rows if row[4]],
        "calls": [
            f"{row[0]} {row[1]}: {row[5]} calls, {row[6]} times too many"
            for row in rows
            if row[5] > wanted.calls_per_day or row[6]
        ],
    }
    in_words = (
        ("agreement", "agreement", f"at least {wanted.agreement} % of each day's orders agree"),
        ("nothing missing", "missing", "no order is missing in V2"),
        ("locks", "locks", "no stock lock differs"),
        ("API budget", "calls", f"V2 made at most {wanted.calls_per_day} calls a day, and never too many at once"),
    )
    return [
        Check(
            "days compared", not missing,
            days_missing if missing else f"all {wanted.days} days before today were compared",
        ),
        *(Check(name, not found[key], _some(found[key]) if found[key] else good) for name, key, good in in_words),
        _lanes_are_fresh(connection, settings, now),
        _v1_is_readable(settings),
    ]  # fmt: skip


def days_still_needed(connection: Connection, settings: CutoverSettings, today: date) -> int:
    """How many more good days in a row it takes, if every coming one is good."""
    wanted = settings.readiness
    rows = connection.execute(
        """
        SELECT day, bool_and(agreement >= %s AND only_in_v1 = 0 AND locks_differing = 0) AND count(*) >= %s
        FROM migration_comparisons WHERE day < %s GROUP BY day
        """,
        [wanted.agreement, len(set(settings.marketplaces.values())), today],
    ).fetchall()
    good = {day for day, is_good in rows if is_good}
    run = 0
    while today - timedelta(days=run + 1) in good:
        run += 1
    return max(0, wanted.days - run)


def _lanes_are_fresh(connection: Connection, settings: CutoverSettings, now: datetime) -> Check:
    schedules = load_schedules()
    usable, _ = load_accounts()
    accounts = [name for name in sorted(set(settings.marketplaces.values())) if name in usable]
    late = [
        str(state.lane)
        for state in lane_states(connection, accounts)
        if state.last_succeeded_at is None
        or state.last_succeeded_at < schedules.last_tick(SyncType(state.lane.sync_type), now - LATE)
    ]
    return Check("lanes", not late, "every lane of V2 is fresh" if not late else f"not fresh: {', '.join(late)}")


def _v1_is_readable(settings: CutoverSettings) -> Check:
    try:
        v1 = V1Database(settings)
    except CutoverError as problem:
        return Check("V1", False, str(problem))
    v1.close()
    return Check("V1", True, f"V1's database {v1.shown} can be read")


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
