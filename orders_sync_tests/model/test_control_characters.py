"""Control characters of others are shown, in texts and in logs."""

import io
import logging
from collections.abc import Iterator

import pytest

from orders_sync.model.control_characters import LogFormatter, without_control


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PHONE £ é 日本 👨‍👩‍👧", "PHONE £ é 日本 👨‍👩‍👧"),
        ("\x1b]0;evil\x07", "^[]0;evil^G"),
        ("a\x00\t\r\x7f", "a^@^I^M^?"),
        ("\x9b2J\x85", "M-^[2JM-^E"),
        ("PH\u202eENO\u202c", "PH\\u202eENO\\u202c"),
        ("\u2066a\u2069\u2028b", "\\u2066a\\u2069\\u2028b"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_they_are_shown(text: str, shown: str) -> None:
    assert without_control(text) == shown
    assert without_control(shown) == shown, "what is shown stays as it is"


def test_a_text_that_must_be_one_line_is() -> None:
    assert without_control("a\nb\r\u2029c", in_one_line=True) == "a^Jb^M\\u2029c"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    logger, written = logging.Logger("test"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LogFormatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    yield logger, written
    handler.close()


def test_a_text_in_a_log_begins_no_line_of_its_own(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("SKU %s is unknown", "X\nERROR forged\x1b[2J")
    assert written.getvalue() == "WARNING SKU X^JERROR forged^[[2J is unknown\n"


def test_a_traceback_keeps_its_lines_and_controls_nothing(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    plain = logging.StreamHandler(io.StringIO())  # its formatter leaves the text of the traceback in the record
    logger.handlers.insert(0, plain)
    try:
        raise ValueError("\x1b]0;evil\x07")
    except ValueError:
        logger.exception("failed")
    lines = written.getvalue().splitlines()
    assert lines[:2] == ["ERROR failed", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: ^[]0;evil^G"
