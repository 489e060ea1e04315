"""The job that tries rejected records again: `orders-sync rejected retry`, with a form in the UI."""

import dagster as dg
from pydantic import Field

from orders_sync.dagster_support.by_run import NOT_REPEATED, by_run
from orders_sync.dagster_support.failures import failure, one_line_failures
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.marketplaces.kit.accounts import find_account, load_accounts
from orders_sync.model.errors import UserFacingError
from orders_sync.passes.retry_rejected import retry_rejected_records


class RetryRejected(dg.Config):
    """Which rejected records are tried again: all, but those that a person dismissed, where nothing is set."""

    account: str | None = Field(default=None, description="The seller account. Not set: all.")
    kind: str | None = Field(default=None, description="`order` or `care`. Not set: both.")
    record_id: str | None = Field(default=None, description="The marketplace's id of one record; needs `account`.")
    reason: str | None = Field(default=None, description="A part of one of the reasons, e.g. `quantity`.")
    is_whole_reason: bool = Field(default=False, description="Whether `reason` is a whole reason, not a part of one.")


@dg.op(description="Fetches rejected records, and tries them again.")
def retry_rejected_of_accounts(
    context: dg.OpExecutionContext, config: RetryRejected, orders_database: OrdersDatabase
) -> None:
    """An account that is down or busy does not stop the others; the run fails after them, with the reasons."""
    if config.kind not in (None, "order", "care"):
        raise failure(f"There is no kind of record {config.kind!r}; allowed are order and care.")
    if config.record_id is not None and config.account is None:
        raise failure("`record_id` needs `account`: several accounts may have a record with this id.")
    with one_line_failures():
        if config.account is None:
            accounts, problems = load_accounts()
        else:
            accounts, problems = {config.account: find_account(config.account)}, {}
        rows = [(name, 0, 0, str(problem)) for name, problem in problems.items()]
        for name, account in accounts.items():
            try:
                passed, left = retry_rejected_records(
                    account, context.run.run_id, key=config.record_id, kind=config.kind, reason=config.reason,
                    is_whole_reason=config.is_whole_reason, by=by_run(context.run),
                )  # fmt: skip
            except UserFacingError as problem:
                rows.append((name, 0, 0, str(problem)))
            else:
                rows.append((name, passed, left, ""))
    failed = [f"{name}: {problem}" for name, _, _, problem in rows if problem]
    passed, left = sum(row[1] for row in rows), sum(row[2] for row in rows)
    shown = rows_table(("account", "passed", "still rejected", "problem"), rows)
    description = f"{passed} records passed, {left} are still rejected"
    context.log_event(dg.AssetObservation("orders", description=description, metadata={"accounts": shown}))
    if failed:
        raise failure(f"{description}. Not tried: {'; '.join(failed)}")


@dg.job(
    description="Fetches rejected records and tries them again: all, or those that you describe in the launchpad.",
    tags=NOT_REPEATED,
)
def retry_rejected() -> None:
    """The one op `retry_rejected_of_accounts`."""
    retry_rejected_of_accounts()
