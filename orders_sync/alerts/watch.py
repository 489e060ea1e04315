"""Sends alerts from outside Dagster, also while Dagster or the database does not work: for `watch` and `up`."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import partial

import psycopg

from orders_sync.alerts.channels import call_all, send_to, succeeded_late
from orders_sync.alerts.evaluation import Outcome, evaluate
from orders_sync.alerts.messages import Message, alert_message
from orders_sync.alerts.outage import Outage
from orders_sync.alerts.troubles import REPORT_AFTER, Trouble
from orders_sync.config.alerts import AlertConfigError, AlertSettings, alerts_file, read_alerts
from orders_sync.database.engine import connect
from orders_sync.database.problems import problem_of
from orders_sync.model.errors import UserFacingError

APPLICATION = "orders_sync alerts"
EVALUATE_SECONDS = 30.0
"""How often the watch asks for an evaluation; those of Dagster's sensor count as well."""
_REMEDY = "Start the database server, or see why it does not answer: `orders-sync doctor`."

_log = logging.getLogger("orders_sync.alerts")


class AlertWatch:
    """Evaluates again and again in a thread of its own, so that a slow mail server delays nothing else."""

    def __init__(
        self,
        read: Callable[[], AlertSettings] = read_alerts,
        every: float = EVALUATE_SECONDS,
        steady: float = REPORT_AFTER.total_seconds(),
    ) -> None:
        """`every`: seconds between two evaluations. `steady`: after how many seconds a silent database is reported."""
        self._read = read
        self._every = every
        self._steady = steady
        self._outage = Outage()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begins to evaluate."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the evaluation under way, or after ten seconds without it."""
        self._is_over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._is_over.wait(self._every):
            try:
                for problem in self.evaluate().problems:
                    _log.error("Alert not sent: %s", problem)
            except Exception:
                _log.exception("The alerts could not be evaluated; they are tried again.")

    def evaluate(self) -> Outcome:
        """Evaluates once; what can't be sent or read is among the problems."""
        nothing = Outcome([], [])
        try:
            settings = self._read()
        except AlertConfigError as problem:
            return Outcome([], [str(problem)])
        if not settings.channels and settings.heartbeat is None:
            return nothing
        settings.note_addresses()
        try:
            with connect(application=APPLICATION) as connection:
                outcome = evaluate(connection, settings, str(alerts_file())) or nothing
        except (UserFacingError, psycopg.Error) as problem:  # the embedded server's and the pooler's errors, too
            reason = problem_of(problem) if isinstance(problem, psycopg.Error) else problem
            return self._report_silence(settings, str(reason).splitlines()[0])
        return Outcome(outcome.sent + self._report_recovery(settings).sent, outcome.problems)

    def _report_silence(self, settings: AlertSettings, reason: str) -> Outcome:
        now = datetime.now(UTC)
        began_at = self._outage.goes_on(now)
        outcome = Outcome([], [])
        if (now - began_at).total_seconds() >= self._steady:
            trouble = Trouble(
                0, "", "error", f"the orders database does not work: {reason}", _REMEDY, "", began_at, None
            )
            message = alert_message([trouble], [], settings.ui_url)
            names = settings.channels.keys() - self._outage.reported
            for name in _sent(settings, names, message, f"outage since {began_at}", outcome):
                self._outage.reported.add(name)
                self._outage.keep()
        self._outage.keep()
        return outcome

    def _report_recovery(self, settings: AlertSettings) -> Outcome:
        began_at, outcome = self._outage.began_at, Outcome([], [])
        if began_at is None:
            return outcome
        trouble = Trouble(0, "", "error", "the orders database did not work", "", "", began_at, datetime.now(UTC))
        message = alert_message([], [trouble], settings.ui_url)
        names = self._outage.reported & settings.channels.keys()
        for name in _sent(settings, names, message, f"end of the outage since {began_at}", outcome):
            self._outage.reported.discard(name)
            self._outage.keep()
        if not self._outage.reported & settings.channels.keys():  # else those that failed get it with the next one
            self._outage.end()
        return outcome


def _sent(
    settings: AlertSettings, names: Collection[str], message: Message, batch: str, outcome: Outcome
) -> Iterator[str]:
    """Sends a message to these channels; yields each one that has got it, as soon as it has.

    `batch`: the same for each attempt to send it, so that it is not sent again where an earlier one took its time.
    """
    file = str(alerts_file())
    late = {called.channel for called in succeeded_late(batch)}
    yield from late
    calls = {name: [partial(send_to, settings.channels[name], file, name, message)] for name in sorted({*names} - late)}
    for name, _, problem in call_all(calls, batch=batch):
        if problem is None:
            outcome.sent.append(f"{name}: {message.title}")
            yield name
        else:
            outcome.problems.append(f"{name}: {problem}")
