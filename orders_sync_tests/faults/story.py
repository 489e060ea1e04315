"""One random sequence on a machine, and the processes that work in it."""

import faulthandler
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from orders_sync.config.environment import ORDERS_DATABASE_URL
from orders_sync.database.engine import connect
from orders_sync.marketplaces.kit.accounts import account_from
from orders_sync.model.lane import SyncType
from orders_sync.passes.run_pass import run_pass
from orders_sync.stock.apply_events import apply_pending
from orders_sync.stock.connection import StockConnection
from orders_sync.sync.pass_request import PassRequest
from orders_sync_tests.faults.changing_marketplace import ACCOUNT, ChangingMarketplace, Violation
from orders_sync_tests.faults.machine import STATE, Machine, WorkersClock
from orders_sync_tests.faults.other_host import OtherHost, enter_network
from orders_sync_tests.faults.relay import relay_from_loopback

JOBS = (*SyncType, "stock")
RECOVERY_SECONDS = 300.0
"""A lane must have worked again so long after all faults have ended."""

SHOW_STACKS = signal.SIGUSR1

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])  # else each process that works imports all of this: two seconds of CPU time


class Surroundings(NamedTuple):
    """What a process that works finds."""

    clock: WorkersClock
    marketplace: str
    """The marketplace's URL."""
    environment: Mapping[str, str]
    """The variables that name the database and the state folder: the process is forked from one that has others."""
    host: OtherHost | None = None
    """Another host, on which it works; None: on the machine."""


def work(job: str, settings: dict[str, Any], found: Surroundings) -> None:
    """One pass of a lane, or the stock job."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what fails here is the subject of the test
    os.environ.pop(ORDERS_DATABASE_URL, None)
    os.environ.update(found.environment)
    faulthandler.register(SHOW_STACKS, open(stacks_of(os.getpid()), "w"))  # noqa: SIM115 - open while it works
    if found.host is not None:
        enter_network(found.host.name)
        relay_from_loopback(found.marketplace, found.host.address)
    found.clock.follow()
    if job == "stock":
        with connect(application="orders_sync chaos stock") as connection:
            apply_pending(StockConnection(connection))
        return
    account = account_from(ACCOUNT, settings, "chaos")
    run_pass(PassRequest(account, SyncType(job), f"chaos-{os.getpid()}"))


def stacks_of(pid: int) -> Path:
    """Where a process writes what its threads do, when it gets the signal SHOW_STACKS."""
    return Path(os.environ[STATE], f"{pid}.stacks")


def shown_stacks(process: BaseProcess) -> str:
    """What the threads of a process do at the moment."""
    assert process.pid is not None
    os.kill(process.pid, SHOW_STACKS)
    time.sleep(1)
    return stacks_of(process.pid).read_text()


def end(process: BaseProcess) -> None:
    """Waits until a process has ended. Raises Violation if it does not."""
    process.join(RECOVERY_SECONDS)
    if process.is_alive():
        stacks = shown_stacks(process)
        process.kill()
        raise Violation(f"a process did not end within {RECOVERY_SECONDS:.0f} s: {stacks}")


@dataclass(frozen=True)
class Story:
    """A sequence on a machine, at one marketplace."""

    random: random.Random
    machine: Machine
    market: ChangingMarketplace
    settings: dict[str, Any]
    """The account's settings."""

    def start(self, job: str, *, database_url: str | None = None, host: OtherHost | None = None) -> BaseProcess:
        """Starts work in a process of its own. `database_url`: another way to the database. `host`: where it works."""
        environment = {name: os.environ[name] for name in (ORDERS_DATABASE_URL, STATE) if name in os.environ}
        if database_url is not None:
            environment[ORDERS_DATABASE_URL] = database_url
        found = Surroundings(self.machine.clock, self.market.marketplace.url, environment, host)
        process = _FORKS.Process(target=work, name=job, args=(job, self.settings, found))
        process.start()
        return process
