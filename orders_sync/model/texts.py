"""Texts that people give: the checks that the command line, files and forms share.

Each check returns the text as it is used, and raises InputError in one sentence: what it is, and what is allowed.
"""

import unicodedata

from orders_sync.model.errors import UserFacingError
from orders_sync.model.keys import UNSTORABLE

MAX_REASON_LENGTH = 1_000
_SHOWN_CHARACTERS = 40
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that nobody sees: Hangul fillers, and Braille without a dot."""


class InputError(UserFacingError):
    """What a person gave can't be used; the message says what it is, and what is allowed."""


def check_reason(text: str) -> str:
    """Why a person acts, without the spaces around it."""
    text = text.strip()
    if not any(_is_visible(character) for character in text):
        raise InputError("the reason is empty: say why")
    if len(text) > MAX_REASON_LENGTH:
        raise InputError(f"the reason is {len(text)} characters long; at most {MAX_REASON_LENGTH} are allowed")
    return check_characters(text, "the reason")


def _is_visible(character: str) -> bool:
    """Letters, digits, punctuation and symbols are; spaces, zero-width characters and lone accents are not."""
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK


def check_characters(text: str, name: str) -> str:
    """A text that PostgreSQL can store. `name`: what it is."""
    if UNSTORABLE.search(text):
        raise InputError(f"{name} {shown(text)} has a character that can't be stored: NUL, or no valid UTF-8")
    return text


def shown(text: str) -> str:
    """A text in quotes, and no more of it than a message needs."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
