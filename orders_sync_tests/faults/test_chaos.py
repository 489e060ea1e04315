"""The short form of `make chaos`: each kind of fault once. The invariants are checked after each."""

from collections.abc import Iterator
from typing import Any

import pytest

from orders_sync_tests.faults.chaos import run_sequence
from orders_sync_tests.faults.kinds import FAULTS
from orders_sync_tests.faults.machine import MACHINES, Machine

pytestmark = pytest.mark.xdist_group("chaos")


ON_BOTH = ("none", "database killed", "worker and database killed")
"""The kinds of fault that CI tries on both machines."""


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with request.param() as made:
        yield made


def _cases() -> Iterator[Any]:
    """Each kind of fault on each machine. CI tries most of them on one: the last one where it is possible at all."""
    for place, machine in enumerate(MACHINES, 1):
        for name in FAULTS:
            is_repeated = place < len(MACHINES) and name not in ON_BOTH
            marks = [pytest.mark.long] if is_repeated else []
            yield pytest.param(machine, name, id=f"{machine.__name__}-{name}", marks=marks)


@pytest.mark.parametrize(("machine", "fault"), list(_cases()), indirect=["machine"])
def test_after_a_fault_everything_is_right_and_every_lane_works(machine: Machine, fault: str) -> None:
    if not FAULTS[fault].is_possible(machine):
        pytest.skip("this machine has neither another host, nor a disk of its own, nor a clock that can jump")
    outcome = run_sequence(machine, 20_000, [fault], steps=1)
    assert outcome.faults == [fault]
