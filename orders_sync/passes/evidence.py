"""Keeps the error answers of a pass as evidence: what its messages leave out, since it may quote a buyer's data."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import psycopg

from orders_sync.lanes.error_answers import ErrorAnswer, keep_error_answers
from orders_sync.marketplaces.kit.errors import BadAnswerError, MarketplaceError
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")


@contextmanager
def evidence_kept(pass_: RunningPass) -> Generator[None]:
    """Stores the error answers that the block gets; the text of a MarketplaceError then says where its answer is."""
    try:
        yield
    except MarketplaceError as error:
        for answer, number in reversed(_keep(pass_)):
            if answer.status == error.status or (isinstance(error, BadAnswerError) and answer.status < 400):
                text = str(error).rstrip(".")
                error.args = (f"{text}. The whole answer: `orders-sync errors show {number}`.",)
                break
        raise
    except BaseException:
        _keep(pass_)
        raise
    _keep(pass_)


def _keep(pass_: RunningPass) -> list[tuple[ErrorAnswer, int]]:
    """What was stored, each with its number. Evidence that can't be stored fails no pass."""
    take: Callable[[], Sequence[ErrorAnswer]] | None = getattr(pass_.adapter, "take_error_answers", None)
    answers = take() if take is not None else ()  # an adapter of others may not be an HttpAdapter
    try:
        numbers = keep_error_answers(pass_.connection, pass_.lane, pass_.request.run_id, answers)
    except psycopg.Error as error:
        log.warning("%s: its error answers could not be kept: %s", pass_.lane, type(error).__name__)
        return []
    return list(zip(answers, numbers, strict=True))
