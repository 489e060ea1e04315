"""Order events reach a Python function and a webhook in a deployment with its daemon, also when a worker is killed."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orders_sync.config.subscriptions import COMPONENT_TYPE
from orders_sync.subscriptions.webhooks.signatures import make_secret
from orders_sync.testing.deployment import Deployment
from orders_sync.testing.marketplace import Marketplace, an_order
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.subscriptions.webhooks.receivers import Receiver, a_receiver

pytestmark = [pytest.mark.daemon, pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("deployment")]

CONSUMER = """
import os, time
from pathlib import Path
from orders_sync.subscriptions.consumer import order_event_consumer

folder = Path(__file__).parent

@order_event_consumer
def deliver(event):
    if event.order_id == "13" and not (folder / "pid").exists():
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    with open(folder / "delivered", "a") as file:
        print(event.id, event.order_id, event.kind, file=file)
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with a_receiver() as opened:
        yield opened


@pytest.fixture(scope="module")
def deployment(receiver: Receiver) -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="oss-") as folder, Marketplace() as marketplace:
        Path(folder).chmod(0o755)
        for number in range(1, 11):
            an_order(marketplace, number)
        variables = {"ERP_URL": receiver.url, "ERP_SECRET": make_secret()}
        made = Deployment(Path(folder), marketplace, variables=variables)
        write(made, "erp", webhook={"url": "ERP_URL", "secret": "ERP_SECRET", "allow_private": True})
        written = write(made, "shelf", dagster={"function": "consumer:deliver", "lease": "1m"}, start="beginning")
        (written / "consumer.py").write_text(CONSUMER)
        with made:
            yield made


def write(deployment: Deployment, name: str, **attributes: Any) -> Path:
    folder = deployment.folder / "orders_sync" / "defs" / "subscriptions" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes}))
    return folder


def delivered(deployment: Deployment) -> list[str]:
    """The orders whose events the function has got, one for each event."""
    file = deployment.folder / "orders_sync" / "defs" / "subscriptions" / "shelf" / "delivered"
    return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []


def test_what_syncs_store_reaches_both_though_a_run_is_killed(deployment: Deployment, receiver: Receiver) -> None:
    deployment.wait_until_synced()
    first = {str(number) for number in range(1, 11)}
    wait_for(lambda: first <= set(delivered(deployment)), seconds=180, what="events at the function")
    for number in (11, 12, 13, 14):
        an_order(deployment.marketplace, number)
    deployment.cli("sync", "--type", "new")
    later = {"11", "12", "13", "14"}
    wait_for(
        lambda: later <= {event["order_id"] for event in receiver.events}, seconds=180, what="events at the receiver"
    )
    pid = deployment.folder / "orders_sync" / "defs" / "subscriptions" / "shelf" / "pid"
    wait_for(pid.exists, seconds=180, what="the call that hangs")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    wait_for(lambda: first | later <= set(delivered(deployment)), seconds=420, what="events after the run was killed")
    shown = deployment.cli("subscriptions", "list").stdout
    assert "shelf" in shown
