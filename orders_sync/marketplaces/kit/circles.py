"""A list whose pages come again and again, whatever their links, tokens or length say, is an error soon."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec

from orders_sync.marketplaces.kit.adapter import RawRecord
from orders_sync.marketplaces.kit.errors import IncompleteListError

MAX_TIMES = 12
"""How often a page may come: a list that changes is read a few times, and its first and last page once more."""

Params = ParamSpec("Params")
Pages = Iterator[list[RawRecord]]


def without_circles(read: Callable[Params, Pages]) -> Callable[Params, Pages]:
    """A reader of lists that raises IncompleteListError once a page comes more often than MAX_TIMES.

    By Brent's algorithm, in constant memory: every page is compared with one that is kept, which is replaced after the
    1st, 2nd, 4th, 8th … page. So a circle of n pages is found within some 4 * MAX_TIMES * n pages.
    """

    @wraps(read)
    def bounded(*args: Params.args, **kwargs: Params.kwargs) -> Pages:
        kept = times = 0
        for number, page in enumerate(read(*args, **kwargs), 1):
            key = hash(tuple([record.record_id or record.fingerprint for record in page]))
            times += bool(page) and key == kept
            if times >= MAX_TIMES:
                raise IncompleteListError(
                    f"The marketplace's list leads in a circle: after {number} pages, the same page of {len(page)} "
                    f"records has come {times + 1} times."
                )
            if number & (number - 1) == 0:
                kept, times = key, 0
            yield page

    return bounded
