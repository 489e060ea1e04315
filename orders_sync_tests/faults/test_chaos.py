"""The short form of `make chaos`: each kind of fault, twice in a row. The invariants are checked after each."""

from collections.abc import Iterator

import pytest

from orders_sync_tests.faults.chaos import FAULTS, a_machine, run_sequence

pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    with a_machine():
        yield


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_everything_is_right_and_every_lane_works(fault: str) -> None:
    outcome = run_sequence(20_000, [fault], steps=2)
    assert outcome.faults == [fault, fault]
