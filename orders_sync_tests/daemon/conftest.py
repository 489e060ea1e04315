"""One deployment for all tests of this folder: the schedule of `new` ticks every minute."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orders_sync_tests.deployment import Deployment
from orders_sync_tests.marketplace import Marketplace, an_order


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """`dagster dev` with its daemon, first passes done, and a marketplace of 40 orders under our hand."""
    with tempfile.TemporaryDirectory(prefix="osd-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        for number in range(1, 41):
            an_order(marketplace, number, state=1, line_state=1)
        deployment = Deployment(Path(folder), marketplace, new="* * * * *")
        sensors = deployment.folder / "orders_sync" / "defs" / "operations" / "sensors.py"
        # The patience of a test: 5 seconds instead of 90.
        sensors.write_text(sensors.read_text().replace("DEAD_AFTER_SECONDS = 90", "DEAD_AFTER_SECONDS = 5"))
        with deployment:
            deployment.wait_until_synced()
            yield deployment
