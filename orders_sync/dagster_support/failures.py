"""How what a person got wrong, or a pass that failed, fails a run."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
import psycopg

from orders_sync.database.problems import problem_of
from orders_sync.model.control_characters import safe_text
from orders_sync.model.errors import UserFacingError


def failure(problem: object, *, allow_retries: bool = False) -> dg.Failure:
    """A failure of a run with this problem as its text. What a marketplace sent controls no terminal by it."""
    return dg.Failure(safe_text(str(problem)), allow_retries=allow_retries)


@contextmanager
def one_line_failures() -> Generator[None]:
    """Turns a UserFacingError, or an error of PostgreSQL, into a dg.Failure: the run fails with its text alone.

    What a person has to resolve is not retried; what PostgreSQL refused may be.
    """
    try:
        yield
    except UserFacingError as error:
        raise failure(error) from None
    except psycopg.Error as error:
        raise failure(problem_of(error), allow_retries=True) from None
