"""Ids of a marketplace's records in messages: as they are, unless they are longer or odder than an id.

An id may be anything that a marketplace sends, also a buyer's mail address or 10 kB of HTML.
"""

import hashlib
import re

from orders_sync.model.known_credentials import MASK, masked

MAX_SHOWN = 64
"""Characters of an id that is shown whole."""
BEGINNING = 12
"""Characters that are shown of a longer one."""
_ID = re.compile(r"[A-Za-z0-9_.:/#-]*")
_PATH = re.compile(rf"(/[A-Za-z0-9_.:#-]{{0,{MAX_SHOWN}}})*")


def shown_id(value: str) -> str:
    """An id as a message shows it.

    Of a longer one, its beginning. One with other characters than `A-Z a-z 0-9 _ . : / # -` may say anything, and is
    shown as `odd-id-` with the first eight digits of its SHA-256, by which it can be found in the orders database.
    """
    if masked(value) != value:
        return MASK
    if _ID.fullmatch(value):
        return value if len(value) <= MAX_SHOWN else f"{value[:BEGINNING]}…"
    return f"odd-id-{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def shown_ids(values: list[str]) -> str:
    """Several ids, separated by commas."""
    return ", ".join(map(shown_id, values))


def shown_path(path: str) -> str:
    """The path of a request as a message shows it: without its query, and each of its parts as an id."""
    path = path.partition("?")[0]
    return path if _PATH.fullmatch(path) else "/".join(map(shown_id, path.split("/")))
