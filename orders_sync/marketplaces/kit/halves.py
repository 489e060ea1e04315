"""One call for many records: a record that the marketplace refuses must not take the others with it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from orders_sync.marketplaces.kit.errors import OF_ONE_RECORD, MarketplaceError

Record = TypeVar("Record")
Answer = TypeVar("Answer")


def answers_for(
    batch: Sequence[Record], fetch: Callable[[Sequence[Record]], Answer]
) -> Iterator[tuple[Sequence[Record], Answer | MarketplaceError]]:
    """The answers for all records of a batch: one for as many records as the marketplace answers for at once.

    A call that fails is repeated for each half of its records; a single record for which it fails comes with the error.
    If a batch of n records has one that is refused, `fetch` is called about 2 log2(n) times.
    """
    if not batch:
        return
    try:
        answer = fetch(batch)
    except OF_ONE_RECORD as problem:
        if len(batch) == 1:
            yield batch, problem
            return
    else:
        yield batch, answer
        return
    middle = len(batch) // 2
    yield from answers_for(batch[:middle], fetch)
    yield from answers_for(batch[middle:], fetch)
