"""The three consumers of docs/events.md work as they are written there, also when receivers and workers fail."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orders_sync.acts.by import By
from orders_sync.components.subscription import present_subscriptions
from orders_sync.config import subscriptions as config
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.config.subscriptions import load_subscriptions
from orders_sync.dagster_support.orders_database import OrdersDatabase
from orders_sync.database.engine import Connection, connect
from orders_sync.subscriptions.by_hand import replay_order
from orders_sync.subscriptions.deliveries import positions
from orders_sync.subscriptions.registration import register
from orders_sync.subscriptions.webhooks.delivery import Delivered, deliver_all
from orders_sync.subscriptions.webhooks.signatures import make_secret
from orders_sync.testing.deployment import free_port
from orders_sync.testing.waiting import limit
from orders_sync_tests import npm_packages
from orders_sync_tests.subscriptions.conftest import an_event, event_ids
from orders_sync_tests.subscriptions.webhooks.test_signatures import FOLDER

PAGE = (PROJECT_ROOT / "docs" / "events.md").read_text()
BY = By("anna", "a test", "a test")


def block(language: str, with_text: str) -> str:
    """The block of the page in this language that has a text."""
    (found,) = (
        text for text in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if with_text in text
    )
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: Connection) -> Path:
    """The project's folder of subscriptions."""
    monkeypatch.setattr(config, "subscriptions_folder", lambda: tmp_path)
    monkeypatch.setattr("orders_sync.components.subscription.subscriptions_folder", lambda: tmp_path)
    return tmp_path


def test_the_python_function(folder: Path, connection: Connection, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "erp").mkdir()
    (folder / "erp" / "defs.yaml").write_text(block("yaml", "consumer:deliver"))
    (folder / "erp" / "consumer.py").write_text(block("python", "order_event_consumer"))
    register(connection, load_subscriptions()[0])
    an_event(connection, "1")
    an_event(connection, "1", "shipped")
    definitions = dg.Definitions.merge(
        present_subscriptions().definitions, dg.Definitions(resources={"orders_database": OrdersDatabase()})
    )
    definitions.resolve_job_def("consume_erp").execute_in_process()
    assert "1 OrderCreated 1 accepted ['PHONE']" in capfd.readouterr().out
    assert positions(connection)[0].waiting == 0, "the file asks for accepted and cancelled alone"


class NodeReceiver:
    """The receiver of the page, as a process of Node, on a port of its own."""

    def __init__(self, output: Path) -> None:
        npm_packages.install(FOLDER, {"standardwebhooks": "1.1.1"})
        (FOLDER / "receiver.js").write_text(block("javascript", "standardwebhooks"))
        self.port = free_port()
        self.output = output

    @contextmanager
    def running(self, secret: str) -> Iterator[None]:
        environment = {**os.environ, "SHOP_FLOOR_SECRET": secret, "PORT": str(self.port)}
        with self.output.open("a") as output:
            process = subprocess.Popen(["node", "receiver.js"], cwd=FOLDER, env=environment, stdout=output)
        try:
            ends = time.monotonic() + limit(30)
            while not _answers(self.port) and time.monotonic() < ends:
                time.sleep(0.1)
            yield
        finally:
            process.kill()
            process.wait()

    @property
    def received(self) -> list[str]:
        """The ids of the events, in the order in which they came first."""
        return [line.split()[0] for line in self.output.read_text().splitlines()]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.needs("npm")
def test_the_receiver_for_node_gets_everything_though_it_was_down_and_its_secret_is_replaced(
    folder: Path, connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    receiver = NodeReceiver(tmp_path / "received.txt")
    receiver.output.touch()
    first, second = make_secret(), make_secret()
    monkeypatch.setenv("SHOP_FLOOR_URL", f"http://127.0.0.1:{receiver.port}/")
    monkeypatch.setenv("SHOP_FLOOR_SECRET", first)
    (folder / "shop_floor").mkdir()
    file = folder / "shop_floor" / "defs.yaml"
    document = yaml.safe_load(block("yaml", "SHOP_FLOOR_URL"))
    document["attributes"]["webhook"]["allow_private"] = True
    file.write_text(yaml.safe_dump(document))
    register(connection, load_subscriptions()[0])

    def deliver() -> Delivered:
        webhooks = {name: each.webhook for name, each in load_subscriptions()[0].items() if each.webhook is not None}
        (outcome,) = deliver_all(lambda: connect(database_url), webhooks, 20)
        return outcome

    with receiver.running(first):
        an_event(connection, "1")
        assert deliver().delivered == 1
    for order in range(2, 12):  # it is down for an hour
        an_event(connection, str(order))
    for _ in range(12):
        assert deliver().delivered == 0
        pass_time(connection, minutes=5)
    pass_time(connection, minutes=31)
    document["attributes"]["webhook"]["former_secret"] = "SHOP_FLOOR_FORMER"
    file.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("SHOP_FLOOR_SECRET", second)
    monkeypatch.setenv("SHOP_FLOOR_FORMER", first)
    with receiver.running(first):  # it has the former secret still
        assert deliver().delivered > 0
        while pending(connection):
            pass_time(connection, hours=2)
            deliver()
    assert sorted(map(int, receiver.received)) == event_ids(connection)
    with receiver.running(second):  # and now the new one; what is replayed has the ids that it had
        replay_order(connection, "shop_floor", "shop", "1", BY)
        an_event(connection, "12")
        assert deliver() == ("shop_floor", 2, 0, "")
    assert set(receiver.received[-2:]) == {"1", str(event_ids(connection)[-1])}
    with receiver.running(make_secret()):
        an_event(connection, "13")
        assert deliver().problem == "it answers HTTP 401"


def pass_time(connection: Connection, **by: float) -> None:
    span = timedelta(**by)
    connection.execute(
        "UPDATE event_deliveries SET due_at = due_at - %s, first_tried_at = first_tried_at - %s", [span, span]
    )
    connection.execute("UPDATE subscriptions SET resting_until = resting_until - %s", [span])


def pending(connection: Connection) -> int:
    return positions(connection)[0].waiting


WORKER = """
import os, sys
from orders_sync.database.engine import connect
with connect(sys.argv[1]) as connection:
    claimed = connection.execute("SELECT event_id FROM claim_events('warehouse', 100)").fetchall()
    print(len(claimed), flush=True)
    sys.stdin.read()
"""


def test_the_statements_of_sql_though_a_worker_is_killed(
    folder: Path, connection: Connection, database_url: str
) -> None:
    (folder / "warehouse").mkdir()
    (folder / "warehouse" / "defs.yaml").write_text(block("yaml", "role: warehouse"))
    register(connection, load_subscriptions()[0])
    for order in ("1", "2", "3"):
        an_event(connection, order)
    killed = subprocess.Popen(
        [sys.executable, "-c", WORKER, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "3\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    claim, ack, nack = block("sql", "claim_events").splitlines()
    assert connection.execute(claim.encode()).fetchall() == [], "its lease has not ended"
    pass_time(connection, minutes=6)
    rows: list[tuple[Any, ...]] = connection.execute(claim.encode()).fetchall()
    assert rows == [(number, 2, "OrderCreated", str(number)) for number in (1, 2, 3)]
    assert connection.execute(ack.encode()).fetchone() == (2,)
    assert connection.execute(nack.encode()).fetchone() == (1,)
    pass_time(connection, minutes=11)
    assert connection.execute(claim.encode()).fetchall() == [(3, 3, "OrderCreated", "3")]


def test_the_files_of_the_page_are_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    check: Callable[..., Any] = config.check_subscription
    for text in blocks:
        check(yaml.safe_load(text)["attributes"], "docs/events.md")
    assert len(blocks) == 3
    assert json.loads((PROJECT_ROOT / "docs" / "reference" / "order-event.v1.schema.json").read_text())
