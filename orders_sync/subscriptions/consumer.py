"""Python functions that consume order events: `@order_event_consumer` marks one.

    @order_event_consumer
    def deliver(event: OrderEvent) -> None:
        erp.put(f"/orders/{event.order_id}", status=event.new_status)

An event whose call returns is delivered; one whose call raises is tried again, later and later. With `batch=True` the
function gets a list of events, of different orders, and acknowledges them all, or those whose ids it returns.
"""

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast, overload

from orders_sync.config.subscriptions import DagsterConsumer, SubscriptionConfigError
from orders_sync.database.engine import Connection
from orders_sync.model.errors import text_of
from orders_sync.subscriptions.deliveries import Claimed, acknowledge, claim, keep, refuse
from orders_sync.subscriptions.event import OrderEvent, event_from

ForEach = Callable[[OrderEvent], None]
ForMany = Callable[[Sequence[OrderEvent]], Collection[str] | None]


class OrderEventConsumer(NamedTuple):
    """A function that consumes events, one by one or many at once."""

    function: Callable[[Any], Any]
    is_batch: bool

    def __call__(self, events: Any) -> Any:
        """Calls the function itself, e.g. in a test."""
        return self.function(events)


@overload
def order_event_consumer(function: ForEach) -> OrderEventConsumer: ...
@overload
def order_event_consumer(*, batch: bool) -> Callable[[Callable[[Any], Any]], OrderEventConsumer]: ...
def order_event_consumer(function: ForEach | None = None, *, batch: bool = False) -> Any:
    """Marks a function as a consumer of order events. `batch`: it gets a list of events.

    Raises TypeError for a function whose call does not run it: one with `async` or `yield`.
    """

    def mark(marked: Callable[[Any], Any]) -> OrderEventConsumer:
        is_async = inspect.iscoroutinefunction(marked) or inspect.isasyncgenfunction(marked)
        if is_async or inspect.isgeneratorfunction(marked):
            raise TypeError(f"{marked.__name__} has {'`async`' if is_async else '`yield`'}: a plain function is needed")
        return OrderEventConsumer(marked, is_batch=batch)

    return mark(function) if function is not None else mark


class Consumed(NamedTuple):
    """What a round of a consumer has done."""

    delivered: int
    failed: int
    problem: str
    """Why the last event failed, in one line; '' if none did."""
    is_over: bool
    """Whether nothing more was due."""


def find_consumer(reference: str, folder: Path, file: str) -> OrderEventConsumer:
    """The consumer that a file names as module:function. `folder`: where its own modules are.

    Raises SubscriptionConfigError; whatever the module raises is one, too.
    """
    module_name, _, name = reference.partition(":")
    where = f"{file}: dagster.function: {reference}"
    try:
        is_own = folder.joinpath(*module_name.split(".")).with_suffix(".py").is_file()
        module = _module_beside(folder, module_name) if is_own else importlib.import_module(module_name)
        found = getattr(module, name, None)
    except BaseException as problem:  # a user's code may raise anything, e.g. what pytest raises to skip a module
        if isinstance(problem, KeyboardInterrupt) or type(problem).__module__.startswith("dagster"):
            raise
        raise SubscriptionConfigError(f"{where}: can't be imported: {text_of(problem)}") from None
    if not isinstance(found, OrderEventConsumer):
        is_there = found is not None
        what = "is not marked with @order_event_consumer" if is_there else f"there is no {name} in {module_name}"
        raise SubscriptionConfigError(f"{where}: {what}.")
    return found


def consume(
    connection: Connection, subscription: str, consumer: OrderEventConsumer, settings: DagsterConsumer, seconds: float
) -> Consumed:
    """Gives the consumer what is due, a batch at a time, until nothing is, or the time is over."""
    ends = time.monotonic() + seconds
    delivered, failed, problem = 0, 0, ""
    while time.monotonic() < ends:
        claimed = claim(connection, subscription, settings.batch, settings.lease)
        if not claimed:
            return Consumed(delivered, failed, problem, True)
        done, wrong = (
            _consume_many(connection, subscription, consumer.function, claimed)
            if consumer.is_batch
            else _consume_each(connection, subscription, consumer.function, claimed, settings.lease)
        )
        delivered, failed, problem = delivered + done, failed + len(claimed) - done, wrong or problem
    return Consumed(delivered, failed, problem, False)


def _consume_each(
    connection: Connection,
    subscription: str,
    function: Callable[[Any], Any],
    claimed: Sequence[Claimed],
    lease: timedelta,
) -> tuple[int, str]:
    """One by one. Acknowledged at once: a process that ends here gives no event a second time but the one under way."""
    done, problem = 0, ""
    kept_at = time.monotonic()
    for number, each in enumerate(claimed):
        if number and time.monotonic() - kept_at > lease.total_seconds() / 100:
            keep(connection, subscription, [one.event_id for one in claimed[number:]], lease)
            kept_at = time.monotonic()
        try:
            _check_ran(function(event_from(each.content)))
        except (Exception, SystemExit) as error:  # whatever a user's function raises concerns this event alone
            problem = _problem_of(error, [each])
            refuse(connection, subscription, each.event_id, problem)
        else:
            done += acknowledge(connection, subscription, [each.event_id])
    return done, problem


def _consume_many(
    connection: Connection, subscription: str, function: Callable[[Any], Any], claimed: Sequence[Claimed]
) -> tuple[int, str]:
    problem = "the consumer has not acknowledged it"
    try:
        returned = function([event_from(each.content) for each in claimed])
        taken = {each.event_id for each in claimed}
        _check_ran(returned)
        if isinstance(returned, str | bytes):
            raise TypeError("a batch consumer returns nothing, or a collection of ids")
        if returned is not None:
            ids = {str(each) for each in cast(Collection[str], returned)}
            taken = {event_id for event_id in taken if str(event_id) in ids}
    except (Exception, SystemExit) as error:  # as above
        taken, problem = set[int](), _problem_of(error, claimed)
    done = acknowledge(connection, subscription, taken)
    left = [each.event_id for each in claimed if each.event_id not in taken]
    for event_id in left:
        refuse(connection, subscription, event_id, problem)
    return done, problem if left else ""


def _problem_of(error: BaseException, events: Sequence[Claimed]) -> str:
    """Why a consumer failed, in one line. Its text may quote the buyer: then it is left to the consumer's own log."""
    if any(each.content.get("buyer") is not None for each in events):
        return f"{type(error).__name__} (its text is not kept, since the event has a buyer's data)"
    return text_of(error)


def _check_ran(returned: object) -> None:
    """Raises TypeError for what a call returns that has not run: a coroutine, or a generator."""
    if inspect.isawaitable(returned) or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise TypeError(f"it returned a {type(returned).__name__}, which has not run: a plain function is needed")


def _module_beside(folder: Path, name: str) -> ModuleType:
    """A module in the folder of a subscription. The folder is a package: `from .helper import …` finds another one."""
    package = f"orders_sync_subscription_{folder.name}"
    for stale in [each for each in sys.modules if each == package or each.startswith(f"{package}.")]:
        del sys.modules[stale]
    made = ModuleType(package)
    made.__path__ = [str(folder)]
    sys.modules[package] = made
    importlib.invalidate_caches()
    return importlib.import_module(f"{package}.{name}")
