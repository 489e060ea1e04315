"""Further passes of `new` between its ticks, before waiting orderlines run out: only for accounts that ask for them."""

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from orders_sync.config.account import SellerAccount
from orders_sync.config.code_location import waits_for_reload
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_instance.lane_assets import SYNC_TYPE_TAG
from orders_sync.dagster_support.busy_lanes import busy_with, runs_under_way
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.run_requests import request_of
from orders_sync.database.engine import Connection
from orders_sync.lanes.pauses import pause_of
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.marketplaces.kit.rate_limits import PausedError, check_pause
from orders_sync.model.lane import Lane, SyncType
from orders_sync.passes.acceptance_clock import MAX_FURTHER_PASSES, Outlook, outlooks, runs_out_unanswered

DAY_SECONDS = 86_400


@dg.sensor(
    asset_selection=dg.AssetSelection.tag(SYNC_TYPE_TAG, SyncType.NEW.value),
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests a further pass of `new` for accounts with `pass_before_deadline`, if waiting orderlines that could "
        "be answered now run out before the next tick. Once for the same lines, at most four times a day."
    ),
)
def passes_before_deadlines(
    context: dg.SensorEvaluationContext, orders_database: OrdersDatabase
) -> dg.SensorResult | dg.SkipReason:
    """The cursor: account → run keys of its last passes → when they were requested (epoch seconds)."""
    accounts = {
        name: account
        for name, account in load_accounts()[0].items()
        if account.settings.pass_before_deadline and account.has_on(SyncType.NEW) and not waits_for_reload(name)
    }
    if not accounts:
        return dg.SkipReason("No account asks for it (pass_before_deadline).")
    now = datetime.now(UTC)
    settings = load_schedules()
    with orders_database.read_stock("passes before deadlines") as stock:
        late = [each for each in outlooks(stock, accounts, now, settings) if runs_out_unanswered(each, now)]
    requested: dict[str, dict[str, float]] = json.loads(context.cursor or "{}")
    requests: list[dg.RunRequest] = []
    skipped: list[str] = []
    with orders_database.connect("passes before deadlines") as connection:
        for name in sorted({each.line.account for each in late}):
            lane = Lane(name, SyncType.NEW)
            recent = {key: at for key, at in requested.get(name, {}).items() if at > time.time() - DAY_SECONDS}
            run_key = _run_key(lane, late)
            if run_key in recent:
                skipped.append(f"{lane}: a pass was requested for these lines already")
            elif (reason := _why_not(context.instance, connection, accounts[name], lane, len(recent))) is not None:
                skipped.append(f"{lane}: {reason}")
            else:
                requested[name] = {**recent, run_key: time.time()}
                marketplace = accounts[name].settings.marketplace
                requests.append(request_of(connection, lane, marketplace, settings, run_key))
    if not requests:
        return dg.SkipReason("; ".join(skipped) or "No line that could be answered runs out before the next tick.")
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(requested))


def _why_not(
    instance: dg.DagsterInstance, connection: Connection, account: SellerAccount, lane: Lane, passes: int
) -> str | None:
    """Why no pass is requested; None if one is."""
    if passes >= MAX_FURTHER_PASSES:
        return f"{MAX_FURTHER_PASSES} further passes were requested within 24 hours"
    if (who := busy_with(lane, runs_under_way(instance), connection)) is not None:
        return f"{who} works on it"
    if (pause := pause_of(connection, account, lane.sync_type)) is not None:
        return str(pause)
    try:
        check_pause(connection, account)
    except PausedError as pause:
        return str(pause)
    return None


def _run_key(lane: Lane, late: Sequence[Outlook]) -> str:
    """The same for the same lines until the next tick: Dagster runs a key once."""
    own = [each for each in late if each.line.account == lane.account]
    digest = hashlib.sha256("\n".join(sorted(each.line.item_id for each in own)).encode()).hexdigest()[:16]
    return f"{lane}/before deadline/{own[0].next_pass.isoformat()}/{digest}"
