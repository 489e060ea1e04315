"""Events reach receivers by HTTP: each at least once, in order for each order, whatever a receiver does."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from orders_sync.database.engine import Connection, connect
from orders_sync.subscriptions.by_hand import replay_given_up
from orders_sync.subscriptions.deliveries import positions
from orders_sync.subscriptions.webhooks import delivery
from orders_sync.subscriptions.webhooks.delivery import Delivered, deliver_all
from orders_sync.subscriptions.webhooks.signatures import make_secret
from orders_sync.testing.waiting import wait_for
from orders_sync_tests.subscriptions.conftest import Subscribe, an_event, event_ids
from orders_sync_tests.subscriptions.test_by_hand import BY
from orders_sync_tests.subscriptions.webhooks.receivers import Receiver, a_receiver

WEBHOOK = {"url": "ERP_URL", "secret": "ERP_SECRET", "allow_private": True}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with a_receiver() as opened:
        monkeypatch.setenv("ERP_URL", opened.url)
        monkeypatch.setenv("ERP_SECRET", make_secret())
        yield opened


Deliver = Callable[..., Delivered]


@pytest.fixture
def deliver(database_url: str, subscribe: Subscribe) -> Deliver:
    """Registers `erp` at once; delivers what is due."""
    subscribe(webhook=WEBHOOK)

    def delivered(seconds: float = 20, **webhook: Any) -> Delivered:
        made = subscribe(webhook={**WEBHOOK, **webhook}).webhook
        assert made is not None
        (outcome,) = deliver_all(lambda: connect(database_url, application="webhooks"), {"erp": made}, seconds)
        return outcome

    return delivered


def pass_time(connection: Connection, **by: float) -> None:
    span = timedelta(**by)
    connection.execute(
        "UPDATE event_deliveries SET due_at = due_at - %s, first_tried_at = first_tried_at - %s", [span, span]
    )
    connection.execute("UPDATE subscriptions SET resting_until = resting_until - %s", [span])


def test_an_event_comes_in_an_envelope_with_its_signature(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    an_event(connection, "7/ä")
    assert deliver() == ("erp", 1, 0, "")
    (call,) = receiver.calls
    (event_id,) = event_ids(connection)
    envelope = msgspec.json.decode(call.body)
    assert envelope.pop("data")["kind"] == "OrderCreated"
    assert envelope.pop("time").endswith("Z")
    assert envelope == {
        "specversion": "1.0", "id": str(event_id), "source": "/orders_sync/shop", "type": "orders_sync.OrderCreated",
        "subject": "7/ä", "datacontenttype": "application/json", "dataschema": "urn:orders-sync:order-event:1",
    }  # fmt: skip
    assert call.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert call.headers["webhook-id"] == str(event_id)
    assert call.headers["webhook-signature"].startswith("v1,")
    assert deliver() == ("erp", 0, 0, "")


def test_calls_about_an_order_follow_each_other_those_about_others_are_made_at_once(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    for order in range(6):
        for status in ("accepted", "shipped", "returned"):
            an_event(connection, str(order), status)
    receiver.seconds = 0.05
    assert deliver(concurrency=3) == ("erp", 30, 0, "")
    assert receiver.most_at_once == 3
    for order in range(6):
        ids = [int(event["id"]) for event in receiver.events if event["order_id"] == str(order)]
        assert ids == sorted(ids)


def test_an_event_that_is_refused_holds_back_its_own_order_alone(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    receiver.refused["1"] = 400
    for order in ("1", "2", "3"):
        an_event(connection, order)
        an_event(connection, order, "shipped")
    assert deliver() == ("erp", 6, 1, "it answers HTTP 400")
    receiver.refused.clear()
    pass_time(connection, seconds=6)
    assert deliver() == ("erp", 3, 0, "")
    of_first = [event["id"] for event in receiver.events if event["order_id"] == "1"]
    assert of_first[0] == of_first[1], "the event that was refused comes first, with the same id"


def test_a_receiver_that_is_down_rests_and_gets_everything_afterwards(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    for order in range(20):
        an_event(connection, str(order))
    receiver.status = 503
    assert deliver(concurrency=1).failed == 3
    assert deliver(concurrency=1) == ("erp", 0, 0, ""), "it rests"
    assert len(receiver.calls) == 3
    for calls in (4, 5, 6):
        pass_time(connection, minutes=5, seconds=1)
        assert deliver(concurrency=4).failed == 1, "a single event tries it"
        assert len(receiver.calls) == calls
    receiver.status = 200
    pass_time(connection, minutes=5, seconds=1)
    assert deliver().failed == 0
    pass_time(connection, hours=1)
    deliver()
    assert {event["order_id"] for event in receiver.events[6:]} == {str(order) for order in range(20)}
    assert positions(connection)[0].waiting == 0


@pytest.mark.parametrize(
    ("status", "calls"),
    [(401, 3), (403, 3), (404, 3), (405, 3), (410, 3), (429, 3), (500, 3), (503, 3), (400, 6), (409, 6), (422, 6)],
)
def test_only_what_refuses_every_event_lets_the_receiver_rest(
    receiver: Receiver, deliver: Deliver, connection: Connection, status: int, calls: int
) -> None:
    for order in range(6):
        an_event(connection, str(order))
    receiver.status = status
    assert deliver(concurrency=1).failed == calls
    assert len(receiver.calls) == calls


def test_a_receiver_that_asks_for_a_pause_gets_it(receiver: Receiver, deliver: Deliver, connection: Connection) -> None:
    for order in range(5):
        an_event(connection, str(order))
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    assert deliver(concurrency=1).failed == 1
    pass_time(connection, seconds=590)
    assert deliver(concurrency=1).failed == 0
    receiver.status = 200
    pass_time(connection, seconds=11)
    assert deliver().delivered == 5


def test_after_three_days_an_event_is_given_up_and_can_be_sent_again(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    receiver.refused["1"] = 422
    an_event(connection, "1")
    an_event(connection, "1", "shipped")
    (first, *_) = event_ids(connection)
    for _ in range(6):
        assert deliver().failed == 1
        pass_time(connection, hours=12)
    assert deliver().failed == 2, "the next event of the order is tried"
    receiver.refused.clear()
    pass_time(connection, hours=12)
    assert deliver().delivered == 2, "the order goes on"
    (position,) = positions(connection)
    assert (position.given_up, position.waiting) == (1, 0)
    ((problem,),) = connection.execute("SELECT problem FROM event_deliveries WHERE outcome = 'given_up'")
    assert problem == "given up after three days: it answers HTTP 422"
    assert replay_given_up(connection, "erp", BY) == 1
    deliver()
    assert receiver.events[-1]["id"] == str(first)


def test_a_slow_receiver_delays_no_other(
    receiver: Receiver, connection: Connection, database_url: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_receiver() as slow:
        slow.seconds = 3
        monkeypatch.setenv("SLOW_URL", slow.url)
        made = {
            "fast": subscribe("fast", webhook=WEBHOOK).webhook,
            "slow": subscribe("slow", webhook={**WEBHOOK, "url": "SLOW_URL", "concurrency": 1, "timeout_seconds": 1}).webhook,
        }  # fmt: skip
        for order in range(30):
            an_event(connection, str(order))
        found = deliver_all(lambda: connect(database_url), {name: each for name, each in made.items() if each}, 2)
    assert found[0] == ("fast", 30, 0, "")
    assert (found[1].delivered, found[1].problem) == (0, "no answer within 1 s")


def test_what_comes_while_a_slow_receiver_is_waited_for_reaches_the_others_at_once(
    receiver: Receiver, connection: Connection, database_url: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_receiver() as slow:
        slow.seconds = 6
        monkeypatch.setenv("SLOW_URL", slow.url)
        made = {name: subscribe(name, webhook=each).webhook for name, each in (
            ("fast", WEBHOOK), ("slow", {**WEBHOOK, "url": "SLOW_URL", "timeout_seconds": 10}),
        )}  # fmt: skip
        an_event(connection, "1")
        round_ = threading.Thread(
            target=deliver_all,
            args=(lambda: connect(database_url), {name: each for name, each in made.items() if each}, 2),
        )
        round_.start()
        wait_for(lambda: len(slow.calls) == 1, seconds=10, what="the slow call")
        time.sleep(2.5)  # the round's own time is over
        an_event(connection, "2")
        began = time.monotonic()
        wait_for(lambda: len(receiver.calls) == 2, seconds=10, what="the event of meanwhile")
        assert round_.is_alive(), f"it came after {time.monotonic() - began:.1f} s"
        round_.join()


@pytest.mark.parametrize(
    "url", ["https://user:pwSECRET9999@ho℀st/t", "http://[::1/", "http://a..b/", f"http://{'x' * 64}/"]
)
def test_an_odd_url_is_reported_without_its_secret(
    receiver: Receiver, deliver: Deliver, connection: Connection, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    an_event(connection)
    monkeypatch.setenv("ERP_URL", url)
    outcome = deliver()
    assert outcome.problem
    assert "SECRET9999" not in outcome.problem
    ((problem,),) = connection.execute("SELECT problem FROM subscriptions")
    assert problem
    assert positions(connection)[0].waiting == 1


def test_what_failed_while_a_receiver_was_down_comes_as_soon_as_it_works(
    receiver: Receiver, deliver: Deliver, connection: Connection
) -> None:
    receiver.status = 503
    an_event(connection, "1")
    for _ in range(5):
        deliver()
        pass_time(connection, hours=6)
    an_event(connection, "2")
    deliver()
    receiver.status = 200
    pass_time(connection, minutes=5, seconds=1)
    assert deliver().delivered == 2


def test_the_secret_is_replaced_without_a_gap(
    receiver: Receiver, deliver: Deliver, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_event(connection, "1")
    deliver()
    monkeypatch.setenv("ERP_FORMER", make_secret())
    an_event(connection, "2")
    deliver(former_secret="ERP_FORMER")
    monkeypatch.delenv("ERP_FORMER")
    an_event(connection, "3")
    deliver(former_secret="ERP_FORMER")
    assert [call.headers["webhook-signature"].count("v1,") for call in receiver.calls] == [1, 2, 1]


@pytest.mark.parametrize(
    ("changes", "variables", "said"),
    [
        ({}, {"ERP_URL": ""}, "the environment variable ERP_URL is not set; set it to the receiver's URL"),
        ({}, {"ERP_SECRET": "whsec_x"}, "the secret in ERP_SECRET is no Base64 after whsec_"),
        ({"allow_private": False}, {}, "ERP_URL: allowed is a URL with https, without a user and without a fragment"),
        ({}, {"ERP_URL": "https://me:secret99@example.com/"}, "without a user"),
        ({}, {"ERP_URL": "ftp://example.com/"}, "allowed is a URL with https or http"),
    ],
)
def test_what_can_not_be_called_says_why_and_keeps_its_events(
    receiver: Receiver,
    deliver: Deliver,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    variables: dict[str, str],
    said: str,
) -> None:
    an_event(connection)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    outcome = deliver(**changes)
    assert said in outcome.problem
    assert "secret99" not in outcome.problem
    assert positions(connection)[0].waiting == 1
    ((problem,),) = connection.execute("SELECT problem FROM subscriptions")
    assert said in problem


def test_a_private_address_is_refused_unless_the_file_allows_it(
    receiver: Receiver, deliver: Deliver, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_event(connection)
    for host in ("127.0.0.1", "localhost", "10.0.0.1", "[::1]", "169.254.169.254"):
        monkeypatch.setenv("ERP_URL", f"https://{host}:1/")
        pass_time(connection, hours=12)
        assert "has a private address" in deliver(allow_private=False).problem
    assert receiver.calls == []
    assert positions(connection)[0].waiting == 1


def test_redirects_are_not_followed(receiver: Receiver, deliver: Deliver, connection: Connection) -> None:
    receiver.status, receiver.headers = 302, {"Location": "http://127.0.0.1:1/"}
    an_event(connection)
    assert deliver().problem == "it answers HTTP 302: redirects are not followed; set the final URL"


def test_two_processes_do_not_call_a_receiver_at_once(
    receiver: Receiver, deliver: Deliver, connection: Connection, database_url: str
) -> None:
    an_event(connection)
    with connect(database_url, application="another") as another:
        another.execute("SELECT pg_advisory_lock(hashtextextended('webhook erp', 0))")
        assert deliver() == ("erp", 0, 0, "")
    assert deliver().delivered == 1


def test_the_time_of_a_round_ends_it(
    receiver: Receiver, deliver: Deliver, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.seconds = 0.2
    for order in range(50):
        an_event(connection, str(order))
    outcome = deliver(seconds=1, concurrency=1)
    assert 1 <= outcome.delivered <= 10
    assert timedelta(days=3) == delivery.KEPT_TRYING
    assert deliver().delivered + outcome.delivered == 50, "nothing of it keeps a lease"
