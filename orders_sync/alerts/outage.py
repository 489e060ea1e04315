"""What is known of an outage of the orders database: since when, and which channels were alerted.

It can't be stored in the database. A file in the state folder keeps it, so that a `watch` that is started again
meanwhile repeats no alert, and reports the end.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orders_sync.config.environment import state_folder
from orders_sync.config.private_files import private_file
from orders_sync.model.errors import UserFacingError

ANOTHER_AFTER = timedelta(minutes=10)
"""If nobody has looked for so long, a database that does not work is another outage: it may have worked meanwhile."""


class Outage:
    """An outage, or none. Of two processes that watch, each has its own; the file has the latest."""

    def __init__(self) -> None:
        self.began_at: datetime | None = None
        """When the database was first found not to work; None: it works."""
        self.reported: set[str] = set()
        """The channels that got the alert, and not yet the message that it is over."""
        self._seen_at: datetime | None = None
        with suppress(OSError, UserFacingError, ValueError, KeyError, TypeError):
            kept = json.loads(_file().read_text())
            began_at, seen_at = (datetime.fromisoformat(kept[name]).astimezone(UTC) for name in ("began_at", "seen_at"))
            self.began_at, self._seen_at, self.reported = began_at, seen_at, set(map(str, kept["reported"]))

    def goes_on(self, now: datetime) -> datetime:
        """Notes that the database does not work now. Returns since when."""
        if self.began_at is None or self._seen_at is None or now - self._seen_at > ANOTHER_AFTER:
            self.began_at, self.reported = now, set()
        self._seen_at = now
        return self.began_at

    def end(self) -> None:
        """Notes that the database works, and that every channel that was alerted knows."""
        self.began_at, self._seen_at, self.reported = None, None, set()
        with suppress(OSError, UserFacingError):
            _file().unlink(missing_ok=True)

    def keep(self) -> None:
        """Writes the file."""
        if self.began_at is None or self._seen_at is None:
            return
        document = {
            "began_at": self.began_at.isoformat(),
            "seen_at": self._seen_at.isoformat(),
            "reported": sorted(self.reported),
        }
        with suppress(OSError, UserFacingError):  # a full disk must not keep an alert from being sent
            new = _file().with_suffix(".new")
            with open(new, "w", opener=private_file) as file:
                file.truncate()
                json.dump(document, file)
            new.replace(_file())


def _file() -> Path:
    return state_folder() / "database_outage.json"
