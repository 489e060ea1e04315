"""At most one deployment runs at any moment of a test run, whichever process started it.

A deployment is some ten processes that need the machine to themselves: several at once make all of them slow.
"""

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from orders_sync.config.environment import state_folder
from orders_sync.testing.waiting import wait_for

WAIT_SECONDS = 1800.0
"""How long a turn is waited for, on the reference machine."""

_held: dict[int, str] = {}
"""The threads of this process that hold a turn, each with who runs a deployment."""

log = logging.getLogger(__name__)


@contextmanager
def a_turn(who: str) -> Iterator[None]:
    """Holds the run's one place for a deployment; waits first until all who came earlier have left.

    Each one takes a numbered ticket, a file that it keeps locked, and waits for the lower ones: first come, first
    served, and the kernel gives back the tickets of a process that died. `who`: shown to those who wait.

    Raises RuntimeError when this thread holds a turn already: it would wait for itself.
    """
    thread = threading.get_ident()
    if thread in _held:
        raise RuntimeError(
            f"{who} can't have a turn: {_held[thread]}, which this thread started, has not been stopped."
        )
    folder = state_folder() / "deployments"
    folder.mkdir(exist_ok=True)
    number, ticket = _take_ticket(folder, who)
    try:
        for earlier in range(number):
            _wait_until_left(folder, earlier, who)
        _held[thread] = who
        try:
            yield
        finally:
            del _held[thread]
    finally:
        ticket.close()


def _take_ticket(folder: Path, who: str) -> tuple[int, IO[str]]:
    with (folder / "queue").open("a+") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        queue.seek(0)
        number = len(queue.readlines())
        ticket = _ticket_file(folder, number).open("w")
        fcntl.flock(ticket, fcntl.LOCK_EX)
        ticket.write(who)
        ticket.flush()
        queue.write(f"{number}\n")
    return number, ticket


def _wait_until_left(folder: Path, number: int, who: str) -> None:
    file = _ticket_file(folder, number)
    if _has_left(file):
        return
    holder = file.read_text()
    log.info("%s waits for the deployment of %s", who, holder)
    wait_for(lambda: _has_left(file), seconds=WAIT_SECONDS, what=f"{who}: the end of the deployment of {holder}")


def _ticket_file(folder: Path, number: int) -> Path:
    return folder / f"ticket-{number}"


def _has_left(ticket: Path) -> bool:
    with ticket.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
