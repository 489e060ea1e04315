"""What can go wrong at a marketplace, as errors that the rest of the project understands."""

from orders_sync.model.errors import UserFacingError


class MarketplaceError(UserFacingError):
    """Something a marketplace did that stops a pass; the text is one line for an operator, without buyers' data."""


class RequestRefusedError(MarketplaceError):
    """The marketplace understood and said no (4xx). `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class CredentialRefusedError(RequestRefusedError):
    """401 or 403: the token is wrong, expired or lacks a right."""


class RecordNotFoundError(RequestRefusedError):
    """404: the marketplace knows no such record."""


class MarketplaceUnavailableError(MarketplaceError):
    """The marketplace does not answer, or only with errors, after all retries."""


class AnswerLostError(MarketplaceError):
    """A write was sent and no answer came: whether it was done must be asked, never assumed."""


class BadAnswerError(MarketplaceError):
    """The answer is not what the contract says (no JSON, cut off, too large)."""


class DailyBudgetSpentError(MarketplaceError):
    """The marketplace's published number of calls a day is used up."""


class IncompleteListError(MarketplaceError):
    """A list could not be read to its end with certainty. Never an end: the watermark stays where it is."""
