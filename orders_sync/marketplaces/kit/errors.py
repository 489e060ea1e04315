"""What can go wrong at a marketplace, as errors that the rest of the project understands."""

from orders_sync.model.errors import UserFacingError


class MarketplaceError(UserFacingError):
    """A marketplace's fault that stops a pass. The text is one line for an operator, without buyers' data."""


class RequestRefusedError(MarketplaceError):
    """The marketplace understood the request and refused it (4xx). `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class CredentialRefusedError(RequestRefusedError):
    """401 or 403: the token is wrong, has expired or lacks a right."""


class RecordNotFoundError(RequestRefusedError):
    """404: the marketplace has no such record."""


class MarketplaceUnavailableError(MarketplaceError):
    """All tries failed: the marketplace does not answer, or only with 5xx or 429. A write was certainly not done."""


class AnswerLostError(MarketplaceError):
    """A write was sent and no usable answer came: it may have been done. Look at the record before repeating it."""


class BadAnswerError(MarketplaceError):
    """The answer is not what the contract says: not JSON, cut off, or too large."""


class DailyBudgetSpentError(MarketplaceError):
    """The calls that the marketplace allows per day are used up."""


class IncompleteListError(MarketplaceError):
    """A list could not be read to its end with certainty. The pass fails, and the watermark stays where it is."""


OF_ONE_RECORD = (RequestRefusedError, MarketplaceUnavailableError, BadAnswerError)
"""The errors of a request for one record that need not concern any other: the work goes on with the others."""
