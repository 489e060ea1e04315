"""The short form of `make chaos`: each kind of fault once. The invariants are checked after each."""

from collections.abc import Iterator

import pytest

from orders_sync_tests.faults.chaos import run_sequence
from orders_sync_tests.faults.kinds import FAULTS
from orders_sync_tests.faults.machine import MACHINES, Machine

pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture(scope="module", params=MACHINES, ids=lambda kind: kind.__name__)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with request.param() as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_everything_is_right_and_every_lane_works(machine: Machine, fault: str) -> None:
    if not FAULTS[fault].is_possible(machine):
        pytest.skip("this machine has neither another host, nor a disk of its own, nor a clock that can jump")
    outcome = run_sequence(machine, 20_000, [fault], steps=1)
    assert outcome.faults == [fault]
