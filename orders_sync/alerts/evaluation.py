"""Examines the project, and reports to each channel what is new and what is resolved.

Dagster's sensor and `orders-sync watch` both evaluate: whoever comes first, once a minute. So alerts are sent while
either of them works.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from orders_sync.alerts.calls import EVALUATION, failed_lately, is_due, leave_to_others, note_call
from orders_sync.alerts.channels import (
    SEND_SECONDS,
    Call,
    Called,
    call_all,
    call_heartbeat,
    is_hanging,
    send_to,
    succeeded_late,
)
from orders_sync.alerts.digest import digest_message
from orders_sync.alerts.messages import Message, alert_message
from orders_sync.alerts.troubles import Found, is_trouble, note_reported, note_troubles, resolved, unreported
from orders_sync.config.alerts import AlertConfigError, AlertSettings, Channel
from orders_sync.config.cron_ticks import latest_tick
from orders_sync.config.secret_values import address_of
from orders_sync.database.advisory_locks import release_all, try_lock
from orders_sync.database.engine import Connection
from orders_sync.health.alerts import HEARTBEAT
from orders_sync.health.examinations import EXAMINATIONS, SLOW, findings
from orders_sync.health.finding import Finding, Level

MIN_INTERVAL = timedelta(seconds=50)
"""Another evaluation comes so much later at the earliest, whoever asks for it."""
HEARTBEAT_EVERY = timedelta(minutes=5)
_LOCK = "alerts"

Examine = Mapping[str, Callable[[], Iterator[Finding]]]


class Outcome(NamedTuple):
    """What an evaluation did."""

    sent: list[str]
    """What was sent, one line for each message."""
    problems: list[str]
    """Which channels failed, and why."""


class _Due(NamedTuple):
    """A message that is due."""

    message: Message
    note: Callable[[Connection], None]
    """Stores that the channel has got it."""


def evaluate(
    connection: Connection,
    settings: AlertSettings,
    file: str,
    examinations: Examine | None = None,
    seconds: float = SEND_SECONDS,
) -> Outcome | None:
    """Examines the project, and sends what is due. None if it was done less than MIN_INTERVAL ago, or is being done.

    `file`: that of the settings, for problems. `examinations`: all but those that read whole tables by default.
    `seconds`: how long all channels together are waited for. No transaction is open while a message is sent.
    """
    settings.note_addresses()
    if not try_lock(connection, _LOCK):
        return None
    try:
        _note_late(connection)
        if not is_due(connection, EVALUATION, MIN_INTERVAL):
            return None
        note_call(connection, EVALUATION, None)
        found, examined = _examine(examinations or {k: v for k, v in EXAMINATIONS.items() if k not in SLOW})
        note_troubles(connection, found, examined)
        now = datetime.now(UTC)
        due = {name: _due(connection, settings, name, channel, now) for name, channel in settings.channels.items()}
        beats = settings.heartbeat is not None and not _has_error(found) and _is_heartbeat_due(connection)
        unset = _unset(settings, file, {name for name, messages in due.items() if messages}, beats=beats)
        calls: dict[str, Sequence[Call]] = {
            name: [partial(send_to, settings.channels[name], file, name, each.message) for each in messages]
            for name, messages in due.items()
            if name not in unset
        }
        if beats and settings.heartbeat is not None and (url := address_of(settings.heartbeat)) is not None:
            calls[HEARTBEAT] = [partial(call_heartbeat, url)]
        if unset:
            leave_to_others(connection, unset)
        outcome = _carry_out(connection, due, calls, seconds)
        return Outcome(outcome.sent, [*outcome.problems, *(f"{name.strip()}: {unset[name]}" for name in unset)])
    finally:
        release_all(connection)


def _unset(settings: AlertSettings, file: str, names: Collection[str], *, beats: bool) -> dict[str, str]:
    """Why this process can't call some of these channels, nor the heartbeat: it has not their variables."""
    unset: dict[str, str] = {}
    for name, channel in settings.channels.items():
        try:
            if name in names:
                channel.address(file, name)
        except AlertConfigError as problem:
            unset[name] = str(problem)
    if beats and settings.heartbeat is not None and address_of(settings.heartbeat) is None:
        unset[HEARTBEAT] = f"the environment variable {settings.heartbeat} is not set"
    return unset


def _carry_out(
    connection: Connection, due: Mapping[str, Sequence[_Due]], calls: Mapping[str, Sequence[Call]], seconds: float
) -> Outcome:
    """Makes the calls, and notes each as soon as it has ended: this process may end at any time."""
    made: list[Called] = []
    _latest_due.update({name: messages for name, messages in due.items() if messages and not is_hanging(name)})
    for called in call_all(calls, seconds, EVALUATION):
        _note(connection, called)
        made.append(called)
    places = {name: place for place, name in enumerate(calls)}
    made.sort(key=lambda called: (places[called.channel], called.number))
    sent = [called for called in made if called.problem is None and called.channel in due]
    return Outcome(
        [f"{name}: {due[name][number].message.title}" for name, number, _ in sent],
        [f"{name.strip()}: {problem}" for name, _, problem in made if problem is not None],
    )


def _note(connection: Connection, called: Called) -> None:
    note_call(connection, called.channel, called.problem)
    if called.problem is None and called.channel in _latest_due:
        _latest_due[called.channel][called.number].note(connection)


def _note_late(connection: Connection) -> None:
    """Notes what was sent after its time, so that it is not sent again."""
    for called in succeeded_late(EVALUATION):
        _note(connection, called)


_latest_due: dict[str, Sequence[_Due]] = {}
"""The messages of this process's last evaluation that called the channel: a call may end after it."""


def _examine(examinations: Examine) -> tuple[list[Found], list[str]]:
    """What was found, and the names of the examinations that could be carried out."""
    found = [(name, finding) for name, examine in examinations.items() for finding in findings(examine)]
    failed = {name for name, finding in found if finding.kind == "examination"}
    return found, [name for name in examinations if name not in failed]


def _has_error(found: Sequence[Found]) -> bool:
    return any(is_trouble(each) and each.level is Level.ERROR for _, each in found)


def _due(connection: Connection, settings: AlertSettings, name: str, channel: Channel, now: datetime) -> list[_Due]:
    """The messages that a channel gets now: what is new, what is resolved, and its digest.

    What is resolved is a message of its own: a pager closes by it what another message has opened.
    """
    if failed_lately(connection, name):
        return []
    quiet = channel.quiet_hours
    is_quiet = quiet is not None and quiet.contain(settings.local(now).time())
    levels = [Level.ERROR] if is_quiet or channel.level == "error" else list(Level)
    new = unreported(connection, name, levels)
    gone = [] if is_quiet else resolved(connection, name)
    due: list[_Due] = []
    if new:
        due.append(
            _Due(alert_message(new, [], settings.ui_url), partial(note_reported, channel=name, new=new, gone=[]))
        )
    if gone:
        due.append(
            _Due(alert_message([], gone, settings.ui_url), partial(note_reported, channel=name, new=[], gone=gone))
        )
    tick = _digest_tick(connection, settings, name, channel, now)
    if tick is not None:
        due.append(_Due(digest_message(connection), partial(_note_digest, name=name, tick=tick)))
    return due


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


def _note_digest(connection: Connection, name: str, tick: datetime) -> None:
    connection.execute("UPDATE alert_channels SET digest_at = %s WHERE channel = %s", [tick, name])


def _is_heartbeat_due(connection: Connection) -> bool:
    return is_due(connection, HEARTBEAT, HEARTBEAT_EVERY) and not failed_lately(connection, HEARTBEAT)
