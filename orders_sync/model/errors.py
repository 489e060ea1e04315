"""The bases of all errors of the project."""

from orders_sync.model.known_credentials import masked


class OrdersSyncError(Exception):
    """An error that this project raises; every one of its error classes derives from it.

    No text of it has a credential that this process knows.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(masked(each) if isinstance(each, str) else each for each in args))


class UserFacingError(OrdersSyncError):
    """An error that a person can resolve. Its text is for that person: what is wrong, where, and what is allowed.

    The command line prints the text instead of a traceback.
    """
