"""Deliveries: each event at least once, in order for each order, whatever the workers do."""

import threading
import time
from collections import defaultdict
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from orders_sync.acts.by import By
from orders_sync.database.engine import Connection, connect
from orders_sync.subscriptions.by_hand import replay_order
from orders_sync.subscriptions.deliveries import (
    Claimed,
    acknowledge,
    claim,
    give_up,
    keep,
    positions,
    refuse,
    release,
)
from orders_sync.subscriptions.event import event_from
from orders_sync.subscriptions.registration import register
from orders_sync_tests.subscriptions.conftest import Subscribe, an_event, event_ids
from orders_sync_tests.subscriptions.conftest import settings as subscription_settings


def pass_time(connection: Connection, seconds: float) -> None:
    connection.execute("UPDATE event_deliveries SET due_at = due_at - %s", [timedelta(seconds=seconds)])


def test_an_event_is_claimed_once_and_comes_again_when_its_lease_has_ended(
    connection: Connection, subscribe: Subscribe
) -> None:
    subscribe()
    an_event(connection)
    ((event_id, attempt, content),) = claim(connection, "erp", 10, timedelta(minutes=5))
    assert (attempt, event_from(content).kind) == (1, "OrderCreated")
    assert claim(connection, "erp", 10) == []
    pass_time(connection, 299)
    assert claim(connection, "erp", 10) == []
    pass_time(connection, 2)
    assert [(each.event_id, each.attempt) for each in claim(connection, "erp", 10)] == [(event_id, 2)]
    assert acknowledge(connection, "erp", [event_id]) == 1
    assert acknowledge(connection, "erp", [event_id]) == 0
    pass_time(connection, 3600)
    assert claim(connection, "erp", 10) == []


def test_an_event_waits_for_the_earlier_ones_of_its_order_alone(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for status in ("accepted", "shipped"):
        an_event(connection, "1", status)
    an_event(connection, "2")
    first, of_order, of_item, other = event_ids(connection)
    assert [each.event_id for each in claim(connection, "erp", 10)] == [first, other]
    refuse(connection, "erp", first, "no")
    due = "SELECT count(*) FROM event_deliveries WHERE order_id = '1' AND due_at <= now()"
    assert connection.execute(due).fetchone() == (0,), "what waits for it is not looked at in vain"
    pass_time(connection, 4)
    assert claim(connection, "erp", 10) == []
    pass_time(connection, 2)
    assert [each.event_id for each in claim(connection, "erp", 10)] == [first]
    acknowledge(connection, "erp", [first])
    assert [each.event_id for each in claim(connection, "erp", 10)] == [of_order]
    acknowledge(connection, "erp", [of_order])
    assert [each.event_id for each in claim(connection, "erp", 10)] == [of_item]


def test_one_that_fails_is_due_later_and_later(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    waits: list[float] = []
    for _ in range(8):
        (claimed,) = claim(connection, "erp", 1)
        refuse(connection, "erp", claimed.event_id, "HTTP 500\nand more")
        ((seconds,),) = connection.execute(
            "SELECT round(extract(epoch FROM due_at - clock_timestamp())) FROM event_deliveries"
        )
        waits.append(float(seconds))
        pass_time(connection, float(seconds) + 1)
    assert waits == [5, 20, 80, 320, 1280, 3600, 3600, 3600]
    (position,) = positions(connection)
    assert (position.waiting, position.failing, position.attempts) == (1, 1, 8)
    ((problem,),) = connection.execute("SELECT problem FROM event_deliveries")
    assert problem == "HTTP 500^Jand more"


def test_what_was_given_up_lets_the_next_event_of_its_order_go(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for status in ("accepted", "shipped"):
        an_event(connection, "1", status)
    (first,) = claim(connection, "erp", 1)
    refuse(connection, "erp", first.event_id, "no", timedelta(hours=5))
    give_up(connection, "erp", first.event_id, "never")
    (second,) = claim(connection, "erp", 10)
    assert second.event_id > first.event_id
    (position,) = positions(connection)
    assert (position.waiting, position.given_up, position.delivered) == (2, 1, 0)


def test_what_was_not_tried_goes_back_without_an_attempt(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    (claimed,) = claim(connection, "erp", 1)
    keep(connection, "erp", [claimed.event_id], timedelta(hours=2))
    pass_time(connection, 3600)
    assert claim(connection, "erp", 1) == []
    release(connection, "erp", [claimed.event_id])
    assert [each.attempt for each in claim(connection, "erp", 1)] == [1]


def test_subscriptions_do_not_wait_for_each_other_and_get_what_they_ask_for(
    connection: Connection, subscribe: Subscribe
) -> None:
    subscribe("all_events")
    subscribe("shipments", statuses=["shipped"])
    subscribe("one_account", accounts=["other"])
    for order, account in (("1", "shop"), ("2", "other")):
        for status in ("accepted", "shipped"):
            an_event(connection, order, status, account)
    found = {position.subscription: position.waiting for position in positions(connection)}
    assert found == {"all_events": 6, "shipments": 4, "one_account": 3}
    acknowledge(connection, "all_events", event_ids(connection))
    assert {position.subscription: position.waiting for position in positions(connection)} == {
        "all_events": 0, "shipments": 4, "one_account": 3,
    }  # fmt: skip


def test_whoever_listens_is_woken_by_the_commit(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    subscribe()
    with connect(database_url, application="listener") as listener:
        listener.execute("LISTEN order_events")
        an_event(connection)
        woken = [notice.payload for notice in listener.notifies(timeout=5, stop_after=1)]
    assert woken == ["erp"]


def test_a_paused_subscription_collects(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    connection.execute("UPDATE subscriptions SET paused_at = now()")
    an_event(connection)
    assert claim(connection, "erp", 1) == []
    connection.execute("UPDATE subscriptions SET paused_at = NULL")
    assert len(claim(connection, "erp", 1)) == 1


def test_there_is_no_other_subscription(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.NoDataFound, match=r"There is no subscription erp\."):
        claim(connection, "erp", 1)


def test_only_the_role_of_the_file_consumes_by_sql(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    subscribe(sql={"role": "t_group"})
    an_event(connection)
    database = connection.info.dbname
    names = [f"t_{each}_{database[-12:]}" for each in ("member", "stranger")]
    member, stranger = names
    subscribe(sql={"role": member})
    for role in names:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(f"GRANT EXECUTE ON FUNCTION claim_events, ack_events, nack_events TO {role}".encode())
    try:
        with connection.transaction():
            connection.execute(f"SET SESSION AUTHORIZATION {member}".encode())
            (claimed,) = claim(connection, "erp", 1)
            acknowledge(connection, "erp", [claimed.event_id])
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT count(*) FROM orders")
            connection.execute("RESET SESSION AUTHORIZATION")
            connection.execute(f"SET SESSION AUTHORIZATION {stranger}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not consume"), connection.transaction():
                claim(connection, "erp", 1)
            connection.execute("RESET SESSION AUTHORIZATION")
    finally:
        for role in names:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


ORDERS = st.sampled_from(["1", "2", "3"])
STATUSES = ("accepted", "shipped", "returned")


class Workers(RuleBasedStateMachine):
    """Workers claim, acknowledge, refuse, vanish and come back, in any order, while orders change."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.connection = connect(self.url, application="worker")
        self.connection.execute("TRUNCATE orders, order_items, order_events, event_deliveries, subscriptions")
        register(self.connection, {"erp": subscription_settings()})
        self.steps: dict[str, int] = defaultdict(int)
        self.held: dict[int, Claimed] = {}
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.done: list[int] = []

    def teardown(self) -> None:
        for _ in range(100):  # at the end all workers work
            pass_time(self.connection, 7200)
            claimed = claim(self.connection, "erp", 2)
            if not claimed:
                break
            self.note(claimed)
            acknowledge(self.connection, "erp", [each.event_id for each in claimed])
        assert sorted({each for ids in self.seen.values() for each in ids}) == event_ids(self.connection)
        for ids in self.seen.values():
            firsts = list(dict.fromkeys(ids))
            assert firsts == sorted(firsts), "an event came before an earlier one of its order"
        self.connection.close()

    def note(self, claimed: list[Claimed]) -> None:
        for each in claimed:
            self.seen[each.content["order_id"]].append(each.event_id)

    @rule(order=ORDERS)
    def an_order_changes(self, order: str) -> None:
        step = self.steps[order]
        self.steps[order] += 1
        an_event(self.connection, order, STATUSES[step % len(STATUSES)])

    @rule(most=st.integers(1, 3))
    def a_worker_claims(self, most: int) -> None:
        claimed = claim(self.connection, "erp", most, timedelta(minutes=5))
        assert len(claimed) <= most
        for each in claimed:
            assert each.event_id not in self.done, "it was acknowledged"
            self.held[each.event_id] = each
        self.note(claimed)

    @rule(all_of_them=st.booleans())
    def a_worker_acknowledges(self, all_of_them: bool) -> None:
        ids = list(self.held)[: None if all_of_them else 1]
        acknowledge(self.connection, "erp", ids)
        self.done += ids
        for event_id in ids:
            del self.held[event_id]

    @rule()
    def a_worker_refuses(self) -> None:
        for event_id in list(self.held)[:1]:
            refuse(self.connection, "erp", event_id, "no")
            del self.held[event_id]

    @rule()
    def a_worker_vanishes_and_its_lease_ends(self) -> None:
        self.held.clear()
        pass_time(self.connection, 301)

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        pass_time(self.connection, seconds)

    @invariant()
    def nobody_holds_two_events_of_an_order(self) -> None:
        orders = [each.content["order_id"] for each in self.held.values()]
        assert len(orders) == len(set(orders))


def test_whatever_workers_do_each_event_comes_and_in_order(database_url: str) -> None:
    Workers.url = database_url
    run_state_machine_as_test(
        Workers,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )  # fmt: skip


def test_several_workers_at_once_of_which_some_are_killed(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    """Writers, workers, and somebody who ends their sessions at any moment."""
    subscribe()
    seen: dict[str, list[int]] = defaultdict(list)
    holders: dict[str, int] = {}
    wrong: list[str] = []
    lock, is_over = threading.Lock(), threading.Event()

    def work(number: int) -> None:
        while not is_over.is_set():
            try:
                with connect(database_url, application=f"worker {number}") as mine:
                    while not is_over.is_set():
                        consume_some(mine, number)
            except psycopg.OperationalError:
                continue  # its session was ended: its events are due again when their lease ends

    def consume_some(mine: Connection, number: int) -> None:
        claimed = claim(mine, "erp", 3, timedelta(seconds=2))
        for each in claimed:
            order = each.content["order_id"]
            with lock:
                if holders.setdefault(order, number) != number:
                    wrong.append(f"order {order}: {holders[order]} and {number}")
                seen[order].append(each.event_id)
                del holders[order]
        acknowledge(mine, "erp", [each.event_id for each in claimed])
        time.sleep(0 if claimed else 0.01)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for step in range(3):
        for order in range(40):
            an_event(connection, str(order), STATUSES[step])
            if order % 10 == 5:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s "
                    "AND datname = current_database()",
                    [f"worker {order // 10 % 3}"],
                )
    ends = time.monotonic() + 60
    while positions(connection)[0].waiting and time.monotonic() < ends:
        time.sleep(0.1)
    is_over.set()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert sorted({each for ids in seen.values() for each in ids}) == event_ids(connection)
    for ids in seen.values():
        firsts = list(dict.fromkeys(ids))
        assert firsts == sorted(firsts)


def test_an_event_that_was_deleted_by_hand_holds_nothing_up(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for status in ("accepted", "shipped"):
        an_event(connection, "1", status)
    first, second, _ = event_ids(connection)
    connection.execute("DELETE FROM order_events WHERE event_id = %s", [first])
    assert claim(connection, "erp", 10) == []
    assert [each.event_id for each in claim(connection, "erp", 10)] == [second]
    ((problem,),) = connection.execute("SELECT problem FROM event_deliveries WHERE outcome = 'given_up'")
    assert problem == "somebody has deleted it from order_events"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("claim_events('erp', NULL)", 1), ("claim_events('erp', -1)", 0), ("claim_events('erp', 0)", 0),
        ("claim_events('erp', 2147483647)", 1), ("claim_events('erp', 1, NULL)", 1),
        ("unnest(ARRAY[ack_events('erp', NULL)])", 1), ("unnest(ARRAY[nack_events('erp', '{}')])", 1),
        ("unnest(ARRAY[nack_events('erp', ARRAY[9223372036854775807])])", 1),
    ],
)  # fmt: skip
def test_odd_arguments_do_no_harm(connection: Connection, subscribe: Subscribe, call: str, found: int) -> None:
    subscribe()
    an_event(connection)
    assert connection.execute(f"SELECT * FROM {call}".encode()).rowcount == found


def test_a_consumer_that_holds_its_transaction_open_holds_no_writer_up(
    connection: Connection, database_url: str, subscribe: Subscribe
) -> None:
    subscribe()
    an_event(connection, "1")
    connection.execute("SET lock_timeout TO '2s'")
    with connect(database_url, application="consumer") as consumer, consumer.transaction():
        (claimed,) = claim(consumer, "erp", 1)
        an_event(connection, "1", "shipped")
        assert claim(connection, "erp", 1) == [], "another worker does not wait for it"
        acknowledge(consumer, "erp", [claimed.event_id])
        an_event(connection, "1", "returned")
        an_event(connection, "2")
    assert len(claim(connection, "erp", 10)) == 2


def test_what_is_acknowledged_again_ends_no_lease(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for status in ("accepted", "shipped"):
        an_event(connection, "1", status)
    (first,) = claim(connection, "erp", 10)
    acknowledge(connection, "erp", [first.event_id])
    (second,) = claim(connection, "erp", 10)
    assert acknowledge(connection, "erp", [first.event_id]) == 0
    assert claim(connection, "erp", 10) == []
    refuse(connection, "erp", second.event_id, "no", timedelta(days=1))
    acknowledge(connection, "erp", [first.event_id])
    assert claim(connection, "erp", 10) == []


def test_what_is_replayed_ends_no_lease_of_a_later_event(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    for status in ("accepted", "shipped"):
        an_event(connection, "1", status)
    (first,) = claim(connection, "erp", 10)
    acknowledge(connection, "erp", [first.event_id])
    (second,) = claim(connection, "erp", 10)
    replay_order(connection, "erp", "shop", "1", By("anna", "once more"))
    assert [each.event_id for each in claim(connection, "erp", 10)] == [first.event_id]
    acknowledge(connection, "erp", [first.event_id])
    assert claim(connection, "erp", 10) == [], "somebody has the second one"
    pass_time(connection, 301)
    assert [each.event_id for each in claim(connection, "erp", 10)] == [second.event_id]


def test_no_wait_is_longer_than_thirty_days(connection: Connection, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    (claimed,) = claim(connection, "erp", 1)
    connection.execute("SELECT nack_events('erp', %s, E'a\nb', interval '20000 years')", [[claimed.event_id]])
    ((seconds, problem),) = connection.execute(
        "SELECT extract(epoch FROM due_at - now())::float, problem FROM event_deliveries"
    )
    assert seconds < timedelta(days=31).total_seconds()
    assert problem == "a b"


def test_a_claim_that_is_rolled_back_was_none(connection: Connection, database_url: str, subscribe: Subscribe) -> None:
    subscribe()
    an_event(connection)
    with connect(database_url, application="consumer") as consumer, consumer.transaction(force_rollback=True):
        assert len(claim(consumer, "erp", 1)) == 1
    assert [each.attempt for each in claim(connection, "erp", 1)] == [1]
