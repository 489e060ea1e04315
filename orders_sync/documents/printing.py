"""The documents of orders as one PDF: for a printer, that is the form which every packing table can print."""

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from orders_sync.documents import merging
from orders_sync.documents.formats import DocumentFormat
from orders_sync.documents.merging import File, Merged
from orders_sync.documents.store import StoredDocument
from orders_sync.model.errors import UserFacingError

log = logging.getLogger("orders_sync.documents")

SECONDS = 60.0
"""How long one print may take; a label takes a hundredth of a second, and the process half a second to start."""
WAIT_SECONDS = 20.0
"""How long a print waits for its turn."""

MAX_WAITING = 3
"""How many prints wait for their turn; each further one is refused at once, or they would keep other pages waiting."""

_TURN = threading.Lock()
"""Held during a print: clicks in a row take the memory and the processor of one."""
_WAITING = threading.BoundedSemaphore(MAX_WAITING)


class PrintError(UserFacingError):
    """Nothing was printed; the text says why, and what to do."""


class Printed(NamedTuple):
    """What could be printed of some documents."""

    pdf: bytes | None
    """All pages, in the order of the documents; None if there is none."""
    beside: Sequence[StoredDocument]
    """Documents in ZPL: they go to a label printer as they are."""
    unreadable: Sequence[tuple[StoredDocument, str]]
    """Documents that have no page in it, each with the reason, e.g. that it is damaged."""


def printed(documents: Sequence[StoredDocument]) -> Printed:
    """Merges documents into one PDF; a PNG becomes a page of its own size. Documents without content are left out.

    Raises PrintError if it takes too long or too much memory (`merging.py`), or if another print does not end.
    """
    stored = [document for document in documents if document.format and document.content]
    beside = [document for document in stored if document.format is DocumentFormat.ZPL]
    pages = [document for document in stored if document.format is not DocumentFormat.ZPL]
    if not pages:
        return Printed(None, beside, [])
    _wait_for_the_turn()
    try:
        made = _merged_in_a_process(pages)
    finally:
        _TURN.release()
    return Printed(made.pdf, beside, [(pages[place], why) for place, why in made.unreadable.items()])


def _wait_for_the_turn() -> None:
    if _WAITING.acquire(blocking=False):
        try:
            if _TURN.acquire(timeout=WAIT_SECONDS):
                return
        finally:
            _WAITING.release()
    raise PrintError("Other documents are being printed, which takes long. Try again in a minute.")


def _merged_in_a_process(documents: Sequence[StoredDocument]) -> Merged:
    files = [File(document.format, document.content) for document in documents if document.format and document.content]
    remedy = "Print fewer orders at once, or open each document alone."
    try:
        done = subprocess.run(
            [sys.executable, "-m", merging.__name__], input=msgspec.msgpack.encode(files), check=True,
            capture_output=True, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PrintError(f"Printing takes more than {SECONDS:.0f} seconds. {remedy}") from None
    except subprocess.CalledProcessError as error:
        if error.returncode < 0 or b"MemoryError" in error.stderr:  # the system ends it by a signal
            raise PrintError(f"Printing takes too much memory or time. {remedy}") from None
        log.error("The process that merges documents failed: %s", error.stderr.decode(errors="replace").strip())
        raise PrintError(f"The documents could not be merged; the log of the web process says why. {remedy}") from None
    return msgspec.msgpack.decode(done.stdout, type=Merged)
