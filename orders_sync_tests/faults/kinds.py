"""The kinds of faults. Each is injected while a process works, and leaves the machine as it found it."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import psycopg

from orders_sync_tests import debian_packages
from orders_sync_tests.faults.changing_marketplace import Violation
from orders_sync_tests.faults.machine import DISK_MEGABYTES, Machine
from orders_sync_tests.faults.story import JOBS, Story, end, shown_stacks
from orders_sync_tests.pgbouncer import pgbouncer

MAX_CONNECTIONS = 100
"""PostgreSQL's default."""
NOTICED_SECONDS = 60.0
"""So long after its cable was cut, another host and the server must have noticed it."""

Fault = Callable[[Story, BaseProcess], float | None]
"""Returns the seconds until the fault was noticed, where they are measured."""


def nothing(_: Story, process: BaseProcess) -> None:
    """No fault: the others must not depend on one."""


def worker_killed(_: Story, process: BaseProcess) -> None:
    process.kill()


def worker_frozen(story: Story, process: BaseProcess) -> None:
    """It sleeps while another process does its work, and wakes up afterwards."""
    _signal(process, signal.SIGSTOP)
    other = story.start(story.random.choice(JOBS))
    other.join(story.random.uniform(0, 3))
    _signal(process, signal.SIGCONT)
    end(other)


def two_workers(story: Story, process: BaseProcess) -> None:
    """The same lane twice, and another one beside it."""
    for other in [story.start(job) for job in (process.name, story.random.choice(JOBS))]:
        end(other)


def connections_cut(story: Story, _: BaseProcess) -> None:
    """Every session of the database ends, as when somebody restarts a proxy."""
    story.machine.administer(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def one_connection_cut(story: Story, _: BaseProcess) -> None:
    story.machine.administer(
        b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name "
        b"LIKE 'orders_sync%' ORDER BY random() LIMIT 1"
    )


def database_killed(story: Story, _: BaseProcess) -> None:
    story.machine.kill_server()


def database_frozen(story: Story, _: BaseProcess) -> None:
    story.machine.freeze_server(story.random.uniform(0.1, 2))


def everything_killed(story: Story, process: BaseProcess) -> None:
    """As when the machine loses its power."""
    process.kill()
    story.machine.kill_server()


def marketplace_fails(story: Story, _: BaseProcess) -> None:
    kind: dict[str, Any] = story.random.choice(
        [
            {"kind": "status", "status": 500}, {"kind": "status", "status": 502}, {"kind": "status", "status": 404},
            {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, {"kind": "status", "status": 401},
            {"kind": "reset"}, {"kind": "truncate"}, {"kind": "html"}, {"kind": "delay", "seconds": 1},
            {"kind": "drip", "seconds": 1}, {"kind": "empty_page"}, {"kind": "looping_next"}, {"kind": "repeat"},
            {"kind": "sparse", "fields": ["orderlines"]}, {"kind": "patch", "fields": {"price": "a lot"}},
        ]
    )  # fmt: skip
    story.market.marketplace.fault(**{"times": story.random.randint(1, 8), **kind})


def connections_used_up(story: Story, _: BaseProcess) -> None:
    """Other programs take every connection that the server has left."""
    with contextlib.ExitStack() as others, contextlib.suppress(psycopg.OperationalError):
        url = story.machine.url()
        for _other in range(MAX_CONNECTIONS):
            others.enter_context(contextlib.closing(psycopg.connect(url)))
        time.sleep(story.random.uniform(0.5, 2))


def disk_full(story: Story, _: BaseProcess) -> None:
    """Nothing can be written any more, then there is room again."""
    filler = story.machine.filler
    assert filler is not None
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for _megabyte in range(DISK_MEGABYTES):
            file.write(bytes(1_000_000))
    time.sleep(story.random.uniform(0.5, 2))
    filler.unlink(missing_ok=True)


def clock_jumps(story: Story, process: BaseProcess) -> None:
    """The clock is wrong for a while, by minutes, hours or weeks, while this process works and another one begins."""
    clock = story.machine.clock
    clock.jump(story.random.choice([-1, 1]) * story.random.choice([600, 7_200, 86_400, 40 * 86_400]))
    try:
        end(story.start(story.random.choice(JOBS)))
        end(process)
    finally:
        clock.jump(0)


def pooler(story: Story, _: BaseProcess) -> None:
    """Another process reaches the database through a pooler that shares sessions among its clients."""
    story.machine.restart()  # a server that found its disk full may have stopped since
    server = story.machine.url().rpartition("/")[0]
    with pgbouncer(server, "transaction") as url:
        process = story.start(story.random.choice(JOBS), database_url=f"{url}/orders")
        end(process)
    if not process.exitcode:
        raise Violation("a process worked through a pooler in transaction mode")


def host_lost(story: Story, process: BaseProcess) -> float | None:
    """Another host works on the same lane, or on another one, and loses its network.

    Returns the seconds until its process and its sessions at the server have ended; None if it had done its work.
    """
    host = story.machine.host
    assert host is not None
    lost = story.start(story.random.choice([process.name, story.random.choice(JOBS)]), host=host)
    time.sleep(story.random.uniform(0, 3))
    host.cut()
    cut, worked = time.monotonic(), lost.is_alive()
    try:
        lost.join(NOTICED_SECONDS)
        if lost.is_alive():
            stacks = shown_stacks(lost)
            lost.kill()
            raise Violation(
                f"another host has not noticed after {NOTICED_SECONDS:.0f} s that its network is lost: {stacks}"
            )
        while story.machine.has_sessions_of(host):
            if time.monotonic() - cut > NOTICED_SECONDS:
                raise Violation(f"the server keeps sessions of a lost host after {NOTICED_SECONDS:.0f} s")
            time.sleep(0.1)
        return time.monotonic() - cut if worked else None
    finally:
        host.plug_in()


def network_interrupted(story: Story, process: BaseProcess) -> None:
    """The network of another host is away for some seconds while it works."""
    host = story.machine.host
    assert host is not None
    other = story.start(story.random.choice([process.name, story.random.choice(JOBS)]), host=host)
    time.sleep(story.random.uniform(0, 3))
    host.cut()
    time.sleep(story.random.uniform(0.5, 10))
    host.plug_in()
    end(other)


class Kind(NamedTuple):
    """A kind of fault."""

    inject: Fault
    expected: str
    """What is expected beside the invariants."""
    is_possible: Callable[[Machine], bool] = lambda _: True
    """Whether it can be injected on this machine."""


FAULTS = {
    "none": Kind(nothing, "The work is done."),
    "worker killed": Kind(worker_killed, "Its batch is undone, its lane free at once."),
    "worker frozen": Kind(worker_frozen, "Another worker waits, or takes over; what wakes up writes nothing twice."),
    "two workers": Kind(two_workers, "One works, the other says that the lane is busy."),
    "all connections cut": Kind(connections_cut, "The pass fails in one line; the next one continues."),
    "one connection cut": Kind(one_connection_cut, "The pass fails in one line, or goes on."),
    "database killed": Kind(database_killed, "It is started again: the embedded one by whoever needs it next."),
    "database frozen": Kind(database_frozen, "The work goes on when the server does."),
    "worker and database killed": Kind(everything_killed, "As after a power cut: committed batches are there."),
    "connections used up": Kind(connections_used_up, "What starts meanwhile fails in one line; what runs goes on."),
    "marketplace fails": Kind(marketplace_fails, "Tried again, or the pass fails in one line; nothing is skipped."),
    "disk full": Kind(
        disk_full,
        "PostgreSQL refuses, or stops and recovers; committed batches are there.",
        lambda machine: machine.filler is not None,
    ),
    "clock jumps": Kind(
        clock_jumps,
        "No order is skipped, no watermark lies in the future.",
    ),
    "pooler in transaction mode": Kind(
        pooler,
        "What comes through it is refused, the others go on.",
        lambda machine: machine.host is not None and debian_packages.find("pgbouncer") is not None,
    ),
    "other host lost": Kind(
        host_lost,
        "Its lane is free after half a minute; it notices the loss, too.",
        lambda machine: machine.host is not None,
    ),
    "other host's network interrupted": Kind(
        network_interrupted,
        "It goes on, or its pass fails in one line.",
        lambda machine: machine.host is not None,
    ),
}
"""Every kind of fault by its name."""


def _signal(process: BaseProcess, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, number)
