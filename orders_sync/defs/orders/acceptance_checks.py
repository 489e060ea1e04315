"""The acceptance clock as an asset check: it warns before a waiting orderline runs out, also in the night."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orders_sync.config.pages import WAITING_PAGE
from orders_sync.config.schedules import load_schedules
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import rows_check_result
from orders_sync.marketplaces.kit.accounts import load_accounts
from orders_sync.passes.acceptance_clock import Outlook, outlooks

COLUMNS = ["account", "order_id", "item_id", "sku", "waits_since", "deadline", "hours_left", "what_happens"]


@dg.asset_check(
    asset="order_items",
    description=(
        "No orderline that waits for the merchant runs out unanswered. A warning: less than a quarter of its account's "
        "`acceptance_deadline` is left, or only one pass of `new` can still answer it. An error: its time runs out "
        "before the next pass has answered it, or its account's file has an error. Its page and `orders-sync "
        "acceptance waiting` list all."
    ),
)
def no_acceptance_runs_out(orders_database: OrdersDatabase) -> dg.AssetCheckResult:
    """Lists the waiting lines that run out soon. Accounts without `acceptance_deadline` are named only."""
    now = datetime.now(UTC)
    accounts, problems = load_accounts()
    with orders_database.read_stock("check") as stock:
        found = outlooks(stock, accounts, now, load_schedules(), problems)
    unanswerable = [each for each in found if each.line.account in problems]
    late = [each for each in found if each.runs_out_before_next_pass]
    soon = [
        each for each in found
        if each.runs_out_before_pass_after or (each.warned_from is not None and each.warned_from <= now)
    ]  # fmt: skip
    severity = dg.AssetCheckSeverity.ERROR if late or unanswerable else dg.AssetCheckSeverity.WARN
    result = rows_check_result(COLUMNS, _rows([*unanswerable, *soon], now), severity)
    metadata = {**result.metadata, "all waiting lines": dg.MetadataValue.url(WAITING_PAGE)}
    if unset := sorted({each.line.account for each in found if each.deadline is None} - set(problems)):
        metadata["without acceptance_deadline"] = dg.MetadataValue.text(", ".join(unset))
    words = [_of_unusable(unanswerable), _in_words(late, soon)]
    return result._replace(description=" ".join(filter(None, words)) or None, metadata=metadata)


def _rows(found: Sequence[Outlook], now: datetime) -> list[tuple[Any, ...]]:
    return [
        (
            each.line.account, each.line.order_id, each.line.item_id, each.line.sku, each.line.waits_since,
            each.deadline, each.hours_left(now), each.next_step,
        )
        for each in found
    ]  # fmt: skip


def _of_unusable(unanswerable: Sequence[Outlook]) -> str | None:
    """What the check says of lines whose account's file has an error; None if there are none."""
    if not unanswerable:
        return None
    names = ", ".join(sorted({each.line.account for each in unanswerable}))
    return f"{len(unanswerable)} waiting orderlines are not answered, since the account files of {names} have errors."


def _in_words(late: Sequence[Outlook], soon: Sequence[Outlook]) -> str | None:
    """What the check says in one line; None if there is nothing to say."""
    if not soon:
        return None
    moment = f"{min(each.next_pass for each in late or soon).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if late:
        return (
            f"{len(late)} waiting orderlines run out before the next pass of `new`, at {moment}, has answered them. "
            "Start one by hand, or answer them in the marketplace's back office."
        )
    return f"{len(soon)} waiting orderlines run out soon; the next pass of `new` is at {moment}."
