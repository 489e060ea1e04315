"""The bases of all errors of the project."""


class OrdersSyncError(Exception):
    """An error that this project raises; every one of its error classes derives from it."""


class UserFacingError(OrdersSyncError):
    """An error that a person can resolve. Its text is for that person: what is wrong, where, and what is allowed.

    The command line prints the text instead of a traceback.
    """
