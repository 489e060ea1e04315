"""`orders-sync lanes`: what a person may change about a lane."""

import uuid
from datetime import datetime

import click

from orders_sync.cli.names import LANE
from orders_sync.cli.output import console
from orders_sync.cli.past_time import PastTime
from orders_sync.cli.user import by_user
from orders_sync.model.lane import Lane
from orders_sync.model.time_words import moment


@click.group()
def lanes() -> None:
    """Set the watermark of a lane back.

    A lane is one sync of one account, e.g. shop/new.
    """


@lanes.command("rewind")
@click.argument("lane", type=LANE)
@click.option(
    "--to",
    required=True,
    type=PastTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="The watermark from now on, in UTC: from 2000-01-01 up to now.",
)
@click.option("--reason", required=True, help="Why; stored with your name.")
def rewind(lane: Lane, to: datetime, reason: str) -> None:
    """Set the watermark of LANE back.

    The next pass fetches again what came since then. Nothing is stored twice. Stores who did it, when, and why.

    It may be set forward again, but not beyond where it was before it was set back: what came later may be missing.
    A watermark before the year 2000 is wrong, and may be set to any time from 2000 up to now.

    Exit code 1 if the watermark can't be set to that time, 3 if a run works on the lane.
    """
    from orders_sync.database.schema import check_schema
    from orders_sync.lanes.watermark import rewind as rewind_watermark
    from orders_sync.marketplaces.kit.accounts import check_account_name

    by = by_user(reason, f"cli-{uuid.uuid4().hex[:8]}")
    check_account_name(lane.account)
    check_schema()
    before = rewind_watermark(lane, to, by)
    console.print(f"{lane}: the watermark was {moment(before)} UTC and is now {moment(to)} UTC.", markup=False)
