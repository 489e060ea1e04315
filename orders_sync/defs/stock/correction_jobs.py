"""Jobs that correct stock by hand: `orders-sync stock adjust`, `lock`, `release`, `return` … with a form in the UI.

Fill in the form in the launchpad of the job. Each act is on record with its reason, the run and the
run's tag `user`.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import Enum

import dagster as dg
from pydantic import Field

from orders_sync.dagster_support.by_run import NOT_REPEATED, by_run
from orders_sync.dagster_support.failures import one_line_failures
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.marketplaces.kit.accounts import account_names, overselling_accounts
from orders_sync.model.control_characters import safe_text
from orders_sync.stock.by_hand import (
    StockActError,
    adjust,
    decide,
    pieces_to_return,
    return_to_stock,
    undo_shipment,
    what_came_back,
)
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.failed_events import retry_failed, skip_failed
from orders_sync.stock.held import has_left, still_here
from orders_sync.stock.input import check_past_time
from orders_sync.stock.levels import LevelChange, import_levels, read_stock_file
from orders_sync.stock.needs import Decision
from orders_sync.stock.received import care_record_named, destination, put_away, receive
from orders_sync.stock.reconcile import StockResult
from orders_sync.stock.store import stored_sku_case
from orders_sync.stock.stored_available import store_available
from orders_sync.stock.wrong_locks import WrongLock, repair, wrong_locks

# What the command line calls checks the values, and says in one line what is wrong. A limit in a Field would fail the
# run with a stack trace.
REASON = Field(description="Why; stored with the act.")


class LockDecision(Enum):
    """What to do with an item's lock. It holds until the item's status changes."""

    LOCK = "lock"
    RELEASE = "release"
    UNDO_SHIPMENT = "not_shipped"


class AdjustStock(dg.Config):
    """What to adjust."""

    sku: str = Field(description="A SKU of the stock list.")
    pieces: int = Field(description="Pieces to add to the pieces on hand; negative: to take away.")
    reason: str = REASON


class ImportStock(dg.Config):
    """What to import."""

    csv: str = Field(description="The content of a CSV file with the columns sku and on_hand, and counted_at if known.")
    counted_at: str | None = Field(
        default=None,
        description="When the shelf was counted, for rows without a time, e.g. 2026-03-01T17:30, in UTC unless it has "
        "a zone. Not set: now.",
    )
    dry_run: bool = Field(default=False, description="Change nothing, and show what would change.")


class DecideLock(dg.Config):
    """What to decide."""

    account: str = Field(description="The seller account.")
    item_id: str = Field(description="The marketplace's id of the order item.")
    decision: LockDecision = Field(description="LOCK, RELEASE, or UNDO_SHIPMENT (it was set to shipped by mistake).")
    pieces: int | None = Field(
        default=None, description="Of UNDO_SHIPMENT: how many pieces did not leave; by default, all that have left."
    )
    reason: str = REASON


class WhereHeldPiecesAre(Enum):
    """What became of pieces that were cancelled after the label."""

    STILL_HERE = "still_here"
    HAS_LEFT = "has_left"


class SettleHeldPieces(dg.Config):
    """Where held pieces are."""

    account: str = Field(description="The seller account.")
    item_id: str = Field(description="The marketplace's id of the order item.")
    found: WhereHeldPiecesAre = Field(description="STILL_HERE: release them; HAS_LEFT: take them from the shelf.")
    pieces: int | None = Field(default=None, description="Pieces of the item. Not set: all that are held.")
    left_at: str | None = Field(
        default=None,
        description="Of HAS_LEFT: when they left, e.g. 2026-03-01T17:30, in UTC unless it has a zone. Not set: now.",
    )
    reason: str = REASON


class ReturnToStock(dg.Config):
    """What came back: pieces of an item, those of a care record, or pieces of an item by a care record."""

    account: str = Field(description="The seller account.")
    item_id: str | None = Field(
        default=None, description="The marketplace's id of the order item. Not set: all items of the care record."
    )
    pieces: int | None = Field(
        default=None, description="Pieces of the item that are on the shelf again; required with `item_id`."
    )
    care_id: str | None = Field(
        default=None, description="The marketplace's id of the care record by which they came back."
    )
    reason: str = REASON


class ReceivePieces(dg.Config):
    """What came back by a care record: all its pieces, or some of an item."""

    care_id: str = Field(description="The marketplace's id of the care record, also as `account/id`.")
    item_id: str | None = Field(
        default=None, description="The marketplace's id of the order item. Not set: all items of the care record."
    )
    pieces: int | None = Field(default=None, description="Pieces of the item; required with `item_id`.")
    reason: str = REASON


class PutAwayPieces(dg.Config):
    """Where received pieces go: set one of `same_sku`, `sku` and `scrap`."""

    receipt: int = Field(description="The number of the receipt: `orders-sync stock received` lists them.")
    pieces: int | None = Field(default=None, description="How many pieces. Not set: all that are in quarantine.")
    same_sku: bool = Field(default=False, description="On the shelf, under the SKU with which they left.")
    sku: str | None = Field(
        default=None, description="On the shelf, under another SKU of the stock list, e.g. of another grade."
    )
    scrap: bool = Field(default=False, description="To scrap: they are not sold again.")
    reason: str = REASON


class RetryEvents(dg.Config):
    """Which events are tried again."""

    event_id: int | None = Field(
        default=None, description="The id of a failed event: `orders-sync stock events`. Not set: all that failed."
    )
    reason: str = REASON


class SkipEvent(dg.Config):
    """Which event is never tried again."""

    event_id: int = Field(description="The id of a failed event: `orders-sync stock events` lists them.")
    reason: str = REASON


class RepairLocks(dg.Config):
    """Whether to act."""

    repair: bool = Field(default=False, description="Repair the wrong locks. By default, they are only shown.")


@dg.op(description="Adds pieces to the pieces on hand of a SKU, or takes some away.")
def adjust_stock_level(context: dg.OpExecutionContext, config: AdjustStock, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if more pieces would be taken than there are."""
    with _stock(orders_database) as stock:
        done = adjust(stock, config.sku, config.pieces, by_run(context.run, config.reason), overselling_accounts())
    _report(context, done.text(), done.applied)


@dg.op(description="Sets the pieces on hand of SKUs to what was counted.")
def import_stock_levels(context: dg.OpExecutionContext, config: ImportStock, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure, which names the line, if the content has an error; then nothing is changed."""
    with _stock(orders_database) as stock, stock.changing():  # the case rule must not change meanwhile
        at = None if config.counted_at is None else check_past_time(config.counted_at, "counted_at")
        counts = read_stock_file(config.csv, stored_sku_case(stock))
        done = import_levels(
            stock, counts, overselling_accounts(), counted_at=at, by=by_run(context.run), dry_run=config.dry_run
        )
    what = f"{len(counts) - len(done.outdated)} SKUs {'would be' if config.dry_run else 'were'} imported"
    changes = {"changes": rows_table(LevelChange._fields, done.changes)}
    _report(context, f"{what}; the pieces on hand of {len(done.changes)} differ from before", done.applied, changes)


@dg.op(description="Locks or releases an order item by hand, or undoes its shipment.")
def decide_item_lock(context: dg.OpExecutionContext, config: DecideLock, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure where there is no such item, or nothing to undo."""
    key, decision = (config.account, config.item_id), Decision(config.decision.value)
    with _stock(orders_database) as stock:
        by = by_run(context.run, config.reason)
        if config.pieces is None:
            result = decide(stock, key, decision, by, overselling_accounts())
        elif decision is Decision.NOT_SHIPPED:
            result = undo_shipment(stock, key, config.pieces, by, overselling_accounts())
        else:
            raise StockActError(f"A decision to {decision} is about all pieces: leave `pieces` empty.")
    _report(context, f"Item {config.item_id}: {decision}", result)


@dg.op(description="Releases held pieces of an order item, or takes them from the pieces on hand.")
def settle_held_pieces(
    context: dg.OpExecutionContext, config: SettleHeldPieces, orders_database: OrdersDatabase
) -> None:
    """Raises dg.Failure if fewer pieces are held, or where there is no such item."""
    key = (config.account, config.item_id)
    with _stock(orders_database) as stock:
        by, oversell = by_run(context.run, config.reason), overselling_accounts()
        if config.found is WhereHeldPiecesAre.STILL_HERE:
            if config.left_at is not None:
                raise StockActError(
                    "Pieces that are still here have not left: remove `left_at`, or set `found` to HAS_LEFT."
                )
            done, found = still_here(stock, key, config.pieces, by, oversell), "still here"
        else:
            left_at = None if config.left_at is None else check_past_time(config.left_at, "left_at")
            done, found = has_left(stock, key, config.pieces, by, left_at, oversell), "not here any more"
    _report(context, f"{done.pieces} held pieces of item {config.item_id} are {found}", done.applied)


@dg.op(description="Books pieces that came back as pieces on hand.")
def return_item_to_stock(
    context: dg.OpExecutionContext, config: ReturnToStock, orders_database: OrdersDatabase
) -> None:
    """Raises dg.Failure if fewer pieces of an item have left, or if nothing says which pieces came back."""
    with _stock(orders_database) as stock:
        returned = pieces_to_return(stock, config.account, config.item_id, config.pieces, config.care_id)
        by = by_run(context.run, config.reason)
        result = return_to_stock(stock, returned, by, overselling_accounts(), care_id=config.care_id)
    _report(context, "; ".join(what_came_back(returned, result)), result)


@dg.op(description="Receives pieces of a care record in quarantine.")
def receive_pieces(context: dg.OpExecutionContext, config: ReceivePieces, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if fewer pieces have left, or if nothing says which pieces came back."""
    with _stock(orders_database) as stock:
        account, care_id = care_record_named(stock, config.care_id)
        returned = pieces_to_return(stock, account, config.item_id, config.pieces, care_id)
        found = receive(stock, care_id, returned, by_run(context.run, config.reason), overselling_accounts())
    received = ", ".join(f"{each.pieces} pieces of SKU {each.sku} (receipt {each.number})" for each in found.receipts)
    _report(context, f"{received} are in quarantine", found.applied)


@dg.op(description="Puts received pieces on the shelf, or scraps them.")
def put_away_pieces(context: dg.OpExecutionContext, config: PutAwayPieces, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if fewer pieces are in quarantine, or if the other SKU is not in the stock list."""
    with _stock(orders_database) as stock:
        chosen = destination(config.sku, same_sku=config.same_sku, is_scrap=config.scrap)
        by = by_run(context.run, config.reason)
        done = put_away(stock, config.receipt, config.pieces, chosen, by, overselling_accounts())
    _report(context, done.text, done.applied)


@dg.op(description="Lets the stock job try failed events again.")
def retry_failed_events(context: dg.OpExecutionContext, config: RetryEvents, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if the event has not failed."""
    with _stock(orders_database) as stock:
        count = retry_failed(stock, by_run(context.run, config.reason), config.event_id)
    _report(context, f"{count} events will be tried again by the stock job", StockResult())


@dg.op(description="Lets the stock job never try a failed event again.")
def skip_failed_event(context: dg.OpExecutionContext, config: SkipEvent, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if the event has not failed."""
    with _stock(orders_database) as stock:
        skip_failed(stock, config.event_id, by_run(context.run, config.reason))
    _report(context, f"Event {config.event_id} is skipped", StockResult())


@dg.op(description="Shows the locks that are not what their items need, and repairs them if `repair` is set.")
def repair_wrong_locks(context: dg.OpExecutionContext, config: RepairLocks, orders_database: OrdersDatabase) -> None:
    """The metadata lists them as they were before."""
    oversell = overselling_accounts()
    with _stock(orders_database) as stock:
        wrong = wrong_locks(stock, oversell)
        result = repair(stock, oversell, by_run(context.run)) if config.repair else StockResult()
    listed = rows_table(WrongLock._fields, wrong)
    what = f"{len(wrong)} wrong locks{' were repaired' if config.repair else ''}"
    if result.failed:
        what = f"{len(wrong)} wrong locks; {result.failed} items could not be repaired; their locks stay"
    _report(context, what, result, {"wrong": listed})


@contextmanager
def _stock(orders_database: OrdersDatabase) -> Generator[StockConnection]:
    """A connection that changes stock. Then stock_available has the numbers that the block led to.

    What the user got wrong fails the run in one line.
    """
    with one_line_failures(), orders_database.connect_to_stock("correction") as stock:
        yield stock
        store_available(stock, account_names())


def _report(
    context: dg.OpExecutionContext,
    what: str,
    result: StockResult,
    metadata: Mapping[str, dg.TableMetadataValue] | None = None,
) -> None:
    what = safe_text(what)  # the observation is a line of the run's log
    counts = {f"transitions_to_{state}": dg.MetadataValue.int(count) for state, count in result.transitions.items()}
    context.log_event(
        dg.AssetObservation("stock_locks", description=what, metadata={"act": what, **counts, **(metadata or {})})
    )


@dg.job(
    description="Adjusts the pieces on hand of a SKU. Set `sku`, `pieces` and `reason` in the launchpad.",
    tags=NOT_REPEATED,
)
def adjust_stock() -> None:
    """The one op `adjust_stock_level`."""
    adjust_stock_level()


@dg.job(
    description="Imports the pieces on hand. Set `csv` to the content of the file in the launchpad.",
    tags=NOT_REPEATED,
)
def import_stock() -> None:
    """The one op `import_stock_levels`."""
    import_stock_levels()


@dg.job(
    description="Locks or releases an item by hand, or undoes its shipment. Set `account`, `item_id`, `decision` and "
    "`reason` in the launchpad.",
    tags=NOT_REPEATED,
)
def decide_lock() -> None:
    """The one op `decide_item_lock`."""
    decide_item_lock()


@dg.job(
    description="Settles pieces of an item that was cancelled after the label. Set `account`, `item_id`, `found` and "
    "`reason` in the launchpad.",
    tags=NOT_REPEATED,
)
def settle_held() -> None:
    """The one op `settle_held_pieces`."""
    settle_held_pieces()


@dg.job(
    description="Books pieces that came back. Set `account`, `reason`, and `item_id` with `pieces`, or `care_id`, in "
    "the launchpad.",
    tags=NOT_REPEATED,
)
def return_stock() -> None:
    """The one op `return_item_to_stock`."""
    return_item_to_stock()


@dg.job(
    description="Receives pieces of a care record in quarantine. Set `care_id` and `reason` in the launchpad, and "
    "`item_id` with `pieces` where the care record does not say how many.",
    tags=NOT_REPEATED,
)
def receive_stock() -> None:
    """The one op `receive_pieces`."""
    receive_pieces()


@dg.job(
    description="Puts received pieces on the shelf, or scraps them. Set `receipt` and `reason` in the launchpad, and "
    "`sku` for another SKU or `scrap`.",
    tags=NOT_REPEATED,
)
def put_away_stock() -> None:
    """The one op `put_away_pieces`."""
    put_away_pieces()


@dg.job(
    description="Tries failed events again. Set `reason` in the launchpad, and `event_id` for one only.",
    tags=NOT_REPEATED,
)
def retry_events() -> None:
    """The one op `retry_failed_events`."""
    retry_failed_events()


@dg.job(
    description="Skips an event that can't be applied. Set `event_id` and `reason` in the launchpad.",
    tags=NOT_REPEATED,
)
def skip_event() -> None:
    """The one op `skip_failed_event`."""
    skip_failed_event()


@dg.job(
    description="Shows locks that are not what their items need; repairs them if `repair` is set in the launchpad.",
    tags=NOT_REPEATED,
)
def repair_locks() -> None:
    """The one op `repair_wrong_locks`."""
    repair_wrong_locks()
