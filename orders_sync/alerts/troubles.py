"""What is wrong and since when, kept in the orders database, so that each channel gets each trouble once."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from orders_sync.database.engine import Connection
from orders_sync.database.rows import rows_as
from orders_sync.health.alerts import kind_of
from orders_sync.health.finding import Finding, Level
from orders_sync.model.control_characters import safe_text

REPORT_AFTER = timedelta(minutes=2)
"""How long a trouble must last before it is reported: what starts again or is retried is well by then."""
RESOLVE_AFTER = timedelta(minutes=5)
"""How long a trouble must be gone before it is reported as resolved. If it comes back earlier, it goes on."""

Found = tuple[str, Finding]
"""The name of an examination, and what it found."""


class Trouble(NamedTuple):
    """Something that is, or was, wrong."""

    trouble_id: int
    about: str
    level: str
    what: str
    remedy: str
    page: str
    began_at: datetime
    ended_at: datetime | None

    @property
    def text(self) -> str:
        """The trouble in one line."""
        return f"{self.about}: {self.what}" if self.about else self.what


def is_trouble(finding: Finding) -> bool:
    """Whether somebody is alerted of a finding."""
    return bool(finding.kind) and (not finding.ok or finding.is_notable)


def note_troubles(connection: Connection, found: Sequence[Found], examined: Collection[str]) -> None:
    """Stores what is wrong now; what was found before and is not any more ends.

    `examined`: the examinations that could be carried out. What others had found stays as it is.
    """
    present = {(name, each.kind, each.about): each for name, each in found if is_trouble(each)}
    with connection.transaction():
        for key, finding in present.items():
            connection.execute(_GOES_ON, [*key, RESOLVE_AFTER])
            connection.execute(_FOUND, [*key, finding.level, safe_text(finding.what), finding.remedy, finding.page])
        names, kinds, abouts = (list(column) for column in zip(*present, strict=True)) if present else ([], [], [])
        connection.execute(_ENDS, [list(examined), names, kinds, abouts])


_GOES_ON: LiteralString = """
UPDATE troubles trouble SET ended_at = NULL
WHERE (examination, kind, about) = (%s, %s, %s) AND ended_at > now() - %s::interval
  AND trouble_id = (
    SELECT max(trouble_id) FROM troubles latest
    WHERE (latest.examination, latest.kind, latest.about) = (trouble.examination, trouble.kind, trouble.about))
"""
_FOUND: LiteralString = """
INSERT INTO troubles (examination, kind, about, level, what, remedy, page) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (examination, kind, about) WHERE ended_at IS NULL
DO UPDATE SET level = excluded.level, what = excluded.what, remedy = excluded.remedy, page = excluded.page,
  began_at = CASE WHEN troubles.seen_at < now() - interval '10 minutes'
    AND NOT EXISTS (SELECT FROM alerts WHERE alerts.trouble_id = troubles.trouble_id)
    THEN now() ELSE troubles.began_at END,  -- nobody has looked meanwhile, as overnight on a laptop
  seen_at = now()
"""
_ENDS: LiteralString = """
UPDATE troubles SET ended_at = now()
WHERE ended_at IS NULL AND examination = ANY(%s)
  AND (examination, kind, about) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))
"""


def unreported(connection: Connection, channel: str, levels: Collection[Level]) -> list[Trouble]:
    """The troubles of these levels that are to be reported to a channel now: errors first, the oldest first."""
    return rows_as(connection, Trouble, _UNREPORTED, [REPORT_AFTER, list(levels), channel, kind_of(channel)])


_UNREPORTED: LiteralString = """
SELECT trouble_id, about, level, what, remedy, page, began_at, ended_at FROM troubles trouble
WHERE ended_at IS NULL AND began_at <= now() - %s::interval AND level = ANY(%s)
  AND NOT EXISTS (SELECT FROM alerts WHERE alerts.trouble_id = trouble.trouble_id AND channel = %s)
  AND kind <> %s  -- that this very channel can't be reached
ORDER BY level, began_at, trouble_id
"""


def resolved(connection: Connection, channel: str) -> list[Trouble]:
    """The troubles that were reported to a channel, and are resolved."""
    return rows_as(connection, Trouble, _RESOLVED, [channel, RESOLVE_AFTER])


_RESOLVED: LiteralString = """
SELECT trouble_id, about, level, what, remedy, page, began_at, ended_at
FROM troubles JOIN alerts USING (trouble_id)
WHERE channel = %s AND recovery_sent_at IS NULL AND ended_at <= now() - %s::interval
  AND NOT (kind LIKE 'cutover day%%' OR kind LIKE 'burst%%')  -- they pass by, and nothing is well by that
ORDER BY began_at, trouble_id
"""


def present(connection: Connection) -> list[Trouble]:
    """All troubles that are not resolved."""
    return rows_as(connection, Trouble, _PRESENT, [])


_PRESENT: LiteralString = """
SELECT trouble_id, about, level, what, remedy, page, began_at, ended_at FROM troubles
WHERE ended_at IS NULL ORDER BY level, began_at, trouble_id
"""


def reported_to(connection: Connection) -> dict[int, list[str]]:
    """The channels that have got each trouble that is not resolved, by its number."""
    found: dict[int, list[str]] = {}
    for trouble_id, channel in connection.execute(_REPORTED_TO):
        found.setdefault(trouble_id, []).append(channel)
    return found


_REPORTED_TO: LiteralString = """
SELECT trouble_id, channel FROM alerts JOIN troubles USING (trouble_id) WHERE ended_at IS NULL ORDER BY channel
"""


def note_reported(connection: Connection, channel: str, new: Sequence[Trouble], gone: Sequence[Trouble]) -> None:
    """Stores that a channel has got these troubles as new, and those as resolved."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO alerts (trouble_id, channel) SELECT unnest(%s::bigint[]), %s ON CONFLICT DO NOTHING",
            [[each.trouble_id for each in new], channel],
        )
        connection.execute(
            "UPDATE alerts SET recovery_sent_at = now() WHERE channel = %s AND trouble_id = ANY(%s)",
            [channel, [each.trouble_id for each in gone]],
        )
