"""A file that is there as a whole or not at all: whoever reads it meanwhile has the one before."""

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from orders_sync.exports.row_writer import ExportError

UNFINISHED = ".unfinished"
"""The end of the name of a file that is being written, beside the one that it becomes."""


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """A stream whose bytes become the file at the end of the block, which only its owner may open.

    It takes the place of a file that is there. If the block fails, nothing has changed. Raises ExportError if the file
    can't be written, or is something else than a file.
    """
    target = Path(os.path.realpath(path))  # a link stays one, and names the new file
    if target.exists() and not target.is_file():
        raise ExportError(f"{path} is no regular file, and is not replaced. Allowed is the name of a file.")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=UNFINISHED, dir=target.parent)
    except OSError as error:
        raise _not_written(path, error) from None
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(target)
    except OSError as error:
        raise _not_written(path, error) from None
    finally:
        with suppress(OSError):  # renamed: it is gone
            unfinished.unlink()


def _not_written(path: Path, error: OSError) -> ExportError:
    if error.errno == errno.ENOENT:
        return ExportError(f"{path} can't be written: there is no folder {path.parent}. Make it first.")
    return ExportError(f"{path} can't be written: {error.strerror or error}. What was there before is unchanged.")
