"""Delivers what is due to all receivers at once: one that is slow or down delays no other.

Calls about one order follow each other; those about different orders are made at once, up to the receiver's
`concurrency`. A receiver that fails several times in a row rests: then a single event tries it, ever later.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import LiteralString, NamedTuple

import psycopg

from orders_sync.config.subscriptions import Webhook
from orders_sync.database.advisory_locks import release_all, try_lock
from orders_sync.database.engine import Connection
from orders_sync.database.problems import problem_of
from orders_sync.model.errors import UserFacingError, text_of
from orders_sync.subscriptions.deliveries import Claimed, acknowledge, claim, give_up, refuse
from orders_sync.subscriptions.webhooks.receiver import Answer, Receiver, ReceiverError, Result

RETRIES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)  # fmt: skip
"""How long after each failed attempt an event is due again: three days, as the specification proposes."""
KEPT_TRYING = timedelta(days=3)
"""An event whose first attempt was so long ago is given up when it fails again."""
FAILURES_BEFORE_REST = 3
"""After so many failures in a row a receiver rests: with fewer, the event may be what it can't read."""
FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=5)
LEASE_AFTER_TIMEOUT = timedelta(seconds=60)
"""A claimed event is due again so long after the time in which its answer must be there."""


MAX_TIMEOUT_SECONDS = 30.0
"""No receiver may take longer to answer."""
IDLE_SECONDS = 0.5
"""How often a receiver that is waited for by no event is looked at again, while others are at work."""


class Delivered(NamedTuple):
    """What one round has done for a subscription."""

    subscription: str
    delivered: int
    failed: int
    problem: str
    """Why the last call failed, in one line; '' if none did."""


def deliver_all(connect: Callable[[], Connection], webhooks: Mapping[str, Webhook], seconds: float) -> list[Delivered]:
    """Delivers what is due, for `seconds` at most and the calls that are then under way. By subscription.

    `connect`: opens a connection to the orders database; each subscription has its own. While one waits for its
    receiver, the others go on to deliver what becomes due.
    """
    ends = time.monotonic() + seconds
    found: list[Delivered] = []
    at_work = set(webhooks)

    def run(name: str, webhook: Webhook) -> None:
        def may_go_on() -> bool:
            """Whether others are at work, and a call of this receiver ends before the last one of theirs may."""
            return (
                bool(at_work - idle - {name})
                and time.monotonic() + webhook.timeout_seconds < ends + MAX_TIMEOUT_SECONDS
            )

        try:
            found.append(_deliver_safely(connect, name, webhook, ends, lambda: idle.add(name), may_go_on))
        finally:
            at_work.discard(name)

    idle: set[str] = set()
    threads = [
        threading.Thread(target=run, args=each, name=f"webhook {each[0]}", daemon=True) for each in webhooks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends + MAX_TIMEOUT_SECONDS + 5 - time.monotonic()))
    hanging = [Delivered(name, 0, 0, "its calls have not ended yet") for name in at_work.copy()]
    return sorted([*found, *hanging])


def _deliver_safely(
    connect: Callable[[], Connection],
    name: str,
    webhook: Webhook,
    ends: float,
    note_idle: Callable[[], None],
    may_go_on: Callable[[], bool],
) -> Delivered:
    """Whatever goes wrong with one receiver, or its connection to the database, reaches no other."""
    try:
        with connect() as connection:
            return _deliver(connection, name, webhook, ends, note_idle, may_go_on)
    except Exception as error:
        problem = problem_of(error) if isinstance(error, psycopg.Error) else error
        text = str(problem).splitlines()[0] if isinstance(problem, UserFacingError) else text_of(problem)
        return Delivered(name, 0, 0, text)


def _deliver(
    connection: Connection,
    name: str,
    webhook: Webhook,
    ends: float,
    note_idle: Callable[[], None],
    may_go_on: Callable[[], bool],
) -> Delivered:
    """One process at a time calls a receiver: else it would get more calls at once than its file allows."""
    if not try_lock(connection, f"webhook {name}"):
        return Delivered(name, 0, 0, "")
    try:
        receiver = Receiver(webhook)
    except ReceiverError as problem:
        connection.execute(_NOTE_PROBLEM, [str(problem), name])
        release_all(connection)
        raise
    try:
        return _Round(connection, name, webhook, receiver).run(ends, note_idle, may_go_on)
    finally:
        receiver.close()
        release_all(connection)


class _Round:
    """The calls of one receiver."""

    def __init__(self, connection: Connection, name: str, webhook: Webhook, receiver: Receiver) -> None:
        self._connection = connection
        self._name = name
        self._webhook = webhook
        self._receiver = receiver
        self._lease = timedelta(seconds=webhook.timeout_seconds) + LEASE_AFTER_TIMEOUT
        self._delivered = 0
        self._failed = 0
        self._problem = ""

    def run(self, ends: float, note_idle: Callable[[], None], may_go_on: Callable[[], bool]) -> Delivered:
        """Claims and calls until nothing is due, the receiver rests, or the time is over.

        `note_idle`: is called once nothing is due. `may_go_on`: whether to look again all the same.
        """
        running: dict[Future[Answer], Claimed] = {}
        with ThreadPoolExecutor(self._webhook.concurrency, thread_name_prefix=f"webhook {self._name}") as pool:
            while True:
                is_time = time.monotonic() < ends or may_go_on()
                if is_time and (free := self._places() - len(running)) > 0:
                    for event in claim(self._connection, self._name, free, self._lease):
                        running[pool.submit(self._receiver.call, event.content)] = event
                if running:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._settle(running.pop(future), future.result())
                    continue
                note_idle()
                if not may_go_on():
                    return Delivered(self._name, self._delivered, self._failed, self._problem)
                time.sleep(IDLE_SECONDS)

    def _places(self) -> int:
        """How many calls may be under way: one, while nobody knows whether the receiver works again."""
        row = self._connection.execute("SELECT failures FROM subscriptions WHERE subscription = %s", [self._name])
        failures = row.fetchone()
        return 1 if failures is not None and failures[0] >= FAILURES_BEFORE_REST else self._webhook.concurrency

    def _settle(self, event: Claimed, answer: Answer) -> None:
        """Stores what has become of a call, in the order: the event, then the receiver."""
        result, problem, pause = answer
        if result is Result.DELIVERED:
            acknowledge(self._connection, self._name, [event.event_id])
            self._delivered += 1
        else:
            self._failed, self._problem = self._failed + 1, problem
            self._try_again(event, problem, pause)
        if result is Result.FAILED:
            self._note_failure(problem, pause)
        else:
            self._note_working()

    def _try_again(self, event: Claimed, problem: str, pause: timedelta | None) -> None:
        row = self._connection.execute(_IS_OLD, [KEPT_TRYING, self._name, event.event_id]).fetchone()
        if row is not None and row[0]:
            give_up(self._connection, self._name, event.event_id, f"given up after three days: {problem}")
            return
        waits = RETRIES[min(event.attempt, len(RETRIES)) - 1]
        refuse(self._connection, self._name, event.event_id, problem, max(waits, pause or waits))

    def _note_working(self) -> None:
        """What failed while the receiver did not work is due at once, now that it does."""
        row = self._connection.execute(_NOTE_WORKING, [self._name]).fetchone()
        if row is not None and row[0] >= FAILURES_BEFORE_REST:
            self._connection.execute(_DUE_AGAIN, [self._name])

    def _note_failure(self, problem: str, pause: timedelta | None) -> None:
        self._connection.execute(
            _NOTE_FAILURE,
            {
                "name": self._name, "problem": problem, "pause": pause, "least": FAILURES_BEFORE_REST,
                "first": FIRST_REST, "longest": LONGEST_REST,
            },
        )  # fmt: skip


_IS_OLD: LiteralString = """
SELECT first_tried_at < clock_timestamp() - %s::interval FROM event_deliveries
WHERE subscription = %s AND event_id = %s
"""
_NOTE_PROBLEM: LiteralString = "UPDATE subscriptions SET problem = %s WHERE subscription = %s"
_NOTE_WORKING: LiteralString = """
UPDATE subscriptions now SET failures = 0, problem = NULL, resting_until = NULL
FROM subscriptions before WHERE now.subscription = %s AND before.subscription = now.subscription
  AND (before.failures > 0 OR before.problem IS NOT NULL OR before.resting_until IS NOT NULL)
RETURNING before.failures
"""
_DUE_AGAIN: LiteralString = """
UPDATE event_deliveries SET due_at = clock_timestamp()
WHERE subscription = %s AND ended_at IS NULL AND NOT is_claimed AND due_at > clock_timestamp()
"""
# 5 s, 10 s, 20 s … after the third, fourth, fifth failure in a row, five minutes at most; or what it asks for.
_NOTE_FAILURE: LiteralString = """
UPDATE subscriptions SET failures = failures + 1, problem = %(problem)s, resting_until = CASE
  WHEN failures + 1 >= %(least)s OR %(pause)s::interval IS NOT NULL THEN clock_timestamp() + greatest(
    coalesce(%(pause)s::interval, '0'),
    CASE WHEN failures + 1 >= %(least)s
      THEN least(%(longest)s::interval, %(first)s::interval * 2 ^ least(failures + 1 - %(least)s, 10))
      ELSE interval '0' END)
  END
WHERE subscription = %(name)s
"""
