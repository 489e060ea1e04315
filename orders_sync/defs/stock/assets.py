"""Stock: the levels, and the locks that order events create, consume and release."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from orders_sync.config.pages import STOCK_PAGE
from orders_sync.dagster_support.by_run import by_hand
from orders_sync.dagster_support.markdown import as_markdown_table
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.dagster_support.row_checks import rows_check_result, with_link
from orders_sync.dagster_support.table_assets import column_schema
from orders_sync.database import tables
from orders_sync.lanes.authority import current_authority
from orders_sync.lanes.restocking import note_restocking
from orders_sync.marketplaces.kit.accounts import account_names, overselling_accounts, restocking_accounts
from orders_sync.stock.actions import LOCK_ACTIONS
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.available import Available
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.held import HeldPieces, held
from orders_sync.stock.queries import (
    FailedEvent,
    ReservedMismatch,
    Shortage,
    StoredTransition,
    failed_events,
    latest_history,
    locks_by_state,
    reserved_mismatches,
    shortages,
)
from orders_sync.stock.reconcile import ReturnNotBooked
from orders_sync.stock.stored_available import available_totals, scarcest_available, store_available

GROUP = "stock"
OWNERS = ["team:warehouse"]

TRANSITIONS_SHOWN = 25
SCARCEST_SHOWN = 10
NOT_BOOKED_SHOWN = 50
LOCK_ACTIONS_TABLE = as_markdown_table(
    ["status of the item", "the lock", "why"],
    [(f"`{status}`", meaning.action, meaning.why) for status, meaning in LOCK_ACTIONS.items()],
)

stock_levels = dg.AssetSpec(
    "stock_levels",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    description="Pieces of each SKU: on hand (imported by `orders-sync stock import`) and reserved.",
    metadata={
        "dagster/column_schema": column_schema(tables.stock.stock_levels),
        "dagster/table_name": "stock_levels",
    },
)


@dg.asset(
    deps=["order_events", "order_items", stock_levels],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    pool="stock",
    description=(
        "Applies pending order events: each item's lock becomes what the item needs.\n\n" + LOCK_ACTIONS_TABLE
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.stock.stock_locks),
        "dagster/table_name": "stock_locks",
    },
    check_specs=[
        dg.AssetCheckSpec("no_shortages", asset="stock_locks", description="Items whose stock can't be locked."),
        dg.AssetCheckSpec(
            "nothing_is_held",
            asset="stock_locks",
            description="Pieces of items that were cancelled after the label: they may have left, and stay reserved "
            "until the marketplace or a person says so.",
        ),
        dg.AssetCheckSpec(
            "reserved_is_what_is_locked",
            asset="stock_locks",
            description="The reserved pieces of each SKU are the locked and held pieces of its locks.",
        ),
        dg.AssetCheckSpec(
            "every_event_could_be_applied",
            asset="stock_locks",
            description="Every event could be applied. One that fails five times is given up until a person decides: "
            "the jobs `retry_events` and `skip_event`, or `orders-sync stock retry-event` and `skip-event`.",
        ),
    ],
)
def stock_locks(context: dg.AssetExecutionContext, orders_database: OrdersDatabase) -> Any:
    """Applies the pending events, and runs the checks."""
    with orders_database.connect_to_stock("stock") as stock:
        authority = current_authority(stock.connection)
        of_v1 = [name for name in account_names() if not authority.is_live(name)]
        note_restocking(stock.connection, restocking_accounts())
        applied = apply_pending(stock, overselling_accounts(), by=by_hand(context.run, context.instance))
        states = locks_by_state(stock)
        latest = latest_history(stock, TRANSITIONS_SHOWN)
        checks = list(_check_results(stock))
    yield dg.MaterializeResult(
        metadata={
            "accounts whose locks are V1's": ", ".join(of_v1) or "none",
            "events_applied": applied.events,
            "events_failed": applied.failed,
            "pieces_returned": applied.returned,
            **_returns_not_booked(applied.not_booked),
            **{f"transitions_to_{state}": count for state, count in applied.transitions.items()},
            **{f"locks_{state}": count for state, count in states.items()},
            "latest transitions": _transitions_table(latest),
            "all transitions of one lock": "The job `explain_lock`, or `orders-sync stock explain ITEM`, shows them.",
        }
    )
    yield from checks


@dg.asset(
    deps=["stock_locks", stock_levels],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"table", "postgres"},
    pool="stock",
    description=(
        "What each account can offer of each SKU: on hand, less what locks hold and wait for, less the buffer "
        "(`orders-sync stock buffer`). A listing tool or a job of yours takes it from here; nothing is sent to a "
        "marketplace."
    ),
    metadata={
        "dagster/column_schema": column_schema(tables.stock.stock_available),
        "dagster/table_name": "stock_available",
    },
)
def stock_available(orders_database: OrdersDatabase) -> dg.MaterializeResult[Any]:
    """Computes what has changed and stores it, with its history."""
    with orders_database.connect_to_stock("available to sell") as stock:
        changed = store_available(stock, account_names())
        totals = available_totals(stock)
        scarcest = scarcest_available(stock, SCARCEST_SHOWN)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": totals.numbers,
            "pieces_available": totals.pieces,
            "not_available": totals.not_available,
            "changed": changed,
            "scarcest": rows_table(Available._fields, scarcest),
        }
    )


def _check_results(stock: StockConnection) -> Iterator[dg.AssetCheckResult]:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    found: list[tuple[str, Any, Sequence[tuple[Any, ...]], dg.AssetCheckSeverity]] = [
        ("no_shortages", Shortage, shortages(stock), warn),
        ("nothing_is_held", HeldPieces, held(stock), warn),
        ("reserved_is_what_is_locked", ReservedMismatch, reserved_mismatches(stock), error),
        ("every_event_could_be_applied", FailedEvent, failed_events(stock), error),
    ]
    for name, row_type, rows, severity in found:
        result = with_link(rows_check_result(list(row_type._fields), rows, severity), STOCK_PAGE)
        yield result._replace(check_name=name, asset_key=dg.AssetKey("stock_locks"))


def _returns_not_booked(found: Sequence[ReturnNotBooked]) -> dict[str, dg.MetadataValue]:
    """The table of returns of which fewer pieces were booked than their care records say, if there are any."""
    if not found:
        return {}
    hint = "`orders-sync stock explain ITEM` keeps showing them; `orders-sync stock return` books by hand."
    return {
        f"{len(found)} returns not booked in full": rows_table(ReturnNotBooked._fields, found[:NOT_BOOKED_SHOWN]),
        "what to do about them": dg.MetadataValue.text(hint),
    }


def _transitions_table(transitions: list[StoredTransition]) -> dg.TableMetadataValue:
    columns = ["at", "account", "item", "SKU", "pieces", "cause", "before", "after"]
    rows = [
        (each.at, each.account, each.item_id, each.sku, each.quantity, each.cause, each.from_state, each.to_state)
        for each in transitions
    ]
    return rows_table(columns, rows)
