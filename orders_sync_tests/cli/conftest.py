"""The turn of the command line among the deployments of the test run."""

from collections.abc import Iterator

import pytest

from orders_sync.testing.one_deployment import a_turn


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """No other deployment of the test run is there."""
    with a_turn(request.node.name):
        yield
