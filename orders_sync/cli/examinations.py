"""The examinations of `orders-sync doctor`, each a function that yields findings."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NamedTuple

from orders_sync.cli.database import orders_database
from orders_sync.cli.output import span
from orders_sync.cli.watchdog import overdue
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.engine import Connection
from orders_sync.lanes.activity import ActivityKind, activity
from orders_sync.lanes.history import LaneState
from orders_sync.lanes.pauses import AccountPause, Pause
from orders_sync.lanes.watermark import remedy
from orders_sync.model.lane import SyncType
from orders_sync.model.times import EARLIEST

APPLICATION = "orders_sync doctor"
DAEMON_SILENT_SECONDS = 120
"""A part of Dagster's daemon that sent no heartbeat for longer counts as dead."""
LONG_PASS = timedelta(hours=3)
"""A pass that runs for longer needs a look."""
LATE_START = timedelta(minutes=30)
"""A lane that did not start so long after its tick is reported."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""A watermark may lie ahead of this machine's clock by so much: it follows the database server's."""


_TABLES_WITHOUT_RIGHTS = """
SELECT DISTINCT name FROM unnest(%s::text[], %s::text[]) AS needed (name, needed_right)
WHERE NOT has_table_privilege(quote_ident(name), needed_right)
ORDER BY 1
"""


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

    @property
    def text(self) -> str:
        """The finding in one line."""
        return f"{self.about}: {self.what}" if self.about else self.what


def _examine_database() -> Iterator[Finding]:
    from orders_sync.database.rights import writer_rights

    with orders_database(APPLICATION) as connection:
        version = connection.info.server_version // 10_000
        yield Finding(True, f"PostgreSQL {version} answers, and its schema is up to date")
        needed = [list(column) for column in zip(*writer_rights(), strict=True)]
        tables = [table for (table,) in connection.execute(_TABLES_WITHOUT_RIGHTS, needed)]
        if tables:
            named = f"{', '.join(tables[:5])}{' …' if len(tables) > 5 else ''}"
            text = f"the user of the orders database may not write to {len(tables)} of its tables: {named}"
            yield Finding(
                False,
                text,
                "Run `orders-sync db roles` as an administrator, and use the writer that it makes, or the owner.",
            )
            return
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO lanes (account, sync_type) VALUES ('a write of the doctor', 'new')")
    yield Finding(True, "the user of the orders database may write")


def _examine_accounts() -> Iterator[Finding]:
    from orders_sync.config.account import AccountConfigError
    from orders_sync.marketplaces.kit.accounts import load_accounts

    accounts, problems = load_accounts()
    for problem in problems.values():
        yield Finding(False, str(problem), "Correct the file. `orders-sync accounts list` shows whether it is right.")
    for account in accounts.values():
        try:
            for key in account.settings.CREDENTIALS:
                account.credential(key)
            yield Finding(True, "its settings are valid, its credentials are set", about=account.name)
        except AccountConfigError as problem:
            yield Finding(False, str(problem), "Set it for the daemon and the web server too, and restart them.")
    if not accounts and not problems:
        yield Finding(False, "there is no account", "Add one: README, Add an account.")


def _examine_daemon() -> Iterator[Finding]:
    from orders_sync.dagster_instance.instance import open_instance
    from orders_sync.dagster_instance.ticks import evaluations

    remedy = "Start it: `make run`, `dagster dev`, or `orders-sync daemon` on a server. See .state/logs/daemon.log."
    with open_instance() as instance:
        heartbeats = instance.get_daemon_heartbeats()
        silent = overdue(instance, DAEMON_SILENT_SECONDS)
        failures = evaluations(instance).failures
    for name in ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR"):
        heartbeat = heartbeats.get(name)
        age = time.time() - heartbeat.timestamp if heartbeat else None
        if age is None or age > DAEMON_SILENT_SECONDS:
            seen = f"last seen {span(age)} ago" if age is not None else "never seen"
            yield Finding(False, f"the {name.lower()} daemon is not alive ({seen})", remedy)
        else:
            yield Finding(True, f"the {name.lower()} daemon was alive {span(age)} ago")
    yield Finding(
        silent is None,
        silent or "ticks of schedules and sensors are evaluated",
        "The daemon does not run, or its code server has died or hangs. Restart both; `orders-sync watch` does so by "
        "itself. See .state/logs/code_server.log.",
    )
    for name, error in failures.items():
        yield Finding(False, f"the last tick of {name} failed: {error}", "See its ticks in the UI, Automation.")


def _examine_schedules() -> Iterator[Finding]:
    from orders_sync.config.schedules import schedules_in_force
    from orders_sync.dagster_instance.automation import stopped_instigators
    from orders_sync.dagster_instance.instance import open_instance

    settings, problem = schedules_in_force()
    valid = f"the cron expressions are valid, in {settings.timezone}"
    yield Finding(problem is None, str(problem or valid), "Correct the file, and reload the code location in the UI.")
    with open_instance() as instance:
        stopped = stopped_instigators(instance)
    for name in stopped:
        yield Finding(False, f"{name} is switched off", "Switch it on in the UI, Automation.")
    if not stopped:
        yield Finding(True, "no schedule or sensor is switched off")


def _examine_deadlines() -> Iterator[Finding]:
    from orders_sync.config.schedules import load_schedules
    from orders_sync.marketplaces.kit.accounts import load_accounts
    from orders_sync.passes.acceptance_clock import PASS_LENGTH

    schedules, now = load_schedules(), datetime.now(UTC)
    for account in load_accounts()[0].values():
        deadline = account.settings.acceptance_deadline
        own = schedules.for_account(account.settings.schedules)
        gap = own.longest_gap(SyncType.NEW, now) + PASS_LENGTH
        if deadline is not None and deadline <= gap and account.has_on(SyncType.NEW):
            yield Finding(
                False,
                f"its acceptance_deadline of {span(deadline.total_seconds())} is no longer than the "
                f"{span(gap.total_seconds())} that a line may wait for a pass of `new` to answer it: one that is "
                "paid right after a pass runs out",
                "Add ticks: `frequent_new` or another `new`, in orders_sync/defs/sync/defs.yaml or under `schedules` "
                "in the account's file.",
                account.name,
            )


def _examine_waiting_lines() -> Iterator[Finding]:
    from orders_sync.marketplaces.kit.accounts import account_names
    from orders_sync.passes.waiting_lines import MAX_REQUESTS, waiting_lines
    from orders_sync.stock.connection import StockConnection

    with orders_database(APPLICATION) as connection:
        lines = waiting_lines(StockConnection(connection), account_names())
    count = sum(line.is_given_up for line in lines)
    yield Finding(
        count == 0,
        f"{count or 'no'} orderlines could not be accepted, or refused, in {MAX_REQUESTS} requests",
        "Accept or refuse them by hand in the marketplace's back office.",
    )


def _examine_lanes() -> Iterator[Finding]:
    from orders_sync.config.schedules import load_schedules
    from orders_sync.lanes.history import lane_states
    from orders_sync.lanes.pauses import pause_of
    from orders_sync.lanes.progress import failures_in_row
    from orders_sync.marketplaces.kit.accounts import lanes_on, load_accounts

    settings = load_schedules()
    with orders_database(APPLICATION) as connection:
        accounts, _ = load_accounts()
        states = lane_states(connection, lanes_on(accounts))
        pauses = [pause_of(connection, accounts[each.lane.account], each.lane.sync_type) for each in states]
        failures = failures_in_row(connection, [each.lane for each in states])
    now = datetime.now(UTC)
    for state, pause in zip(states, pauses, strict=True):
        own = settings.for_account(accounts[state.lane.account].settings.schedules)
        yield examine_lane(state, own, now, pause, failures.get(state.lane, 0))


_REMEDY_OF_REFUSAL = (
    "Correct the account's file, or set the credential where the daemon is started, too, and restart the daemon: one "
    "that runs sees no new variable."
)
_REMEDIES_OF_WRONG = {
    ActivityKind.DIED: "Nothing, if the daemon is alive: its sensor `dead_runs` fails the run, and the next run misses "
    "nothing. `orders-sync sync` runs the lane now.",
    ActivityKind.STALLED: "Nothing, if the daemon is alive: its sensor `dead_runs` ends the pass or command, and the "
    "next run misses nothing. Without it, terminate the run in the UI, or end its process.",
}


def examine_lane(
    state: LaneState, settings: ScheduleSettings, now: datetime, pause: Pause | None = None, failures: int = 0
) -> Finding:
    """Whether a lane runs too long, died, failed, pauses, missed its last tick, or has a watermark that can't be right.

    `pause`: why the lane pauses. `failures`: how many runs failed since the last success.
    """
    what, to_do = _problem_of(state, settings, now, pause, failures)
    if what is not None:
        return Finding(False, what, to_do, str(state.lane))
    if isinstance(pause, AccountPause):
        return Finding(True, str(pause), about=str(state.lane), is_notable=True)
    lag = f", {span(state.lag(now))} behind" if state.lag(now) is not None else ""
    return Finding(True, f"{state.last_outcome or 'has not run yet'}{lag}", about=str(state.lane))


def _problem_of(
    state: LaneState, settings: ScheduleSettings, now: datetime, pause: Pause | None, failures: int
) -> tuple[str | None, str]:
    """What is wrong with a lane, None if nothing is, and what to do."""
    if state.watermark is not None and state.watermark < EARLIEST:
        return f"its watermark lies before {EARLIEST:%Y-%m-%d}, so that every pass fails", f"{remedy(state.lane)}."
    if state.watermark is not None and state.watermark > now + CLOCK_TOLERANCE:
        ahead = span((state.watermark - now).total_seconds())
        return f"its watermark lies {ahead} ahead of our clock", f"{remedy(state.lane)}."
    doing = activity(state, now, pause)
    if doing.kind is ActivityKind.REFUSED:
        return doing.text.removeprefix(f"Lane {state.lane} "), _REMEDY_OF_REFUSAL
    if doing.is_wrong:
        return doing.text, _REMEDIES_OF_WRONG[doing.kind]
    if state.holder is not None and state.last_started_at is not None and now - state.last_started_at > LONG_PASS:
        return (
            f"{state.holder} has been running for {span((now - state.last_started_at).total_seconds())}",
            "Look at that run in the UI. If it makes no progress, terminate it there; its lane is then free.",
        )
    if isinstance(pause, AccountPause):
        return None, ""
    if state.last_outcome == "failed":
        runs = f"its last {failures} runs" if failures > 1 else "its last run"
        return (
            f"{runs} failed: {state.last_problem}",
            "It is tried again 1, 5, 15, then 60 minutes after each failure in a row, and at each tick; nothing is "
            "missed. `orders-sync log --grep` shows more.",
        )
    tick = settings.last_tick(state.lane.sync_type, now)
    missed = state.last_started_at is None or state.last_started_at < tick - timedelta(minutes=1)
    if missed and now - tick > LATE_START and state.holder is None:
        return (
            f"did not run at its last tick, {tick.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            "See the ticks of its schedule in the UI for the reason, or run it now: `orders-sync schedule run`.",
        )
    return None, ""


def _examine_rate_limits() -> Iterator[Finding]:
    with orders_database(APPLICATION) as connection:
        blocked = connection.execute(
            "SELECT account, max(blocked_until) FROM rate_limits WHERE blocked_until > now() GROUP BY account"
        ).fetchall()
        limited = connection.execute(
            "SELECT account, sum((summary->>'too_many_requests')::int) FROM lane_runs "
            "WHERE started_at > now() - interval '1 day' GROUP BY account "
            "HAVING sum((summary->>'too_many_requests')::int) > 0"
        ).fetchall()
    for account, until in blocked:
        yield Finding(
            False,
            f"{account} is blocked by its marketplace until {until.astimezone(UTC):%H:%M:%S} UTC",
            "Wait. If it happens often, lower limits.share in the account's file.",
        )
    for account, count in limited:
        yield Finding(
            False,
            f"the marketplace of {account} answered {count} requests of the last day with 429 (too many requests)",
            "Lower limits.share in the account's file, or let other programs use the API less.",
        )
    if not blocked and not limited:
        yield Finding(True, "no marketplace answered a request of the last day with 429 (too many requests)")


class _Count(NamedTuple):
    """A count of rows that should be zero."""

    query: LiteralString
    text: str
    """What is counted; {} is the count, or `no`."""
    remedy: str


_COUNTS = (
    _Count(
        "SELECT count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL",
        "{} rejected records",
        "`orders-sync rejected` shows the reasons, `orders-sync rejected retry` tries again. `orders-sync rejected "
        "dismiss` puts one aside.",
    ),
    _Count(
        "SELECT count(*) FROM order_events WHERE applied_at IS NULL AND attempts = 0 "
        "AND recorded_at < now() - interval '10 minutes'",
        "{} order events wait for the stock job for more than 10 minutes",
        "Check that the daemon is alive. `orders-sync stock apply` applies them now.",
    ),
    _Count(
        "SELECT count(*) FROM order_events WHERE applied_at IS NULL AND attempts > 0",
        "{} order events that could not be applied",
        "`orders-sync stock events` shows why. Mend the cause, then `orders-sync stock retry-event all --reason TEXT`.",
    ),
    _Count(
        "SELECT count(*) FROM stock_locks WHERE state = 'short'",
        "{} items whose stock can't be locked",
        "See `orders-sync stock levels --short`, and import the right levels.",
    ),
)


REREAD = (
    "`orders-sync sync --type modified --reread` compares every order with its marketplace's; --since reads further "
    "back."
)
_DAMAGES = (
    _Count(
        "SELECT count(*) FROM orders placed WHERE NOT EXISTS (SELECT FROM order_items item "
        "WHERE item.account = placed.account AND item.order_id = placed.order_id)",
        "{} orders without items",
        REREAD,
    ),
    _Count(
        "SELECT count(*) FROM order_items item WHERE NOT EXISTS (SELECT FROM orders placed "
        "WHERE placed.account = item.account AND placed.order_id = item.order_id)",
        "{} items without their order",
        REREAD,
    ),
    _Count(
        "SELECT count(*) FROM orders placed JOIN (SELECT DISTINCT ON (account, order_id) account, order_id, new_status "
        "FROM order_events WHERE item_id = '' ORDER BY account, order_id, revision DESC, event_id DESC) last "
        "USING (account, order_id) WHERE placed.status <> last.new_status",
        "{} orders whose status is not that of their last event",
        REREAD,
    ),
)


def _examine_records() -> Iterator[Finding]:
    with orders_database(APPLICATION) as connection:
        for query, text, remedy in _COUNTS:
            yield _counted(connection, query, text, remedy)


def _examine_damage() -> Iterator[Finding]:
    with orders_database(APPLICATION) as connection:
        for query, text, remedy in _DAMAGES:
            yield _counted(connection, query, text, remedy)


def _counted(connection: Connection, query: LiteralString, text: str, remedy: str) -> Finding:
    row = connection.execute(query).fetchone()
    count = int(row[0]) if row else 0
    return Finding(count == 0, text.format(count or "no"), remedy)


def _examine_flaws() -> Iterator[Finding]:
    """Records with flaws are stored and in use: they are shown, and need nobody at once."""
    with orders_database(APPLICATION) as connection:
        row = connection.execute("SELECT count(DISTINCT (account, kind, record_id)) FROM record_flaws").fetchone()
    count = int(row[0]) if row else 0
    if not count:
        yield Finding(True, "no stored record has a flaw")
        return
    yield Finding(
        True,
        f"{count} stored records have flaws: `orders-sync flaws` shows them. After a correction of the adapter, "
        "`orders-sync redecode` decodes them again; after one at the marketplace, `orders-sync sync --type modified "
        "--reread` reads them again",
    )


EXAMINATIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    "database": _examine_database,
    "accounts": _examine_accounts,
    "daemon": _examine_daemon,
    "schedules": _examine_schedules,
    "acceptance deadlines": _examine_deadlines,
    "waiting orderlines": _examine_waiting_lines,
    "lanes": _examine_lanes,
    "rate limits": _examine_rate_limits,
    "records": _examine_records,
    "damage": _examine_damage,
    "flaws": _examine_flaws,
}
"""The examinations by name, in the order of the report. To add one, add a function here."""
