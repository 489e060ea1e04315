"""Control characters in texts of others: a terminal obeys them, and a log with them shows lines that nobody wrote."""

import logging
import re
import time

from orders_sync.model.known_credentials import masked


def without_control(text: str, *, in_one_line: bool = False) -> str:
    """A text with its control characters shown instead of obeyed; line feeds stay, unless it must be one line.

    C0, DEL and C1 are shown as carets, e.g. `^[` for ESC and `M-^[` for CSI. The characters that turn the direction of
    a text (U+202A to U+202E, U+2066 to U+2069), and Unicode's separators of lines, are shown as escapes: `\\u202e`.
    """
    # A search takes four times as long, and nearly all texts can be printed.
    return text if text.isprintable() else (_CONTROL_OR_LINE_FEED if in_one_line else _CONTROL).sub(_shown, text)


def safe_text(text: str, *, in_one_line: bool = False) -> str:
    """A text as it may leave the process for a person: without credentials, and as of `without_control`."""
    return without_control(masked(text), in_one_line=in_one_line)


_OTHERS = "\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_OTHERS}]")
_CONTROL_OR_LINE_FEED = re.compile(f"[\n{_OTHERS}]")


def _shown(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code >= 0xA0:
        return f"\\u{code:04x}"
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else f"M-^{chr((code & 0x7F) ^ 0x40)}"


class LogFormatter(logging.Formatter):
    """Formats log records so that no text in them can begin a line of its own, or control a terminal. Times are UTC."""

    converter = time.gmtime
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:
        return safe_text(super().formatMessage(record), in_one_line=True)

    def format(self, record: logging.LogRecord) -> str:
        # Once more as a whole: another formatter may have left its text of the traceback in the record.
        return safe_text(super().format(record))
