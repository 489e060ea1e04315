"""Sends alerts from outside Dagster, also while Dagster or the database does not work: for `watch` and `up`."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from orders_sync.alerts.channels import send
from orders_sync.alerts.evaluation import Outcome, evaluate
from orders_sync.alerts.messages import alert_message
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
        self._silent_since: datetime | None = None
        self._reported: set[str] = set()
        """The channels to which it was reported that the database does not answer."""
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
        try:
            with connect(application=APPLICATION) as connection:
                outcome = evaluate(connection, settings, str(alerts_file())) or nothing
        except (UserFacingError, psycopg.Error) as problem:  # the embedded server's and the pooler's errors, too
            reason = problem_of(problem) if isinstance(problem, psycopg.Error) else problem
            return self._report_silence(settings, str(reason).splitlines()[0])
        return Outcome(outcome.sent + self._report_recovery(settings).sent, outcome.problems)

    def _report_silence(self, settings: AlertSettings, reason: str) -> Outcome:
        now = datetime.now(UTC)
        self._silent_since = self._silent_since or now
        outcome = Outcome([], [])
        if (now - self._silent_since).total_seconds() < self._steady:
            return outcome
        what = f"the orders database does not work: {reason}"
        trouble = Trouble(0, "", "error", what, _REMEDY, "", self._silent_since, None)
        for name in settings.channels.keys() - self._reported:
            if self._send(settings, name, [trouble], [], outcome):
                self._reported.add(name)
        return outcome

    def _report_recovery(self, settings: AlertSettings) -> Outcome:
        began, self._silent_since = self._silent_since, None
        outcome = Outcome([], [])
        if began is None or not self._reported:
            return outcome
        trouble = Trouble(0, "", "error", "the orders database did not work", "", "", began, datetime.now(UTC))
        self._reported &= settings.channels.keys()
        for name in sorted(self._reported):
            if self._send(settings, name, [], [trouble], outcome):
                self._reported.discard(name)
        self._silent_since = began if self._reported else None  # the others get it with the next evaluation
        return outcome

    def _send(
        self, settings: AlertSettings, name: str, new: list[Trouble], gone: list[Trouble], outcome: Outcome
    ) -> bool:
        message = alert_message(new, gone, settings.ui_url)
        try:
            problem = send(settings.channels[name].address(str(alerts_file()), name), message)
        except AlertConfigError as error:
            problem = str(error)
        if problem is None:
            outcome.sent.append(f"{name}: {message.title}")
        else:
            outcome.problems.append(f"{name}: {problem}")
        return problem is None
