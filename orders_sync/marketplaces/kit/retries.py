"""Which failed calls are tried again, how often, and after how long."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from orders_sync.lanes.lock import held_lanes
from orders_sync.marketplaces.kit.errors import AnswerLostError, MarketplaceError, MarketplaceUnavailableError
from orders_sync.marketplaces.kit.waits import NEXT_TRY, PAUSE, begin_waiting, end_waiting
from orders_sync.model.errors import OrdersSyncError

MAX_TRIES = 6
"""How often one call is tried before the pass fails, the first try included; more often during an outage."""
CONNECT_TRIES = 3
"""How often one call is tried that finds no server: no wait makes a wrong address or a server that is off better."""
FIRST_BACKOFF_SECONDS = 0.7
"""Seconds before the second try; each further wait is twice as long."""
BACKOFF_JITTER_SECONDS = 1.0
"""Up to so many random seconds are added to each wait, so that connections do not retry at the same moment."""
MAX_BACKOFF_SECONDS = 20.0

# stamina logs each retry without its reason: a host without logging configuration would print that to stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())
_has_set_hooks = threading.Event()

Result = TypeVar("Result")


_is_tried_once = ContextVar("is_tried_once", default=False)


@contextmanager
def tried_once() -> Generator[None]:
    """Tries no call of this thread again in the block: a person waits for its outcome, whatever that is."""
    token = _is_tried_once.set(True)
    try:
        yield
    finally:
        _is_tried_once.reset(token)


def _log_to_logging_only() -> None:
    """Where structlog is installed, stamina logs by it instead: to standard output, where a command prints its data."""
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    if not _has_set_hooks.is_set():
        _has_set_hooks.set()
        set_on_retry_hooks([LoggingOnRetryHook])


class TransientError(OrdersSyncError):
    """One try failed, and another one may succeed. It never leaves the client."""

    def __init__(
        self,
        problem: str,
        *,
        wait_seconds: float | None = None,
        certainly_not_done: bool = False,
        no_server: bool = False,
        outage: bool = False,
        give_up: bool = False,
        final: type[MarketplaceError] = MarketplaceUnavailableError,
        status: int | None = None,
    ):
        """`wait_seconds`: the wait before the next try, where the marketplace named one.

        `certainly_not_done`: the marketplace has not processed the request, so that even a write may be repeated.
        `no_server`: there was no connection. `outage`: the marketplace said `not now`, e.g. by a 503. `give_up`: the
        next try would come too late for this pass. `final`: the error to raise when all tries are used up.
        `status`: the HTTP status of an error answer.
        """
        super().__init__(problem)
        self.wait_seconds = wait_seconds
        self.certainly_not_done = certainly_not_done
        self.no_server = no_server
        self.outage = outage
        self.give_up = give_up
        self.final = final
        self.status = status


class Retries:
    """Tries the calls of one client again while that may help. Several threads may use it at once."""

    def __init__(self, outage_seconds: float) -> None:
        """`outage_seconds`: how long all calls together wait for a marketplace that says `not now`."""
        self.count = 0
        """How often a call was tried again."""
        self._outage_seconds = outage_seconds
        self._lock = threading.Lock()
        self._outage_seconds_spent = 0.0
        """The time of the calls that were given up during an outage."""
        self._is_unreachable = False
        """Whether the last call that was given up found no server."""

    def note_answer(self) -> None:
        """An answer came: there is a server."""
        self._is_unreachable = False

    def run(self, call: Callable[[], Result], *, is_write: bool = False) -> Result:
        """The result of `call`, which is tried again while that may help; a write only while it is certainly not done.

        A call is tried up to MAX_TRIES times; up to CONNECT_TRIES times if there is no server; and during an outage
        until `outage_seconds` are over, of which those of calls that were given up are used up. Raises the last
        TransientError's `final`, or AnswerLostError for a write that may have been done.
        """
        began = time.monotonic()
        try:
            return call()
        except TransientError as error:
            first_error = error
        tries, key, lanes = 1, object(), held_lanes()
        pause = 0.0

        def backoff(error: Exception) -> bool | float:
            nonlocal pause
            if not isinstance(error, TransientError) or (is_write and not error.certainly_not_done):
                return False
            if not self._is_worth_another(error, tries, time.monotonic() - began):
                return False
            if error.wait_seconds is None:
                begin_waiting(key, NEXT_TRY, MAX_BACKOFF_SECONDS + BACKOFF_JITTER_SECONDS)
                return True
            begin_waiting(key, PAUSE, error.wait_seconds)
            pause = error.wait_seconds
            return 0.0  # it is waited for below: it may be long, and must end when the lane is lost

        # stamina takes over after the first failure only: it costs 30 µs per call, and its import 25 ms per process.
        import stamina

        _log_to_logging_only()
        attempts = stamina.retry_context(
            on=backoff,
            attempts=None,
            timeout=None,
            wait_initial=FIRST_BACKOFF_SECONDS,
            wait_max=MAX_BACKOFF_SECONDS,
            wait_jitter=BACKOFF_JITTER_SECONDS,
        )
        try:
            for attempt in attempts:
                with attempt:
                    if attempt.num == 1:
                        raise first_error
                    lanes.sleep(pause)
                    end_waiting(key)
                    pause, tries = 0.0, attempt.num
                    lanes.check()  # the wait may have been long
                    with self._lock:
                        self.count += 1
                    return call()
        except TransientError as error:
            raise self._final(error, tries, time.monotonic() - began, is_write=is_write) from None
        finally:
            end_waiting(key)
        raise AssertionError("unreachable")

    def _is_worth_another(self, error: TransientError, tries: int, seconds: float) -> bool:
        """Whether to try a call again that has failed `tries` times, in `seconds` since its first try."""
        if error.give_up or _is_tried_once.get():
            return False
        if error.outage:
            return tries < MAX_TRIES or self._outage_seconds > self._outage_seconds_spent + seconds
        if error.no_server:
            return tries < CONNECT_TRIES and not self._is_unreachable
        return tries < MAX_TRIES

    def _final(self, error: TransientError, tries: int, seconds: float, *, is_write: bool) -> MarketplaceError:
        """The error of a call that is given up after `tries`, in `seconds` since its first try."""
        with self._lock:
            self._is_unreachable = self._is_unreachable or error.no_server
            self._outage_seconds_spent += seconds if error.outage else 0.0
        if is_write and not error.certainly_not_done:
            return AnswerLostError(str(error))
        during = f" in {seconds:.0f} s" if seconds >= 60 else ""
        count = "" if error.give_up else f" ({tries} {'try' if tries == 1 else 'tries'}{during})"
        return error.final(
            f"{error}{count}",
            status=error.status,
            concerns_all_calls=error.certainly_not_done or error.no_server or error.give_up,
        )
