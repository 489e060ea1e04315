"""What an examination found."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How much a finding matters to those who are alerted."""

    ERROR = "error"
    """Orders are late, or soon will be, until somebody does something."""
    WARNING = "warning"
    """Something needs a person, and can wait until that person comes to work."""


class Finding(NamedTuple):
    """What an examination found."""

    ok: bool
    what: str
    remedy: str = ""
    """What to do, when something is wrong."""
    about: str = ""
    """The lane or account that it is about: the doctor reports those of which it found the same in one line."""
    is_notable: bool = False
    """Whether it is reported with its text although it is well."""
    kind: str = ""
    """What kind of trouble it is, whatever its numbers: an alert is sent once for each kind and lane. Empty: none."""
    level: Level = Level.ERROR
    page: str = ""
    """The path of the page that shows more, e.g. `/operations`; below the address of the UI."""

    @property
    def text(self) -> str:
        """The finding in one line."""
        return f"{self.about}: {self.what}" if self.about else self.what
