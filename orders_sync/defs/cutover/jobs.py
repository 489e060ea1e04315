"""The job that compares V1 and V2, and V1's own commands as jobs, which fail once V2 is live."""

import os
import shlex
import subprocess
import sys

import dagster as dg
import httpx

from orders_sync.config.v1 import COMMANDS, Run, load_cutover_settings
from orders_sync.dagster_support.by_run import NOT_REPEATED
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.lanes.authority import hold_authority

OLD = "OLD SYSTEM (V1)"
TAGS = {"orders_sync/system": "V1"} | NOT_REPEATED
TIMEOUT_SECONDS = 3600


compare_v1_and_v2 = dg.define_asset_job(
    "compare_v1_and_v2",
    selection=dg.AssetSelection.assets("v1_v2_comparison"),
    description="Compares V1 and V2 for a day.",
    executor_def=dg.in_process_executor,
)


def _v1_job(name: str, command: str) -> dg.JobDefinition:
    @dg.op(name=f"run_{name}", description=f"{OLD}: runs `{command}` as v1.yaml says.", tags={"kind": "V1"})
    def run(context: dg.OpExecutionContext, orders_database: OrdersDatabase) -> None:
        """Runs the command while V1 has the authority. Raises dg.Failure once V2 is live."""
        with orders_database.connect("V1") as connection, hold_authority(connection) as authority:
            if not authority.v1_may_run:
                raise dg.Failure("V2 is live: V1 is switched off.", allow_retries=False)
            _run(context, command)

    @dg.job(
        name=name,
        description=f"{OLD}: `{command}`, for the time when V1 and V2 run side by side. Off by default.",
        tags=TAGS,
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        run()

    return job


def _run(context: dg.OpExecutionContext, command: str) -> None:
    settings = load_cutover_settings()
    if settings.run.kind == "stand_in":
        # A process of its own, as a real V1 is: no import of the sandbox.
        finished = subprocess.run(
            [sys.executable, "-m", "orders_sync.sandbox.v1", command],
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        if finished.returncode:
            raise dg.Failure(f"V1's stand-in failed: {finished.stderr.strip()[-300:]}", allow_retries=False)
        context.log.info(finished.stdout.strip())
    elif settings.run.kind == "command":
        _run_command(settings.run, command)
    else:
        answer = httpx.post((settings.run.url or "").replace("{command}", command), timeout=TIMEOUT_SECONDS)
        if not answer.is_success:
            raise dg.Failure(f"V1 answers {command} with {answer.status_code}.", allow_retries=False)


def _run_command(how: Run, command: str) -> None:
    """Runs V1's command without a shell, and without our credentials in its environment. Raises dg.Failure."""
    arguments = how.arguments(command)
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
