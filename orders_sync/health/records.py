"""Whether records, order events, stock and waiting orderlines need a person."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import LiteralString, NamedTuple

from orders_sync.config.pages import REJECTED_PAGE, STOCK_PAGE, WAITING_PAGE
from orders_sync.database.engine import Connection
from orders_sync.database.opened import orders_database
from orders_sync.health.database import APPLICATION
from orders_sync.health.finding import Finding, Level
from orders_sync.passes.waiting_lines import MAX_REQUESTS

BURST = 20
"""So many records of an account that are rejected within an hour are a burst: a change of its API, most likely."""


class _Count(NamedTuple):
    """Rows of which there should be none, counted by account."""

    query: LiteralString
    """Gives the account and the count of each account that has such rows."""
    text: str
    """What is counted; {} is the count, or `no`."""
    remedy: str
    kind: str = ""
    level: Level = Level.ERROR
    page: str = ""
    """As that of a finding."""


_COUNTS = (
    _Count(
        "SELECT account, count(*) FROM rejected_records WHERE resolved_at IS NULL AND dismissed_at IS NULL GROUP BY 1",
        "{} rejected records",
        "`orders-sync rejected` shows the reasons, `orders-sync rejected retry` tries again. `orders-sync rejected "
        "dismiss` puts one aside.",
        "rejected records",
        Level.WARNING,
        REJECTED_PAGE,
    ),
    _Count(
        "SELECT account, count(*) FROM order_events WHERE applied_at IS NULL AND attempts = 0 "
        "AND recorded_at < now() - interval '10 minutes' GROUP BY 1",
        "{} order events wait for the stock job for more than 10 minutes",
        "Check that the daemon is alive. `orders-sync stock apply` applies them now.",
        "waiting events",
    ),
    _Count(
        "SELECT account, count(*) FROM order_events WHERE applied_at IS NULL AND attempts > 0 GROUP BY 1",
        "{} order events that could not be applied",
        "`orders-sync stock events` shows why. Mend the cause, then `orders-sync stock retry-event all --reason TEXT`.",
        "failed events",
    ),
    _Count(
        "SELECT account, count(*) FROM stock_locks WHERE state = 'short' GROUP BY 1",
        "{} items whose stock can't be locked",
        "See `orders-sync stock levels --short`, and import the right levels.",
        "shortage",
        Level.WARNING,
        STOCK_PAGE,
    ),
)

REREAD = (
    "`orders-sync sync --type modified --reread` compares every order with its marketplace's; --since reads further "
    "back."
)
_DAMAGES = (
    _Count(
        "SELECT account, count(*) FROM orders placed WHERE NOT EXISTS (SELECT FROM order_items item "
        "WHERE item.account = placed.account AND item.order_id = placed.order_id) GROUP BY 1",
        "{} orders without items",
        REREAD,
    ),
    _Count(
        "SELECT account, count(*) FROM order_items item WHERE NOT EXISTS (SELECT FROM orders placed "
        "WHERE placed.account = item.account AND placed.order_id = item.order_id) GROUP BY 1",
        "{} items without their order",
        REREAD,
    ),
    _Count(
        "SELECT account, count(*) FROM orders placed JOIN ("
        "SELECT DISTINCT ON (account, order_id) account, order_id, new_status FROM order_events "
        "WHERE item_id = '' ORDER BY account, order_id, revision DESC, event_id DESC) last "
        "USING (account, order_id) WHERE placed.status <> last.new_status GROUP BY 1",
        "{} orders whose status is not that of their last event",
        REREAD,
    ),
)


def examine_records() -> Iterator[Finding]:
    """Rejected records, events that wait or failed, and shortages."""
    with orders_database(APPLICATION) as connection:
        for count in _COUNTS:
            yield from _counted(connection, count)
        bursts = connection.execute(_BURSTS, [BURST]).fetchall()
    for account, count in bursts:
        yield Finding(
            False,
            f"{count} records were rejected within an hour",
            "`orders-sync rejected` shows the reasons, and `orders-sync drift` what is new in the answers: the "
            "marketplace may have changed its API.",
            account,
            kind="burst of rejected records",
            page=REJECTED_PAGE,
        )


_BURSTS: LiteralString = """
SELECT account, count(*) FROM rejected_records
WHERE resolved_at IS NULL AND dismissed_at IS NULL AND first_seen_at > now() - interval '1 hour'
GROUP BY account HAVING count(*) >= %s ORDER BY account
"""


def examine_damage() -> Iterator[Finding]:
    """Rows that contradict each other. Reads whole tables."""
    with orders_database(APPLICATION) as connection:
        for count in _DAMAGES:
            yield from _counted(connection, count)


def _counted(connection: Connection, counted: _Count) -> Iterator[Finding]:
    """A finding for each account, since a trouble of one must not hide that of another; one if there are none."""
    found = connection.execute(counted.query).fetchall()
    for account, count in sorted(found):
        what = counted.text.format(count)
        yield Finding(False, what, counted.remedy, account, kind=counted.kind, level=counted.level, page=counted.page)
    if not found:
        yield Finding(True, counted.text.format("no"), counted.remedy)


def examine_flaws() -> Iterator[Finding]:
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


def examine_waiting_lines() -> Iterator[Finding]:
    """Orderlines that a person has to answer, and those that run out before a pass has answered them."""
    from orders_sync.config.schedules import load_schedules
    from orders_sync.marketplaces.kit.accounts import account_names, load_accounts
    from orders_sync.passes.acceptance_clock import outlooks
    from orders_sync.passes.waiting_lines import waiting_lines
    from orders_sync.stock.connection import StockConnection

    accounts, _ = load_accounts()
    now = datetime.now(UTC)
    with orders_database(APPLICATION) as connection:
        stock = StockConnection(connection)
        lines = waiting_lines(stock, account_names())
        found = outlooks(stock, accounts, now, load_schedules()) if lines else []
    given_up = Counter(line.account for line in lines if line.is_given_up)
    for account, count in sorted(given_up.items()):
        yield Finding(
            False,
            _GIVEN_UP.format(count),
            "Accept or refuse them by hand in the marketplace's back office.",
            account,
            kind="lines given up",
            page=WAITING_PAGE,
        )
    if not given_up:
        yield Finding(True, _GIVEN_UP.format("no"))
    # What has run out already stays so, and would hide what runs out next.
    late = Counter(
        each.line.account
        for each in found
        if each.runs_out_before_next_pass and each.deadline is not None and each.deadline > now
    )
    for account, count in sorted(late.items()):
        yield Finding(
            False,
            f"{count} waiting orderlines run out before the next pass of `new` has answered them",
            "Run `orders-sync sync --type new`, or answer them in the marketplace's back office.",
            account,
            kind="lines that run out",
            page=WAITING_PAGE,
        )


_GIVEN_UP = f"{{}} orderlines could not be accepted, or refused, in {MAX_REQUESTS} requests"


def examine_rate_limits() -> Iterator[Finding]:
    """Marketplaces that have blocked an account, or answered with 429."""
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
            kind=f"429 {account}",
            level=Level.WARNING,
        )
    if not blocked and not limited:
        yield Finding(True, "no marketplace answered a request of the last day with 429 (too many requests)")
