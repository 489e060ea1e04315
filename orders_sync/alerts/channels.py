"""Sends messages through Apprise, which knows mail, chats, pagers and webhooks by one URL each.

All channels are called at once: one that hangs delays no other, and all together end in time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from typing import NamedTuple

import httpx

from orders_sync.alerts.messages import Message
from orders_sync.config.alerts import AlertConfigError, Channel
from orders_sync.model.control_characters import safe_text

HEARTBEAT_SECONDS = 10.0
"""How long the heartbeat's answer is waited for."""
SEND_SECONDS = 25.0
"""How long all channels together are waited for. Dagster gives up a tick of a sensor after 60 seconds."""
_MAX_PROBLEM = 300

Call = Callable[[], str | None]
"""One call of a channel. It returns why it failed, in one line; None: it did not."""


class Called(NamedTuple):
    """What became of a call."""

    channel: str
    number: int
    """Which of the channel's calls it was, from 0."""
    problem: str | None


class _Hanging(NamedTuple):
    """A call that did not end in time."""

    thread: threading.Thread
    batch: str
    done: list[Called]
    """What became of the channel's calls, filled by the thread."""
    number: int
    """Which of them it was."""


def call_all(calls: Mapping[str, Sequence[Call]], seconds: float = SEND_SECONDS, batch: str = "") -> Iterator[Called]:
    """Calls all channels at once, each in order up to its first call that fails. Yields what became of each call.

    A call that takes longer than `seconds` has failed then: it goes on alone, and the channel is not called again by
    this process until it has ended. If it succeeds after all, `succeeded_late` with the same `batch` knows it.
    """
    deadline = time.monotonic() + seconds
    hanging = {name for name, each in calls.items() if each and is_hanging(name)}
    done: dict[str, list[Called]] = {channel: [] for channel in calls}
    ended: SimpleQueue[Called] = SimpleQueue()
    threads = {
        channel: threading.Thread(
            target=_call_in_order, args=(channel, each, done[channel], ended, deadline), daemon=True
        )
        for channel, each in calls.items()
        if each and channel not in hanging
    }
    for thread in threads.values():
        thread.start()
    for channel in hanging:
        yield Called(channel, 0, "the call before has not ended yet")
    waited_for = dict.fromkeys(threads, 0)
    while waited_for:
        try:
            called = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        waited_for[called.channel] = called.number + 1
        if called.problem is not None or called.number + 1 == len(calls[called.channel]):
            del waited_for[called.channel]
        yield called
    for channel, number in waited_for.items():
        _hanging[channel] = _Hanging(threads[channel], batch, done[channel], number)
        yield Called(channel, number, f"no answer within {seconds:g} s")


def is_hanging(channel: str) -> bool:
    """Whether a call of the channel still goes on that did not end in time."""
    return channel in _hanging and _hanging[channel].thread.is_alive()


def succeeded_late(batch: str) -> Iterator[Called]:
    """The calls of a batch that did not end in time, and have succeeded since. Each is given once."""
    for channel, call in list(_hanging.items()):
        if call.batch == batch and not call.thread.is_alive():
            del _hanging[channel]
            yield from (called for called in call.done[call.number :] if called.problem is None)


_hanging: dict[str, _Hanging] = {}
"""The calls that did not end in time, by channel."""


def _call_in_order(
    channel: str, calls: Sequence[Call], done: list[Called], ended: "SimpleQueue[Called]", deadline: float
) -> None:
    for number, call in enumerate(calls):
        if time.monotonic() > deadline:  # the next evaluation sends it, if it still holds
            return
        try:
            problem = call()
        except Exception as error:  # what one channel raises must not reach the others
            problem = _one_line(f"{type(error).__name__}: {error}")
        done.append(Called(channel, number, problem))
        ended.put(done[-1])
        if problem is not None:
            return


def send_to(channel: Channel, file: str, name: str, message: Message) -> str | None:
    """Sends a message to a channel. Returns why that failed, in one line; None: it was sent.

    `file`: that of the settings, and `name` that of the channel there, for problems.
    """
    try:
        return send(channel.address(file, name), message)
    except AlertConfigError as problem:
        return str(problem)


def send(address: str, message: Message) -> str | None:
    """Sends a message to Apprise's URL of a channel. Returns why that failed, in one line; None: it was sent."""
    import apprise  # takes a quarter of a second

    _keep_to_itself()
    asset = apprise.AppriseAsset(app_id="orders_sync", app_desc="orders_sync", app_url="", image_url_mask=None)
    channel = apprise.Apprise(asset=asset)
    if not channel.add(address):
        return "Apprise does not recognize its URL"
    result = channel.notify(
        title=message.title,
        body=message.body,
        notify_type=apprise.NotifyType(message.kind),
        body_format=apprise.NotifyFormat.TEXT,
    )
    if result:
        return None
    lines = [line for entry in result.logs() for line in entry.message.splitlines() if line.strip()]
    return _one_line(lines[-1].strip() if lines else "it was not sent")


@cache
def _keep_to_itself() -> None:
    """Apprise's log quotes the parts of an address, tokens included: no other log gets it, nor does the terminal."""
    log = logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(logging.NullHandler())


def call_heartbeat(url: str) -> str | None:
    """Calls the heartbeat's URL. Returns why that failed, in one line; None: it was called."""
    try:
        answer = httpx.get(url, timeout=HEARTBEAT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return _one_line(f"{type(problem).__name__}: {problem}")
    return None if answer.is_success else f"it answers HTTP {answer.status_code}"


def _one_line(problem: str) -> str:
    return safe_text(problem, in_one_line=True)[:_MAX_PROBLEM]
