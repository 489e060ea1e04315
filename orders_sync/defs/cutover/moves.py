"""The jobs that move accounts between the phases of the cutover: `orders-sync cutover begin`, `advance`, `back`."""

from collections.abc import Callable, Sequence

import dagster as dg
from pydantic import Field

from orders_sync.acts.by import By
from orders_sync.config.v1 import CutoverSettings, load_cutover_settings
from orders_sync.cutover import moves
from orders_sync.cutover.phases import MEANING, Move
from orders_sync.dagster_instance.automation import v1_off, v1_schedules_on
from orders_sync.dagster_instance.cutover_assets import events_of
from orders_sync.dagster_support.by_run import NOT_REPEATED, by_run
from orders_sync.dagster_support.failures import one_line_failures
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection


class MoveConfig(dg.Config):
    """Which accounts to move, and why."""

    accounts: list[str] = Field(default_factory=list[str])
    """Accounts of V1; empty: all of V1's that the move can be about."""
    reason: str
    """Why. It is recorded with the move."""


class AdvanceConfig(MoveConfig):
    """Which accounts to move, why, and whether in spite of the checks."""

    force: bool = False
    """Move although checks do not pass."""


@dg.op(description="Gives V1 the authority over accounts: V1 and V2 run side by side. V2 goes on with all others.")
def begin_cutover(context: dg.OpExecutionContext, config: MoveConfig, orders_database: OrdersDatabase) -> None:
    """Moves live accounts to `parallel`. Raises dg.Failure where they can't be moved."""
    _move(
        context, orders_database, config.reason,
        lambda connection, settings, by: moves.begin(connection, settings, by, config.accounts),
    )  # fmt: skip


@dg.op(
    description="Moves accounts to the next phase, if its checks pass. Going live takes over V1's stock locks; with "
    "the last account it switches V1's schedules off."
)
def advance_cutover(context: dg.OpExecutionContext, config: AdvanceConfig, orders_database: OrdersDatabase) -> None:
    """Moves accounts forward. Raises dg.Failure where a check does not pass, or they can't be moved."""
    instance = context.instance

    def forward(connection: Connection, settings: CutoverSettings, by: By) -> list[Move]:
        accounts = moves.accounts_in(connection, settings, config.accounts)
        return moves.advance(
            connection, settings, accounts, by, force=config.force,
            v1_off=lambda: v1_off(instance), v1_schedules_on=lambda: v1_schedules_on(instance),
        )  # fmt: skip

    _move(context, orders_database, config.reason, forward)


@dg.op(description="Moves accounts back to the first phase, at any time: V1 has the authority over them again.")
def take_cutover_back(context: dg.OpExecutionContext, config: MoveConfig, orders_database: OrdersDatabase) -> None:
    """Moves accounts back to `parallel`. Raises dg.Failure where they can't be moved."""
    _move(
        context, orders_database, config.reason,
        lambda connection, settings, by: moves.back(
            connection, moves.accounts_to_move_back(connection, settings, config.accounts), by
        ),
    )  # fmt: skip


def _move(
    context: dg.OpExecutionContext,
    orders_database: OrdersDatabase,
    reason: str,
    move: Callable[[Connection, CutoverSettings, By], Sequence[Move]],
) -> None:
    """Moves accounts, and logs the moves as events of their assets."""
    with one_line_failures(), orders_database.connect("cutover") as connection:
        made = move(connection, load_cutover_settings(), by_run(context.run, reason))
    for event in events_of(made):
        context.log_event(event)
    for each in made:
        context.log.info(f"{each.account}: from {each.from_phase} to {each.to_phase}: {MEANING[each.to_phase]}.")
    left = [
        (each.account, lock["order_id"] or "-", lock["item_id"], lock["status"])
        for each in made
        for lock in each.not_taken
    ]
    if left:
        table = rows_table(["account", "order", "item", "status in V2"], left)
        context.add_output_metadata({"locks of V1 that were not taken over": table})


@dg.job(
    description="Puts V1 and V2 side by side for accounts of V1. See docs/cutover.md.",
    tags=NOT_REPEATED,
    executor_def=dg.in_process_executor,
)
def cutover_begin() -> None:
    """`orders-sync cutover begin`."""
    begin_cutover()


@dg.job(
    description="Moves accounts to the next phase of the cutover, if its checks pass. See docs/cutover.md.",
    tags=NOT_REPEATED,
    executor_def=dg.in_process_executor,
)
def cutover_advance() -> None:
    """`orders-sync cutover advance`."""
    advance_cutover()


@dg.job(
    description="Gives V1 the authority over accounts again. See docs/cutover.md.",
    tags=NOT_REPEATED,
    executor_def=dg.in_process_executor,
)
def cutover_back() -> None:
    """`orders-sync cutover back`."""
    take_cutover_back()
