"""What an id or a SKU can be, and which characters no text can have, whoever wrote it."""

import re

MAX_ID_LENGTH = 200
"""Characters of an id or a SKU, at most: keys are indexed, and PostgreSQL indexes no long texts."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and halves of surrogate pairs, which PostgreSQL can't store."""


def with_valid_characters(text: str) -> str:
    """The text with U+FFFD for each character that can't be stored, by Unicode's own convention."""
    # A search takes four times as long, and nearly all texts can be printed.
    return text if text.isprintable() else UNSTORABLE.sub("\ufffd", text)
