"""What can go wrong at a marketplace, as errors that the rest of the project understands."""

import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from orders_sync.model.errors import OrdersSyncError, UserFacingError


class MarketplaceError(UserFacingError):
    """A call to a marketplace that failed. The text is one line for an operator, without buyers' data.

    It stops a pass, unless the call was about a single record only: see `orders_sync/sync/put_off.py`.
    """

    def __init__(self, message: str, *, status: int | None = None, concerns_all_calls: bool = False) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status of an error answer; None if there was no answer, or one that could not be read."""
        self.concerns_all_calls = concerns_all_calls
        """Whether any other call would certainly have failed as well: no connection, 401, 429, no calls left."""


class RequestRefusedError(MarketplaceError):
    """The marketplace understood the request and refused it (4xx). `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status=status, concerns_all_calls=status == 401)
        self.status: int = status


class CredentialRefusedError(RequestRefusedError):
    """401 or 403: the token is wrong, has expired or lacks a right."""


class BlockedByFirewallError(CredentialRefusedError):
    """401 or 403 as an HTML page: not the API has answered, but what stands before it. No credential mends that."""


class RecordNotFoundError(RequestRefusedError):
    """404: the marketplace has no such record."""


class MarketplaceUnavailableError(MarketplaceError):
    """All tries failed: the marketplace does not answer, or only with 5xx or 429. A write was certainly not done."""


class AnswerLostError(MarketplaceError):
    """A write was sent and no usable answer came: it may have been done. Look at the record before repeating it."""


class BadAnswerError(MarketplaceError):
    """The answer is not what the contract says: not JSON, cut off, or too large."""


class AnswerTooLargeError(BadAnswerError):
    """The answer is larger than the account allows, or too large to be repaired. The text ends without a full stop."""

    def __init__(self, message: str, beginning: bytes, remedy: str) -> None:
        super().__init__(message)
        self.beginning = beginning
        """The first bytes of the answer's body."""
        self.remedy = remedy
        """What a person can do, as a sentence."""


class DailyBudgetSpentError(MarketplaceError):
    """The calls that the marketplace allows per day are used up."""

    def __init__(self, message: str) -> None:
        super().__init__(message, concerns_all_calls=True)


class IncompleteListError(MarketplaceError):
    """A list could not be read to its end with certainty. The pass fails, and the watermark stays where it is."""


class AdapterError(BadAnswerError):
    """An adapter raised what no adapter should, e.g. a KeyError. The text names the exception's type, not its text."""


@contextmanager
def of_adapter(what: str) -> Generator[None]:
    """Turns whatever an adapter raises about one record into an AdapterError; errors of this project stay as they are.

    `what`: the adapter's method, for the text. The text of an exception may quote a record, and so a buyer.
    """
    try:
        yield
    except (OrdersSyncError, psycopg.Error):
        raise
    except Exception as error:
        raise AdapterError(f"the adapter's {what}() raised {type(error).__name__}{place_of(error)}") from None


def place_of(error: Exception) -> str:
    """Where an exception was raised: ` in shop.py, line 12`. Of a library's exception: where it was called."""
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if not _is_of_a_library(Path(step.filename))] or steps
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def note_adapter(file: Path) -> None:
    """Notes that an adapter has code in this file: its package is no library to `place_of`."""
    for packages in _PACKAGES:
        if file.is_relative_to(packages):
            _OWN.add(packages / file.relative_to(packages).parts[0])


_OWN = {Path(__file__).parents[2]}
"""The code of this project, and that of installed adapters: files and folders."""
_PACKAGES = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
"""Where packages are installed."""
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def _is_of_a_library(file: Path) -> bool:
    return not any(map(file.is_relative_to, _OWN)) and any(map(file.is_relative_to, (_STANDARD_LIBRARY, *_PACKAGES)))


OF_ONE_RECORD = (RequestRefusedError, MarketplaceUnavailableError, BadAnswerError)
"""The errors of a request for one record that need not concern any other: the work goes on with the others."""


def without_method(method: str, unit: str) -> MarketplaceUnavailableError:
    """The error of a request that an adapter was registered for with a unit, but has no method for."""
    return MarketplaceUnavailableError(
        f"its adapter has no {method}(), so nothing was sent; write it, or register the marketplace without {unit}"
    )
