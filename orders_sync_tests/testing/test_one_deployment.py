"""The turns of deployments: one at a time, first come, first served, and none lost with a process that dies."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orders_sync.testing.one_deployment import a_turn
from orders_sync.testing.waiting import limit, wait_for


@pytest.fixture(autouse=True)
def own_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue apart from that of the real deployments, which run meanwhile."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))
    return tmp_path / "deployments"


def tickets(queue: Path) -> int:
    return len(list(queue.glob("ticket-*")))


def test_turns_are_taken_one_at_a_time_in_the_order_of_coming(own_queue: Path) -> None:
    done: list[str] = []
    here: list[str] = []

    def deploy(name: str) -> None:
        with a_turn(name):
            here.append(name)
            assert here == [name]
            done.append(name)
            here.remove(name)

    waiting = [threading.Thread(target=deploy, args=[name]) for name in ("second", "third", "fourth")]
    with a_turn("first"):
        for number, thread in enumerate(waiting, 2):
            thread.start()
            wait_for(lambda number=number: tickets(own_queue) == number, what="a ticket", every=0.01)
        assert done == []
    for thread in waiting:
        thread.join()
    assert done == ["second", "third", "fourth"]


@pytest.mark.usefixtures("own_queue")
def test_who_would_wait_for_itself_learns_it_at_once() -> None:
    with a_turn("first"), pytest.raises(RuntimeError, match="second can't have a turn: first"), a_turn("second"):
        pass
    with a_turn("second"):
        pass


def test_a_process_that_dies_gives_its_turn_back_and_one_that_dies_waiting_lets_nobody_pass(own_queue: Path) -> None:
    program = (
        "import time; from orders_sync.testing.one_deployment import a_turn\n"
        "with a_turn('doomed'): print('here', flush=True); time.sleep(3600)"
    )

    def start() -> "subprocess.Popen[str]":
        before = tickets(own_queue)
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ)
        wait_for(lambda: tickets(own_queue) > before, what="a ticket")
        return process

    at_work = start()
    assert at_work.stdout is not None
    assert at_work.stdout.readline() == "here\n"
    waits = start()
    reached = threading.Event()

    def deploy() -> None:
        with a_turn("next"):
            reached.set()

    following = threading.Thread(target=deploy)
    following.start()
    wait_for(lambda: tickets(own_queue) == 3, what="the third ticket")
    waits.kill()
    waits.wait()
    assert not reached.wait(0.5), "the first one is still at work"
    at_work.kill()
    at_work.wait()
    assert reached.wait(limit(30))
    following.join()
