"""Fetches numbered pages ahead, over as many connections as that pays for."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

LATENCY_PER_THREAD = 3.0
"""Each further connection needs a thread, which pays once a page's latency is so many times its CPU time."""

Page = TypeVar("Page")


def pages_ahead(fetch: Callable[[int], Page], numbers: Sequence[int], connections: int) -> Generator[tuple[int, Page]]:
    """The pages with these numbers, in their order, over as many of the connections as the latency is worth."""
    if not numbers:
        return
    wall_began, cpu_began = time.perf_counter(), time.thread_time()
    first = fetch(numbers[0])
    latency, cpu_seconds = time.perf_counter() - wall_began, time.thread_time() - cpu_began
    yield numbers[0], first
    # Threads that wait for each other instead of the marketplace cost more than they gain.
    useful = min(connections, max(1, round(latency / max(cpu_seconds, 1e-6) / LATENCY_PER_THREAD)))
    if useful > 1:
        yield from _fetched_ahead(fetch, numbers[1:], useful)
    else:
        for number in numbers[1:]:
            yield number, fetch(number)


def _fetched_ahead(
    fetch: Callable[[int], Page], numbers: Sequence[int], connections: int
) -> Iterator[tuple[int, Page]]:
    """The pages with these numbers, in their order; for each connection at most two are fetched ahead."""
    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        ahead: deque[tuple[int, Future[Page]]] = deque()
        try:
            for number in numbers:
                # The context says for which lane the thread works; one can't be entered twice at the same time.
                ahead.append((number, pool.submit(copy_context().run, fetch, number)))
                if len(ahead) >= 2 * connections:
                    number, future = ahead.popleft()
                    yield number, future.result()
            while ahead:
                number, future = ahead.popleft()
                yield number, future.result()
        finally:
            for _, future in ahead:
                future.cancel()
