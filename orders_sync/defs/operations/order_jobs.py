"""Jobs about one order: `orders-sync explain` and `orders-sync sync --order`, with a form in the UI."""

import dagster as dg
from pydantic import Field

from orders_sync.dagster_support.by_run import NOT_REPEATED, by_run
from orders_sync.dagster_support.failures import one_line_failures
from orders_sync.dagster_support.metadata import rows_table, texts_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.history.search import order_named
from orders_sync.history.timeline import Entry, facts_of, timeline
from orders_sync.marketplaces.kit.accounts import find_account
from orders_sync.model.control_characters import safe_text
from orders_sync.passes.sync_order import sync_order

LANE_WAIT_SECONDS = 60.0
"""How long a run waits for the lane `new` of the account."""


class ExplainOrder(dg.Config):
    """What to explain."""

    order: str = Field(description="The marketplace's id of the order, also as `account/id`.")


class RereadOrder(dg.Config):
    """What to read again."""

    account: str = Field(description="The seller account.")
    order_id: str = Field(description="The marketplace's id of the order.")


@dg.op(description="Shows the whole history of an order, in the order of time, as metadata of this run.")
def explain_one_order(context: dg.OpExecutionContext, config: ExplainOrder, orders_database: OrdersDatabase) -> None:
    """Logs the history as an observation of `orders`. Raises dg.Failure where there is no such order."""
    with one_line_failures(), orders_database.read_stock("explain") as stock:
        account, order_id = order_named(stock.connection, config.order)
        facts, entries = facts_of(stock, account, order_id), timeline(stock, account, order_id)
    metadata: dict[str, dg.TableMetadataValue] = {"history": rows_table(Entry._fields, entries)}
    if facts is not None:
        order, items = facts
        metadata = {
            "order": rows_table(("fact", "value"), [each for each in order._asdict().items() if each[1] is not None]),
            "items": rows_table(type(items[0])._fields if items else (), items),
            **metadata,
        }
    description = safe_text(f"The history of order {order_id} of account {account}")
    context.log_event(dg.AssetObservation("orders", description=description, metadata=metadata))


@dg.op(description="Fetches an order, compares it value by value with what is stored, and stores it.")
def reread_one_order(context: dg.OpExecutionContext, config: RereadOrder, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if the order is rejected, or can't be fetched."""
    order_id = config.order_id.strip()
    with one_line_failures():
        summary = sync_order(
            find_account(config.account), order_id, context.run.run_id, by=by_run(context.run),
            reread=True, wait_seconds=LANE_WAIT_SECONDS,
        )  # fmt: skip
    done = "created" if summary.created else "changed" if summary.changed else "unchanged"
    if summary.rejected:
        raise dg.Failure(safe_text(f"Order {order_id} is rejected: {'; '.join(summary.problems)}"), allow_retries=False)
    metadata = {"problems": texts_table("problem", summary.problems)} if summary.problems else {}
    description = safe_text(f"Order {order_id} of account {config.account} was read again: {done}")
    context.log_event(dg.AssetObservation("orders", description=description, metadata=metadata))


@dg.job(
    description="Shows the whole history of an order: versions, events, locks, documents, care and acts. Set `order` "
    "in the launchpad.",
    executor_def=dg.in_process_executor,
)
def explain_order() -> None:
    """The one op `explain_one_order`."""
    explain_one_order()


@dg.job(
    description="Fetches one order now, compares it value by value and stores it. Set `account` and `order_id` in the "
    "launchpad.",
    tags=NOT_REPEATED,
)
def reread_order() -> None:
    """The one op `reread_one_order`."""
    reread_one_order()
