"""The deployment that most tests with a daemon share."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from orders_sync.testing.deployment import Deployment
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import limit


class SharedDeployment:
    """One deployment for all tests in a row that use it: started by the first of them, stopped after the last."""

    def __init__(self, open_deployment: Callable[[], AbstractContextManager[Deployment]]) -> None:
        self._open = open_deployment
        self._stack = ExitStack()
        self._running: Deployment | None = None
        self._failure: BaseException | None = None

    def get(self) -> Deployment:
        """The running deployment. Raises what its start raised, without trying it again for each test."""
        if self._failure is not None:
            raise self._failure
        if self._running is None:
            try:
                self._running = self._stack.enter_context(self._open())
            except BaseException as failure:
                self._failure = failure
                raise
        return self._running

    def stop(self) -> None:
        """Stops the deployment, if one runs."""
        self._running = self._failure = None
        self._stack.close()


@contextmanager
def _forty_orders() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="osd-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        for number in range(1, 41):
            an_order(marketplace, number, state=1, line_state=1)
        every_minute = {"new": "* * * * *", "incomplete": "* * * * *"}
        patience = {"ORDERS_SYNC_DEAD_RUN_SECONDS": str(limit(5))}
        with Deployment(Path(folder), marketplace, crons=every_minute, variables=patience) as deployment:
            deployment.wait_until_synced()
            yield deployment


SHARED = SharedDeployment(_forty_orders)
"""`dagster dev`, first passes done, on a marketplace of 40 orders; `new` and `incomplete` tick every minute."""
