"""Whether the last compared day of the cutover from V1 was good, and V1 is configured while it has the authority."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level
from orders_sync.marketplaces.kit.accounts import account_names

if TYPE_CHECKING:
    from orders_sync.config.v1 import CutoverSettings
    from orders_sync.lanes.authority import Authority

_READINESS = "orders_sync.cutover.readiness"
"""Imported by its name: a project that has left V1 behind may delete it, and `examine_cutover` then ends before."""


def examine_cutover() -> Iterator[Finding]:
    """The comparisons of yesterday, while V1 is compared with V2; nothing where there is no V1."""
    if find_spec("orders_sync.cutover") is None:  # a project that has left V1 behind may delete it
        return
    from orders_sync.config.v1 import NoV1Error, load_cutover_settings
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
        written = connection.execute(_V1_WRITES).fetchall()
    readiness = import_module(_READINESS)
    for account in readiness.left_out_accounts(settings, authority):
        yield Finding(
            False,
            f"V1 has the authority (phase {authority.of(account).phase}), so V2 accepts no orderlines, but "
            f"{settings.file} names no marketplace of V1 for this account",
            f"Write it under `marketplaces` again: `orders-sync cutover advance --account {account}` then ends V1's "
            "authority.",
            account,
            kind="no V1",
        )
    if not all(map(authority.is_live, authority.moved)):  # else V1 is gone for all of them
        yield from _beside_v1(settings, authority)
    for account, orders in written:
        yield Finding(
            False,
            f"V1 has written {orders} orders since V2 has the account: both may accept and lock",
            "Switch V1 off for this account, or give it back: `orders-sync cutover back`.",
            account,
            kind="V1 writes",
        )
    yield from _days(settings, authority)


def _beside_v1(settings: "CutoverSettings", authority: "Authority") -> Iterator[Finding]:
    """The accounts for which V2 acts while others are in a cutover, and V1 may act as well."""
    readiness = import_module(_READINESS)
    for account in readiness.unnamed_accounts(settings):
        if authority.is_live(account):
            yield Finding(
                False,
                f"V2 accepts its orderlines, and {settings.file} does not say whether V1 has it",
                "Add it to `marketplaces` if V1 has it, or else to `accounts_without_v1`.",
                account,
                kind="not named for the cutover",
                level=Level.WARNING,
            )
    for account in readiness.accounts_of(settings):
        if authority.of(account).since is None:
            yield Finding(
                False,
                "its cutover has not begun, so V2 accepts its orderlines, and so may V1",
                f"`orders-sync cutover begin --account {account}` leaves it to V1 until you move it.",
                account,
                kind="cutover not begun",
                level=Level.WARNING,
            )


def _days(settings: "CutoverSettings", authority: "Authority") -> Iterator[Finding]:
    """Of the accounts that V1 has: whether yesterday was a good day, and whether the day before was compared at all."""
    readiness = import_module(_READINESS)
    accounts = [name for name in readiness.accounts_of(settings) if not authority.is_live(name)]
    today = datetime.now(UTC).date()
    yesterday, before = today - timedelta(days=1), today - timedelta(days=2)
    with orders_database(APPLICATION) as connection:
        compared = {
            (each.account, each.day): each
            for each in readiness.compared_days(connection, [yesterday, before], accounts)
        }
    for account in accounts:
        of_yesterday = compared.get((account, yesterday))
        if of_yesterday is not None and not of_yesterday.is_good(settings.readiness.agreement):
            why = of_yesterday.why_it_does_not_count
            yield _bad_day(account, yesterday, f"does not count: {why}" if why else of_yesterday.verdict)
        since = authority.of(account).since
        if since is not None and since.astimezone(UTC).date() < before and (account, before) not in compared:
            yield _bad_day(account, before, "V1 and V2 were not compared")


def _bad_day(account: str, day: date, why: str) -> Finding:
    return Finding(
        False,
        f"{day} is not a good day of the cutover: {why}",
        "`orders-sync cutover status` shows what V2 lacks.",
        account,
        kind=f"cutover day {day}",
        level=Level.WARNING,
    )


_V1_WRITES = """
SELECT account, orders FROM migration_v1_writes written
WHERE orders > 0 AND is_account_live(account) AND looked_at > now() - interval '1 day'
  AND looked_at > (SELECT max(moved_at) FROM migration_moves move WHERE move.account IN (written.account, ''))
ORDER BY account
"""
