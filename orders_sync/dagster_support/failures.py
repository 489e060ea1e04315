"""How what a person got wrong fails a run."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
import psycopg

from orders_sync.database.problems import problem_of
from orders_sync.model.errors import UserFacingError


@contextmanager
def one_line_failures() -> Generator[None]:
    """Turns a UserFacingError, or an error of PostgreSQL, into a dg.Failure: the run fails with its text alone.

    What a person has to resolve is not retried; what PostgreSQL refused may be.
    """
    try:
        yield
    except UserFacingError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except psycopg.Error as error:
        raise dg.Failure(str(problem_of(error))) from None
