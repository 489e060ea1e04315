"""Whether the last compared day of the cutover from V1 was good, and V1 is configured while it has the authority."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import LiteralString

from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level


def examine_cutover() -> Iterator[Finding]:
    """The comparisons of yesterday, while V1 is compared with V2; nothing where there is no V1."""
    if find_spec("orders_sync.cutover") is None:  # a project that has left V1 behind may delete it
        return
    from orders_sync.config.v1 import NoV1Error, load_cutover_settings
    from orders_sync.lanes.authority import Phase, current_phase

    try:
        settings = load_cutover_settings()
    except NoV1Error as problem:
        with orders_database(APPLICATION) as connection:
            phase = current_phase(connection)
        if phase is not Phase.LIVE:
            yield Finding(
                False,
                f"V1 has the authority (phase {phase}), so V2 locks no stock. {problem}",
                "Write the file again as it was: `orders-sync cutover advance` then ends V1's authority.",
                kind="no V1",
            )
        return
    with orders_database(APPLICATION) as connection:
        bad = connection.execute(_BAD_DAYS, [settings.readiness.agreement]).fetchall()
    for account, day, verdict in bad:
        yield Finding(
            False,
            f"{day} is not a good day of the cutover: {verdict}",
            "`orders-sync cutover status` shows what V2 lacks.",
            account,
            kind=f"cutover day {day}",
            level=Level.WARNING,
        )


_BAD_DAYS: LiteralString = """
SELECT account, day, verdict FROM (
  SELECT DISTINCT ON (account) * FROM migration_comparisons
  WHERE day = (now() AT TIME ZONE 'UTC')::date - 1 AND compared_at > now() - interval '2 days'
  ORDER BY account, comparison_id DESC) latest
WHERE NOT (correct >= %s AND missing_in_v2 = 0 AND locks_differing = 0) OR compared_orders = 0
ORDER BY account
"""
