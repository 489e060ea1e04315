"""Jobs about an account: `orders-sync accounts pause`, `resume` and `check`, with a form in the UI."""

import dagster as dg
from pydantic import Field

from orders_sync.dagster_support.by_run import NOT_REPEATED, by_run
from orders_sync.dagster_support.failures import failure, one_line_failures
from orders_sync.dagster_support.metadata import rows_table
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.lanes import pauses
from orders_sync.marketplaces.kit.accounts import check_account_name, find_account
from orders_sync.marketplaces.kit.probes import Probe, probe_endpoints
from orders_sync.model.control_characters import safe_text


class ChosenAccount(dg.Config):
    """Which account, and why."""

    account: str = Field(description="The seller account.")
    reason: str = Field(description="Why; stored with the act.")


class CheckedAccount(dg.Config):
    """Which account is checked."""

    account: str = Field(description="The seller account.")


@dg.op(description="Pauses an account: no run of it is requested.")
def pause_one_account(context: dg.OpExecutionContext, config: ChosenAccount, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure where there is no such account, or if it is paused already."""
    with one_line_failures(), orders_database.connect("pause") as connection:
        check_account_name(config.account)
        pauses.pause_account(connection, config.account, by_run(context.run, config.reason))
    context.log.info(safe_text(f"Account {config.account} is paused; the job resume_account ends that."))


@dg.op(description="Resumes an account: its runs are requested again.")
def resume_one_account(context: dg.OpExecutionContext, config: ChosenAccount, orders_database: OrdersDatabase) -> None:
    """Raises dg.Failure if the account is not paused."""
    with one_line_failures(), orders_database.connect("resume") as connection:
        ended = pauses.resume_account(connection, config.account, by_run(context.run, config.reason))
    context.log.info(safe_text(f"It runs again. {ended}"))


@dg.op(description="Sends one cheap request to each endpoint that the syncs of an account use.")
def check_one_account(context: dg.OpExecutionContext, config: CheckedAccount) -> None:
    """Raises dg.Failure, with what each endpoint has answered, if one does not work."""
    probes: list[Probe] = []
    with one_line_failures():
        for probe in probe_endpoints(find_account(config.account)):
            probes.append(probe)
            context.log.info(
                safe_text(f"{probe.endpoint}: {'works' if probe.works else 'does not work'} {probe.answer}")
            )
    context.add_output_metadata({"endpoints": rows_table(Probe._fields, probes)})
    if broken := [f"{probe.endpoint}: {probe.answer}" for probe in probes if not probe.works]:
        raise failure("; ".join(broken))


@dg.job(
    description="Pauses an account: no schedule and no sensor requests a run of it. Set `account` and `reason` in the "
    "launchpad.",
    tags=NOT_REPEATED,
)
def pause_account() -> None:
    """The one op `pause_one_account`."""
    pause_one_account()


@dg.job(
    description="Resumes a paused account; what it missed runs at once. Set `account` and `reason` in the launchpad.",
    tags=NOT_REPEATED,
)
def resume_account() -> None:
    """The one op `resume_one_account`."""
    resume_one_account()


@dg.job(
    description="Checks the credentials and endpoints of an account. Set `account` in the launchpad.",
    executor_def=dg.in_process_executor,
)
def check_account() -> None:
    """The one op `check_one_account`."""
    check_one_account()
