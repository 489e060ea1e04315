"""Whether the last compared day of the cutover from V1 was good, and V1 is configured while it has the authority."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import LiteralString

from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level
from orders_sync.marketplaces.kit.accounts import account_names


def examine_cutover() -> Iterator[Finding]:
    """The comparisons of yesterday, while V1 is compared with V2; nothing where there is no V1."""
    if find_spec("orders_sync.cutover") is None:  # a project that has left V1 behind may delete it
        return
    from orders_sync.config.v1 import NoV1Error, load_cutover_settings
    from orders_sync.cutover.readiness import left_out_accounts
    from orders_sync.lanes.authority import current_authority

    try:
        settings = load_cutover_settings()
    except NoV1Error as problem:
        with orders_database(APPLICATION) as connection:
            authority = current_authority(connection)
        for account in account_names():
            if authority.is_live(account):
                continue
            yield Finding(
                False,
                f"V1 has the authority (phase {authority.of(account).phase}), so V2 accepts no orderlines. {problem}",
                "Write the file again as it was: `orders-sync cutover advance` then ends V1's authority.",
                account,
                kind="no V1",
            )
        return
    with orders_database(APPLICATION) as connection:
        authority = current_authority(connection)
        bad = connection.execute(_BAD_DAYS, [settings.readiness.agreement]).fetchall()
        written = connection.execute(_V1_WRITES).fetchall()
    for account in left_out_accounts(settings, authority):
        yield Finding(
            False,
            f"V1 has the authority (phase {authority.of(account).phase}), so V2 accepts no orderlines, but "
            f"{settings.file} names no marketplace of V1 for this account",
            f"Write it under `marketplaces` again: `orders-sync cutover advance --account {account}` then ends V1's "
            "authority.",
            account,
            kind="no V1",
        )
    for account, orders in written:
        yield Finding(
            False,
            f"V1 has written {orders} orders since V2 has the account: both may accept and lock",
            "Switch V1 off for this account, or give it back: `orders-sync cutover back`.",
            account,
            kind="V1 writes",
        )
    for account, day, verdict in bad:
        yield Finding(
            False,
            f"{day} is not a good day of the cutover: {verdict}",
            "`orders-sync cutover status` shows what V2 lacks.",
            account,
            kind=f"cutover day {day}",
            level=Level.WARNING,
        )


_V1_WRITES = """
SELECT account, orders FROM migration_v1_writes
WHERE orders > 0 AND is_account_live(account) AND looked_at > now() - interval '1 day' ORDER BY account
"""
_BAD_DAYS: LiteralString = """
SELECT account, day, verdict FROM (
  SELECT DISTINCT ON (account) * FROM migration_comparisons
  WHERE day = (now() AT TIME ZONE 'UTC')::date - 1 AND compared_at > now() - interval '2 days'
  ORDER BY account, comparison_id DESC) latest
WHERE NOT (correct >= %s AND missing_in_v2 = 0 AND locks_differing = 0) OR compared_orders = 0
ORDER BY account
"""
