"""V1's own commands, as jobs on V1's schedules: off by default, and never once V2 is live."""

import subprocess
import sys
from typing import Any

import dagster as dg
import httpx

from orders_sync.config.v1 import COMMANDS, load_cutover_settings
from orders_sync.cutover.phases import moves
from orders_sync.dagster_instance.v1_schedules import schedule_name
from orders_sync.database.engine import connect
from orders_sync.database.schema import upgrade_schema
from orders_sync.lanes.authority import Phase, authority
from orders_sync.lanes.liveness import alive

OLD = "OLD SYSTEM (V1)"
TAGS = {"orders_sync/system": "V1"}
TIMEOUT_SECONDS = 3600


def _job(name: str, command: str) -> dg.JobDefinition:
    @dg.op(name=f"run_{name}", description=f"{OLD}: runs `{command}` as v1.yaml says.", tags={"kind": "V1"})
    def run(context: dg.OpExecutionContext) -> None:
        upgrade_schema()
        with (
            alive(context.run_id),
            connect(application=f"orders_sync V1 {context.run_id}") as connection,
            authority(connection) as phase,
        ):
            if phase is Phase.LIVE and moves(connection):
                raise dg.Failure("V2 is live: V1 is switched off.", allow_retries=False)
            _run(context, command)

    @dg.job(
        name=name,
        description=f"{OLD}: `{command}`. Off by default; here so that V1 and V2 can be run side by side.",
        tags=TAGS,
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        run()

    return job


def _run(context: dg.OpExecutionContext, command: str) -> None:
    settings = load_cutover_settings()
    if settings.run.kind == "stand_in":
        # In a process of its own, as a real V1 would be: nothing here depends on the sandbox.
        finished = subprocess.run(
            [sys.executable, "-m", "orders_sync.sandbox.v1", command],
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        if finished.returncode:
            raise dg.Failure(f"V1's stand-in failed: {finished.stderr.strip()[-300:]}", allow_retries=False)
        context.log.info(finished.stdout.strip())
    elif settings.run.kind == "command":
        line = (settings.run.command or "").replace("{command}", command)
        finished = subprocess.run(line, shell=True, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        if finished.returncode:
            raise dg.Failure(f"`{line}` ended with exit code {finished.returncode}.", allow_retries=False)
    else:
        answer = httpx.post((settings.run.url or "").replace("{command}", command), timeout=TIMEOUT_SECONDS)
        if not answer.is_success:
            raise dg.Failure(f"V1 answers {command} with {answer.status_code}.", allow_retries=False)


def _schedule(job: dg.JobDefinition, cron: str) -> Any:
    return dg.ScheduleDefinition(
        name=schedule_name(job.name),
        job=job,
        cron_schedule=cron,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{OLD}: {job.description}",
        tags=TAGS,
    )


JOBS = {name: _job(name, command) for name, command in COMMANDS.items()}
refresh_latest, refresh_new, refresh_orders = (
    JOBS[name] for name in ("refresh_latest", "refresh_new", "refresh_orders")
)
_CRONS = {"refresh_latest": "*/5 * * * *", "refresh_new": "*/2 * * * *", "refresh_orders": "*/5 * * * *"}
_crons = _CRONS | load_cutover_settings().schedules
refresh_latest_schedule = _schedule(refresh_latest, _crons["refresh_latest"])
refresh_new_schedule = _schedule(refresh_new, _crons["refresh_new"])
refresh_orders_schedule = _schedule(refresh_orders, _crons["refresh_orders"])
