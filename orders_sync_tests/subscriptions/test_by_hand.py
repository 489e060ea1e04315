"""What people do with subscriptions: each act is on record, and is refused where it makes no sense."""

from datetime import UTC, datetime, timedelta

import pytest

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection
from orders_sync.subscriptions.by_hand import (
    SubscriptionError,
    deliveries,
    pause,
    remove,
    replay_order,
    replay_since,
    resume,
    skip,
)
from orders_sync.subscriptions.deliveries import acknowledge, claim, positions, refuse
from orders_sync_tests.subscriptions.conftest import Subscribe, an_event, event_ids

BY = By("anna", "the ERP was restored from a backup", "a test")


def acts(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT act, object, detail, actor, reason FROM manual_acts ORDER BY act_id").fetchall()


def test_a_pause_lasts_until_somebody_ends_it(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    pause(connection, "erp", BY)
    assert claim(connection, "erp", 1) == []
    with pytest.raises(SubscriptionError, match="The subscription erp is paused already"):
        pause(connection, "erp", BY)
    resume(connection, "erp", BY)
    with pytest.raises(SubscriptionError, match="is not paused"):
        resume(connection, "erp", BY)
    assert len(claim(connection, "erp", 1)) == 1
    assert [row[0] for row in acts(connection)] == ["pause_subscription", "resume_subscription"]
    assert acts(connection)[0][3:] == ("anna", "the ERP was restored from a backup")


def test_an_event_is_skipped_with_a_reason(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection, "1")
    an_event(connection, "1", "shipped")
    first, second, _ = event_ids(connection)
    claim(connection, "erp", 1)
    refuse(connection, "erp", first, "no such customer", timedelta(hours=1))
    skip(connection, "erp", first, BY)
    assert [each.event_id for each in claim(connection, "erp", 5)] == [second]
    with pytest.raises(SubscriptionError, match=f"The event {first} does not wait"):
        skip(connection, "erp", first, BY)
    assert acts(connection) == [
        ("skip_delivery", "subscription erp", f"event {first}", "anna", "the ERP was restored from a backup")
    ]


def test_events_since_a_moment_come_again_those_of_before_the_subscription_too(
    connection: Connection, subscribe: Subscribe
) -> None:
    an_event(connection, "1")
    an_event(connection, "2")
    first, second = event_ids(connection)
    connection.execute(
        "UPDATE order_events SET recorded_at = recorded_at - interval '2 days' WHERE event_id = %s", [first]
    )
    subscribe()
    an_event(connection, "3")
    third = event_ids(connection)[-1]
    acknowledge(connection, "erp", [third])
    assert replay_since(connection, "erp", datetime.now(UTC) - timedelta(days=1), BY) == 2
    assert [(each.event_id, each.attempt) for each in claim(connection, "erp", 5)] == [(second, 1), (third, 1)]
    ((replayed,),) = connection.execute("SELECT count(*) FROM event_deliveries WHERE is_replayed")
    assert replayed == 2
    assert "2 events" in str(acts(connection)[0][2])


def test_all_events_of_an_order_come_again_in_their_order(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for order in ("1", "2"):
        an_event(connection, order)
        an_event(connection, order, "shipped")
    ids = event_ids(connection)
    acknowledge(connection, "erp", ids)
    assert replay_order(connection, "erp", "shop", "1", BY) == 3
    seen: list[int] = []
    while claimed := claim(connection, "erp", 5):
        seen += [each.event_id for each in claimed]
        acknowledge(connection, "erp", seen)
    assert seen == ids[:3]


def test_what_waits_is_not_claimed_twice_by_a_replay(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    claim(connection, "erp", 1)
    assert replay_order(connection, "erp", "shop", "1", BY) == 0
    assert claim(connection, "erp", 1) == []


def test_what_waits_and_what_was_given_up_is_listed(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    (waiting,) = deliveries(connection, "erp", given_up=False, limit=5)
    assert (waiting.kind, waiting.order_id, waiting.attempts, waiting.outcome) == ("OrderCreated", "1", 0, None)
    assert deliveries(connection, "erp", given_up=True, limit=5) == []


def test_an_event_that_somebody_has_deleted_is_listed_too(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    connection.execute("DELETE FROM order_events")
    (waiting,) = deliveries(connection, "erp", given_up=False, limit=5)
    assert (waiting.kind, waiting.order_id, waiting.recorded_at) == ("", "1", None)
    skip(connection, "erp", waiting.event_id, BY)
    assert deliveries(connection, "erp", given_up=False, limit=5) == []


def test_a_list_goes_on_after_a_number(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for order in ("1", "2", "3"):
        an_event(connection, order)
    first, second, third = event_ids(connection)
    acknowledge(connection, "erp", [second])
    found = deliveries(connection, "erp", given_up=False, limit=5, after=first)
    assert [each.event_id for each in found] == [third]
    assert [each.event_id for each in deliveries(connection, "erp", given_up=False, limit=1)] == [first]


def test_an_order_without_events_is_not_delivered_again(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    with pytest.raises(SubscriptionError, match="There is no event of an order 9 in the account shop"):
        replay_order(connection, "erp", "shop", "9", BY)
    assert acts(connection) == []


def test_a_removed_subscription_is_forgotten(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    assert remove(connection, "erp", BY) == 1
    assert positions(connection) == []
    an_event(connection, "2")
    assert connection.execute("SELECT FROM event_deliveries").rowcount == 0


def test_a_misspelled_name_says_which_there_are(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    with pytest.raises(SubscriptionError, match="There is no subscription epr; allowed are erp"):
        pause(connection, "epr", BY)
