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


def text_of(error: BaseException) -> str:
    """The class of an error and its text in one line, whatever class a user's code has made."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # its __str__ may be wrong
        text = ""
    return masked(f"{type(error).__name__}: {text[:300]}").removesuffix(": ")
