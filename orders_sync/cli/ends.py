"""How a command ends that can't do what it should: by one line and an exit code, whatever a user has caused.

Only a fault of the program itself ends with a traceback.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from orders_sync.cli.output import EXIT_BUSY, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_READER, print_beside
from orders_sync.database.problems import postgresql_error, problem_of
from orders_sync.lanes.lock import LaneBusyError, LaneLostError
from orders_sync.model.errors import UserFacingError

_NAMED_ACCOUNTS = "orders_sync accounts named"
"""The key of the accounts on the command line in click's `meta`, which all contexts of a command share."""


def note_account(context: click.Context | None, name: str) -> None:
    """Notes that the command line names an account: if the command fails, a misspelled name is the reason."""
    if context is not None:
        context.meta.setdefault(_NAMED_ACCOUNTS, []).append(name)


@contextmanager
def ends_in_one_line(context: click.Context) -> Generator[None]:
    """Ends the process with one line and an exit code for each error that a user can cause or mend."""
    try:
        yield
    except UserFacingError as error:
        problem = _misspelled_account(context) or error
        _end(f"Error: {problem}", EXIT_BUSY if isinstance(error, LaneBusyError) else EXIT_FAILED)
    except LaneLostError as error:
        _end(f"Error: {error}", EXIT_FAILED)
    except KeyboardInterrupt:
        _end("Interrupted.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _leave_output()
        sys.exit(EXIT_NO_READER)
    except OSError as error:
        what = error.strerror or str(error) or type(error).__name__
        _end(f"Error: {f'{error.filename}: ' if error.filename else ''}{what}.", EXIT_FAILED)
    except UnicodeEncodeError:
        _end("Error: a text has characters that are no UTF-8.", EXIT_FAILED)
    except Exception as error:
        line = _line_of(error)
        if line is None:
            raise
        _end(f"Error: {line}", EXIT_FAILED)


def _line_of(error: Exception) -> str | None:
    """What an error of a database, of HTTP or of Dagster means; None for any other."""
    if (cause := postgresql_error(error)) is not None:
        return str(problem_of(cause))
    library = type(error).__module__.partition(".")[0]
    for each in (error, error.__cause__):  # psycopg2's: only Dagster's own storage uses it
        if (original := getattr(each, "orig", None)) is not None:
            return f"Dagster's database: {_first_line(original)}"
    if library.startswith("dagster"):
        return f"Dagster: {_first_line(error)}"
    if library == "httpx":
        return _first_line(error)
    return None


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _misspelled_account(context: click.Context) -> UserFacingError | None:
    """The reason why the command failed if it names an account that there is not; else None."""
    from orders_sync.config.account import AccountConfigError
    from orders_sync.marketplaces.kit.accounts import check_account_name

    with suppress(UserFacingError):  # there may be no project, which is then the error already
        for name in context.meta.get(_NAMED_ACCOUNTS, []):
            try:
                check_account_name(name)
            except AccountConfigError as error:
                return error
    return None


def _end(line: str, exit_code: int) -> NoReturn:
    with suppress(OSError):  # nobody reads it
        print_beside(line, "red")
    _leave_output()
    sys.exit(exit_code)


def _leave_output() -> None:
    """Gives up what standard output and error do not take: else Python would report at its end that it can't flush."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
