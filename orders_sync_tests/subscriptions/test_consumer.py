"""Python functions as consumers: what returns is delivered, what raises comes again."""

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from orders_sync.config.subscriptions import DagsterConsumer, SubscriptionConfigError
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.consumer import OrderEventConsumer, consume, find_consumer, order_event_consumer
from orders_sync.subscriptions.deliveries import claim, positions
from orders_sync.subscriptions.event import OrderEvent
from orders_sync_tests.subscriptions.conftest import FILE, Subscribe, an_event, event_ids
from orders_sync_tests.subscriptions.test_deliveries import pass_time

SETTINGS = DagsterConsumer(function="consumer:deliver", batch=10)


def test_each_event_is_a_call_and_one_that_raises_stops_no_other(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for order in ("1", "2", "3"):
        an_event(connection, order)
        an_event(connection, order, "shipped")
    got: list[str] = []

    @order_event_consumer
    def deliver(event: OrderEvent) -> None:
        if event.order_id == "2":
            raise ValueError("no such customer")
        got.append(event.order_id)

    outcome = consume(connection, "erp", deliver, SETTINGS, 20)
    assert outcome == (6, 1, "ValueError: no such customer", True)
    assert sorted(got) == ["1"] * 3 + ["3"] * 3
    (position,) = positions(connection)
    assert (position.waiting, position.failing) == (3, 1)


def test_a_batch_is_acknowledged_whole_or_by_the_ids_that_are_returned(
    connection: Connection, subscribe: Subscribe
) -> None:
    subscribe()
    for order in range(4):
        an_event(connection, str(order))
    first, second, third, fourth = event_ids(connection)
    calls: list[list[str]] = []

    @order_event_consumer(batch=True)
    def deliver(events: Sequence[OrderEvent]) -> list[str] | None:
        calls.append([event.id for event in events])
        if len(calls) == 1:
            return [event.id for event in events[:2]] + ["999"]
        if len(calls) == 2:
            raise OSError("the ERP is down")
        return None

    outcome = consume(connection, "erp", deliver, SETTINGS, 20)
    assert (outcome.delivered, outcome.failed, outcome.problem) == (2, 2, "the consumer has not acknowledged it")
    pass_time(connection, 6)
    assert consume(connection, "erp", deliver, SETTINGS, 20).problem == "OSError: the ERP is down"
    pass_time(connection, 21)
    assert consume(connection, "erp", deliver, SETTINGS, 20) == (2, 0, "", True)
    assert calls == [[str(first), str(second), str(third), str(fourth)], *([[str(third), str(fourth)]] * 2)]


@pytest.mark.parametrize("returned", ["12", b"1", ["no id"], 7, object()])
def test_a_batch_that_returns_something_odd_is_tried_again(
    connection: Connection, subscribe: Subscribe, returned: object
) -> None:
    subscribe()
    for order in range(12):
        an_event(connection, str(order))
    outcome = consume(connection, "erp", order_event_consumer(batch=True)(lambda events: returned), SETTINGS, 20)
    assert (outcome.delivered, outcome.failed) == (0, 12)


def test_a_function_that_ends_the_process_or_takes_other_arguments_fails_for_its_event_alone(
    connection: Connection, subscribe: Subscribe
) -> None:
    subscribe()
    an_event(connection, "1")
    an_event(connection, "2")

    def ends(event: OrderEvent) -> None:
        if event.order_id == "1":
            sys.exit("no")

    assert consume(connection, "erp", order_event_consumer(ends), SETTINGS, 20) == (1, 1, "SystemExit: no", True)
    pass_time(connection, 6)
    outcome = consume(connection, "erp", order_event_consumer(lambda: None), SETTINGS, 20)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert "TypeError" in outcome.problem


def test_a_function_whose_call_does_not_run_it_is_refused(connection: Connection, subscribe: Subscribe) -> None:
    async def coroutine(event: OrderEvent) -> None: ...
    def generator(event: OrderEvent) -> Iterator[int]:
        yield 1

    for function, why in ((coroutine, "`async`"), (generator, "`yield`")):
        with pytest.raises(TypeError, match=f"has {why}: a plain function is needed"):
            order_event_consumer(function)  # pyright: ignore[reportArgumentType, reportCallIssue]
    subscribe()
    an_event(connection)
    hidden = order_event_consumer(lambda event: generator(event))  # pyright: ignore[reportArgumentType, reportCallIssue]
    outcome = consume(connection, "erp", hidden, SETTINGS, 20)
    assert "returned a generator, which has not run" in outcome.problem


class WrongText(Exception):
    def __str__(self) -> str:
        return self.args[0]


def test_an_error_without_a_text_or_with_odd_characters_is_one_of_its_event(
    connection: Connection, subscribe: Subscribe
) -> None:
    subscribe()
    for order in ("1", "2", "3"):
        an_event(connection, order)

    @order_event_consumer
    def deliver(event: OrderEvent) -> None:
        if event.order_id == "1":
            raise WrongText(404)
        if event.order_id == "2":
            raise OSError("no file \udcff\udcfe")

    assert consume(connection, "erp", deliver, SETTINGS, 20)[:2] == (1, 2)
    problems = [problem for (problem,) in connection.execute("SELECT problem FROM event_deliveries ORDER BY event_id")]
    assert problems[0] == "WrongText"
    assert problems[1].startswith("OSError: no file ")


def test_a_module_may_have_others_beside_it_and_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("NAME = 'erp'\n")
    (tmp_path / "consumer.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom .helper import NAME\n"
        "from orders_sync.subscriptions.consumer import order_event_consumer\n"
        "@dataclass\nclass Row:\n    name: str\n"
        "@order_event_consumer\ndef deliver(event): return Row(NAME).name\n"
    )
    assert find_consumer("consumer:deliver", tmp_path, FILE)(None) == "erp"
    (tmp_path / "helper.py").write_text("NAME = 'changed'\n")
    assert find_consumer("consumer:deliver", tmp_path, FILE)(None) in ("changed", "erp")


def test_a_consumer_is_called_as_the_function_that_it_is() -> None:
    @order_event_consumer
    def double(event: OrderEvent) -> None: ...

    assert isinstance(double, OrderEventConsumer)
    assert order_event_consumer(batch=True)(len)(["a", "b"]) == 2


def test_what_waits_behind_a_slow_call_stays_with_its_consumer(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for order in range(3):
        an_event(connection, str(order))
    taken: list[int] = []

    @order_event_consumer
    def deliver(event: OrderEvent) -> None:
        pass_time(connection, 59)  # of a lease of a minute
        time.sleep(0.7)
        taken.extend(each.event_id for each in claim(connection, "erp", 10) if str(each.event_id) != event.id)

    consume(connection, "erp", deliver, SETTINGS.model_copy(update={"lease": timedelta(minutes=1)}), 20)
    assert taken == []


def test_the_time_of_a_round_ends_it(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    assert consume(connection, "erp", order_event_consumer(lambda event: None), SETTINGS, 0) == (0, 0, "", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere\n", "can't be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit('no')\n", "can't be imported: SystemExit: no"),
        ("import pytest\npytest.skip('x', allow_module_level=True)\n", "can't be imported: Skipped: x"),
        ("class Stop(BaseException): ...\nraise Stop\n", "can't be imported: Stop"),
        ("class E(Exception):\n    def __str__(self): return 1\nraise E\n", "can't be imported: E"),
        ("def __getattr__(name): raise ValueError(name)\n", "can't be imported: ValueError: deliver"),
        ("def deliver(event): ...\n", "is not marked with @order_event_consumer."),
        ("", "there is no deliver in consumer."),
    ],
)
def test_a_function_that_can_not_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "consumer.py").write_text(text)
    with pytest.raises(SubscriptionConfigError) as raised:
        find_consumer("consumer:deliver", tmp_path, FILE)
    assert str(raised.value) == f"{FILE}: dagster.function: consumer:deliver: {said}"


def test_a_module_beside_the_file_comes_before_an_installed_one(tmp_path: Path) -> None:
    own = (
        "from orders_sync.subscriptions.consumer import order_event_consumer\n@order_event_consumer\ndef f(event): {}\n"
    )
    for folder, text in (("one", own.format("return 1")), ("two", own.format("return 2"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(text)
    found = [find_consumer("json:f", tmp_path / folder, FILE) for folder in ("one", "two")]
    assert [consumer(None) for consumer in found] == [1, 2]
    with pytest.raises(SubscriptionConfigError, match="is not marked"):
        find_consumer("json:dumps", tmp_path, FILE)
