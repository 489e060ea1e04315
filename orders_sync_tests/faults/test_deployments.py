"""The short form of `make chaos-deployment`: what `daemon` and `cli/test_up.py` do not inject."""

from collections.abc import Iterator

import pytest

from orders_sync.testing.waiting import limit
from orders_sync_tests.faults.changing_marketplace import ChangingMarketplace
from orders_sync_tests.faults.deployments import SupervisedDeployment, a_deployment, recover_from

pytestmark = [
    pytest.mark.long,
    pytest.mark.daemon,
    pytest.mark.xdist_group("deployment"),
    pytest.mark.timeout(limit(900)),
]


@pytest.fixture(scope="module")
def supervised() -> Iterator[tuple[SupervisedDeployment, ChangingMarketplace]]:
    with a_deployment() as started:
        yield started


@pytest.mark.parametrize("fault", ["second daemon", "power cut"])
def test_every_lane_works_again_by_itself(
    supervised: tuple[SupervisedDeployment, ChangingMarketplace], fault: str
) -> None:
    print(f"everything was right again after {recover_from(*supervised, fault):.0f} s")
