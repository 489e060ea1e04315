"""A subscription gets every event from its registration on, however transactions overlap."""

import threading

import psycopg
import pytest

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection, connect
from orders_sync.subscriptions import registration
from orders_sync.subscriptions.by_hand import SubscriptionError, remove, resume
from orders_sync.subscriptions.deliveries import claim, positions
from orders_sync.subscriptions.registration import register
from orders_sync_tests.subscriptions.conftest import Subscribe, an_event, event_ids, settings


def waiting(connection: Connection) -> dict[str, int]:
    return {position.subscription: position.waiting for position in positions(connection)}


def test_it_gets_the_events_from_now_on_or_all(connection: Connection, subscribe: Subscribe) -> None:
    an_event(connection, "1")
    subscribe("later")
    subscribe("everything", start="beginning")
    an_event(connection, "2")
    assert waiting(connection) == {"later": 1, "everything": 2}


def test_a_file_that_has_changed_counts_from_now_on(connection: Connection) -> None:
    assert register(connection, {"erp": settings()}).added == ["erp"]
    assert register(connection, {"erp": settings()}) == ([], [], [])
    an_event(connection, "1")
    assert register(connection, {"erp": settings(statuses=["shipped"])}).changed == ["erp"]
    an_event(connection, "2")
    an_event(connection, "2", "shipped")
    assert waiting(connection) == {"erp": 3}


def test_one_without_a_file_goes_on_to_collect(connection: Connection, subscribe: Subscribe) -> None:
    subscribe("gone")
    register(connection, {})
    an_event(connection)
    assert waiting(connection) == {"gone": 1}


def test_stored_events_come_before_new_ones_though_no_writer_waits_for_them(
    connection: Connection, database_url: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_event(connection, "1")

    with connect(database_url, application="registering") as registering:
        monkeypatch.setattr(registration, "_ADD_STORED", "SELECT 1/0, %s::text")
        with pytest.raises(psycopg.errors.DivisionByZero):
            register(registering, {"erp": settings(start="beginning")})
    monkeypatch.undo()
    an_event(connection, "1", "shipped")
    assert claim(connection, "erp", 10) == [], "it waits for what was stored before"
    with pytest.raises(SubscriptionError, match="does not rest"):
        resume(connection, "erp", By("anna", "go on"))
    register(connection, {"erp": settings(start="beginning")})
    assert [each.event_id for each in claim(connection, "erp", 10)] == event_ids(connection)[:1]


def test_what_a_former_consumer_could_not_do_says_nothing_about_the_present_one(connection: Connection) -> None:
    webhook = {"url": "ERP_URL", "secret": "ERP_SECRET"}
    register(connection, {"erp": settings(webhook=webhook)})
    connection.execute(
        "UPDATE subscriptions SET failures = 5, problem = 'x', resting_until = now() + interval '1 hour'"
    )
    assert register(connection, {"erp": settings(sql={"role": "erp"})}).changed == ["erp"]
    an_event(connection)
    assert len(claim(connection, "erp", 1)) == 1


def test_what_was_left_of_one_that_was_removed_is_not_of_its_successor(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    subscribe()
    with connect(database_url, application="another") as another, another.transaction():
        an_event(another, "1")
        remove(connection, "erp", By("anna", "no more"))
    subscribe()
    assert claim(connection, "erp", 10) == []


def test_no_event_of_a_transaction_under_way_is_missed(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    """It has fanned out before the subscription was there, and commits after it."""
    with connect(database_url, application="another") as another, another.transaction():
        an_event(another, "1")
        registering = threading.Thread(target=subscribe)
        registering.start()
        registering.join(0.3)
        assert registering.is_alive(), "it waits for the transaction"
    registering.join(10)
    an_event(connection, "2")
    first, second = event_ids(connection)
    assert [each.event_id for each in claim(connection, "erp", 10)] == [second]
    assert first < second, "the first one was committed before the registration was: it is an event of before"


def test_a_transaction_that_takes_long_holds_no_writer_up(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    with connect(database_url, application="another") as another, another.transaction():
        an_event(another, "1")
        assert register(connection, {"erp": settings()}).put_off == ["erp"]
    subscribe()
    assert waiting(connection) == {"erp": 0}
