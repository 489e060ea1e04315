"""V1's own commands as jobs, which fail once V2 is live."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

import dagster as dg
import httpx

from orders_sync.config.v1 import COMMANDS, CutoverSettings, Run, load_cutover_settings
from orders_sync.dagster_support.by_run import NOT_REPEATED
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.lanes.authority import hold_authority_of_v1

OLD = "OLD SYSTEM (V1)"
TAGS = {"orders_sync/system": "V1"} | NOT_REPEATED
TIMEOUT_SECONDS = 3600


def _v1_job(name: str, command: str) -> dg.JobDefinition:
    @dg.op(name=f"run_{name}", description=f"{OLD}: runs `{command}` as v1.yaml says.", tags={"kind": "V1"})
    def run(context: dg.OpExecutionContext, orders_database: OrdersDatabase) -> None:
        """Runs the command while V1 has the authority. Raises dg.Failure once V2 is live."""
        settings = load_cutover_settings()
        accounts = settings.marketplaces.values()
        with orders_database.connect("V1") as connection, hold_authority_of_v1(connection) as authority:
            if not authority.v1_may_run(accounts):
                raise dg.Failure("V2 is live: V1 is switched off.", allow_retries=False)
            taken = sorted({account for account in accounts if not authority.is_left_to_v1(account)})
            if taken and not settings.run.can_leave_out:
                raise dg.Failure(
                    f"V2 has {', '.join(taken)}, and {settings.file} hands V1's commands no marketplaces, so V1 would "
                    "work for them, too. Write {marketplaces} where `run.command` or `run.url` takes them, or let V1's "
                    "own scheduler run the others.",
                    allow_retries=False,
                )
            theirs = [name for name, account in settings.marketplaces.items() if authority.is_left_to_v1(account)]
            _run(context, settings, command, theirs)

    @dg.job(
        name=name,
        description=f"{OLD}: `{command}`, for the time when V1 and V2 run side by side. Off by default.",
        tags=TAGS,
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        run()

    return job


def _run(context: dg.OpExecutionContext, settings: CutoverSettings, command: str, marketplaces: Sequence[str]) -> None:
    if settings.run.kind == "stand_in":
        # A process of its own, as a real V1 is: no import of the sandbox.
        finished = subprocess.run(
            [sys.executable, "-m", "orders_sync.sandbox.v1", command, "--marketplaces", ",".join(marketplaces)],
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        if finished.returncode:
            raise dg.Failure(f"V1's stand-in failed: {finished.stderr.strip()[-300:]}", allow_retries=False)
        context.log.info(finished.stdout.strip())
    elif settings.run.kind == "command":
        _run_command(settings.run, command, marketplaces)
    else:
        answer = httpx.post(settings.run.address(command, marketplaces), timeout=TIMEOUT_SECONDS)
        if not answer.is_success:
            raise dg.Failure(f"V1 answers {command} with {answer.status_code}.", allow_retries=False)


def _run_command(how: Run, command: str, marketplaces: Sequence[str]) -> None:
    """Runs V1's command without a shell, and without our credentials in its environment. Raises dg.Failure."""
    arguments = how.arguments(command, marketplaces)
    line = shlex.join(arguments)
    try:
        finished = subprocess.run(
            arguments, env=how.variables(os.environ), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise dg.Failure(f"`{line}` did not end within {TIMEOUT_SECONDS} s.", allow_retries=False) from None
    except OSError as error:
        shell = " No shell reads the command; who needs one writes sh -c '…'."
        raise dg.Failure(f"`{line}` could not be started: {error.strerror}.{shell}", allow_retries=False) from None
    if finished.returncode:
        raise dg.Failure(f"`{line}` ended with exit code {finished.returncode}.", allow_retries=False)


V1_JOBS = {name: _v1_job(name, command) for name, command in COMMANDS.items()}
refresh_latest, refresh_new, refresh_orders = (
    V1_JOBS[name] for name in ("refresh_latest", "refresh_new", "refresh_orders")
)
