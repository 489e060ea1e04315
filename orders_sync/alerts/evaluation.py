"""Examines the project, and reports to each channel what is new and what is resolved.

Dagster's sensor and `orders-sync watch` both evaluate: whoever comes first, once a minute. So alerts are sent while
either of them works.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NamedTuple

from orders_sync.alerts.channels import call_heartbeat, send
from orders_sync.alerts.digest import digest_message
from orders_sync.alerts.messages import Message, alert_message
from orders_sync.alerts.troubles import Found, is_trouble, note_reported, note_troubles, resolved, unreported
from orders_sync.config.alerts import AlertConfigError, AlertSettings, Channel, address_of
from orders_sync.config.cron_ticks import latest_tick
from orders_sync.database.advisory_locks import release_all, try_lock
from orders_sync.database.engine import Connection
from orders_sync.health.examinations import EXAMINATIONS, SLOW, findings
from orders_sync.health.finding import Finding, Level

MIN_INTERVAL = timedelta(seconds=50)
"""Another evaluation comes so much later at the earliest, whoever asks for it."""
HEARTBEAT_EVERY = timedelta(minutes=5)
RETRY_CHANNEL_AFTER = timedelta(minutes=5)
"""A channel that failed is called again so much later."""
_LOCK = "alerts"
_EVALUATION = ""  # the row of `alert_channels` that stands for the examinations
_HEARTBEAT = "heartbeat "  # no channel has a name with a blank at its end

Examine = Mapping[str, Callable[[], Iterator[Finding]]]


class Outcome(NamedTuple):
    """What an evaluation did."""

    sent: list[str]
    """What was sent, one line for each message."""
    problems: list[str]
    """Which channels failed, and why."""


def evaluate(
    connection: Connection, settings: AlertSettings, file: str, examinations: Examine | None = None
) -> Outcome | None:
    """Examines the project, and sends what is due. None if it was done less than MIN_INTERVAL ago, or is being done.

    `file`: that of the settings, for problems. `examinations`: all but those that read whole tables by default. No
    transaction is open while a message is sent.
    """
    if not try_lock(connection, _LOCK):
        return None
    try:
        if not _is_due(connection, _EVALUATION, MIN_INTERVAL):
            return None
        _note(connection, _EVALUATION, None)
        found, examined = _examine(examinations or {k: v for k, v in EXAMINATIONS.items() if k not in SLOW})
        note_troubles(connection, found, examined)
        outcome = Outcome([], [])
        now = datetime.now(UTC)
        for name, channel in settings.channels.items():
            served = _Served(connection, settings, file, name, channel, now)
            for what in (served.report, served.send_digest):
                try:
                    line = what()
                except _NotSentError as problem:
                    outcome.problems.append(f"{name}: {problem}")
                    break
                outcome.sent.extend([f"{name}: {line}"] if line else [])
        if settings.heartbeat is not None and not _has_error(found):
            _beat(connection, settings.heartbeat, outcome)
        return outcome
    finally:
        release_all(connection)


def _examine(examinations: Examine) -> tuple[list[Found], list[str]]:
    """What was found, and the names of the examinations that could be carried out."""
    found = [(name, finding) for name, examine in examinations.items() for finding in findings(examine)]
    failed = {name for name, finding in found if finding.kind == "examination"}
    return found, [name for name in examinations if name not in failed]


def _has_error(found: Sequence[Found]) -> bool:
    return any(is_trouble(each) and each.level is Level.ERROR for _, each in found)


class _NotSentError(Exception):
    """A message could not be sent."""


class _Served(NamedTuple):
    """A channel, to which what is due is sent."""

    connection: Connection
    settings: AlertSettings
    file: str
    name: str
    channel: Channel
    now: datetime

    def report(self) -> str | None:
        """Reports what is new and what is resolved. Returns the titles; None if there is nothing. Raises _NotSentError.

        What is resolved is a message of its own: a pager closes by it what another message has opened.
        """
        if _failed_lately(self.connection, self.name):
            return None
        quiet = self.channel.quiet_hours
        is_quiet = quiet is not None and quiet.contain(self.settings.local(self.now).time())
        levels = [Level.ERROR] if is_quiet or self.channel.level == "error" else list(Level)
        new = unreported(self.connection, self.name, levels)
        gone = [] if is_quiet else resolved(self.connection, self.name)
        titles: list[str] = []
        for part, rest in ((new, []), ([], gone)):
            if part or rest:
                message = alert_message(part, rest, self.settings.ui_url)
                self._send(message)
                note_reported(self.connection, self.name, part, rest)
                titles.append(message.title)
        return "; ".join(titles) or None

    def send_digest(self) -> str | None:
        """Sends the digest if it is due. Returns its title; None if it is not due. Raises _NotSentError."""
        tick = _digest_tick(self.connection, self.settings, self.name, self.channel, self.now)
        if tick is None or _failed_lately(self.connection, self.name):
            return None
        message = digest_message(self.connection)
        self._send(message)
        self.connection.execute("UPDATE alert_channels SET digest_at = %s WHERE channel = %s", [tick, self.name])
        return message.title

    def _send(self, message: Message) -> None:
        try:
            problem = send(self.channel.address(self.file, self.name), message)
        except AlertConfigError as error:
            problem = str(error)
        _note(self.connection, self.name, problem)
        if problem is not None:
            raise _NotSentError(problem)


def _digest_tick(
    connection: Connection, settings: AlertSettings, name: str, channel: Channel, now: datetime
) -> datetime | None:
    """The tick of a digest that is due; None if none is. The first one is that after the channel was called first."""
    if channel.digest is None:
        return None
    tick = latest_tick(channel.digest, now, settings.timezone)
    connection.execute(
        "INSERT INTO alert_channels (channel, digest_at) VALUES (%s, %s) ON CONFLICT (channel) DO UPDATE "
        "SET digest_at = coalesce(alert_channels.digest_at, excluded.digest_at)",
        [name, tick],
    )
    row = connection.execute("SELECT digest_at FROM alert_channels WHERE channel = %s", [name]).fetchone()
    return tick if row is not None and row[0] < tick else None


def _beat(connection: Connection, variable: str, outcome: Outcome) -> None:
    if not _is_due(connection, _HEARTBEAT, HEARTBEAT_EVERY) or _failed_lately(connection, _HEARTBEAT):
        return
    url = address_of(variable)
    problem = f"the environment variable {variable} is not set" if url is None else call_heartbeat(url)
    _note(connection, _HEARTBEAT, problem)
    if problem is not None:
        outcome.problems.append(f"heartbeat: {problem}")


def _is_due(connection: Connection, channel: str, every: timedelta) -> bool:
    row = connection.execute(
        "SELECT called_at > now() - %s::interval FROM alert_channels WHERE channel = %s", [every, channel]
    ).fetchone()
    return row is None or not row[0]


def _failed_lately(connection: Connection, channel: str) -> bool:
    row = connection.execute(
        "SELECT failed_at > now() - %s::interval FROM alert_channels WHERE channel = %s",
        [RETRY_CHANNEL_AFTER, channel],
    ).fetchone()
    return row is not None and bool(row[0])


_NOTE: LiteralString = """
INSERT INTO alert_channels AS noted (channel, called_at, failed_at, problem)
VALUES (%(channel)s, CASE WHEN %(problem)s::text IS NULL THEN now() END,
  CASE WHEN %(problem)s::text IS NOT NULL THEN now() END, %(problem)s)
ON CONFLICT (channel) DO UPDATE SET
  called_at = coalesce(excluded.called_at, noted.called_at), failed_at = excluded.failed_at, problem = excluded.problem
"""


def _note(connection: Connection, channel: str, problem: str | None) -> None:
    connection.execute(_NOTE, {"channel": channel, "problem": problem})
