"""How what a person got wrong fails a run."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from orders_sync.model.errors import UserFacingError


@contextmanager
def one_line_failures() -> Generator[None]:
    """Turns a UserFacingError of the block into a dg.Failure: the run fails with its text alone, and is not retried."""
    try:
        yield
    except UserFacingError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
