"""The acceptance clock: how long each waiting orderline may still wait, and what becomes of it until then."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from orders_sync.config.acceptance import RefuseAfter, in_hours
from orders_sync.config.account import AccountSettings, SellerAccount
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.database.engine import Connection
from orders_sync.lanes.authority import current_authority
from orders_sync.lanes.pauses import pause_of
from orders_sync.marketplaces.kit.adapter import AcceptanceUnit
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.model.lane import SyncType
from orders_sync.passes.acceptance_plan import PlannedRequest, Rules, planned_requests, rules_of
from orders_sync.passes.waiting_lines import MAX_REQUESTS, WaitingLine, waiting_lines
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import has_stock_list

PASS_LENGTH = timedelta(minutes=15)
"""How long after its tick a pass has answered a line at the latest: a deadline within that time comes before the pass.

A pass of `new` takes seconds. It may wait for its lane, for the limit of its account, or for its marketplace."""

MAX_FURTHER_PASSES = 4
"""So many passes before deadlines are requested for an account within 24 hours: some ten API calls."""


class Outlook(NamedTuple):
    """What becomes of a waiting line."""

    line: WaitingLine
    deadline: datetime | None
    """When the marketplace's time runs out, by the account's `acceptance_deadline`; None: not set."""
    warned_from: datetime | None
    """From when on too little of that time is left: a quarter of it."""
    answered_from: datetime | None
    """From when on a pass of `new` accepts or refuses it as things are now; None: no pass does."""
    next_step: str
    """What happens next, in words."""
    next_pass: datetime
    """When the schedules request the next pass of `new` for its account."""
    pass_after: datetime
    """When they request the pass after that one."""

    def hours_left(self, now: datetime) -> float | None:
        """The hours until the deadline, negative after it; None if none is set."""
        return None if self.deadline is None else in_hours(self.deadline - now)

    @property
    def runs_out_before_next_pass(self) -> bool:
        """Whether the deadline comes before the next pass could have answered the line."""
        return self._runs_out_before(self.next_pass)

    @property
    def runs_out_before_pass_after(self) -> bool:
        """Whether only the next pass can still answer the line, or none can."""
        return self._runs_out_before(self.pass_after)

    def _runs_out_before(self, pass_at: datetime) -> bool:
        return self.deadline is not None and self.deadline <= pass_at + PASS_LENGTH


UNUSABLE = "the account's file has an error, so that no pass answers it: run `orders-sync doctor`"
"""The next step of a line whose account can't be used."""


def outlooks(
    stock: StockConnection,
    accounts: Mapping[str, SellerAccount],
    now: datetime,
    schedules: ScheduleSettings,
    unusable: Collection[str] = (),
) -> list[Outlook]:
    """The waiting lines of these accounts with what becomes of them, those that run out first.

    `schedules`: those in force.
    `unusable`: the names of accounts whose file has an error. Their lines come first: nothing is known of their time.
    """
    lines = waiting_lines(stock, sorted(unusable)) if unusable else []
    coming = schedules.next_passes_of_new(now, 2)
    unanswerable = [Outlook(line, None, None, None, UNUSABLE, *coming) for line in lines]
    return [*unanswerable, *_outlooks(stock, accounts, now, schedules)]


def _outlooks(
    stock: StockConnection, accounts: Mapping[str, SellerAccount], now: datetime, schedules: ScheduleSettings
) -> list[Outlook]:
    has_list = has_stock_list(stock)
    no_passes = {name: _why_no_pass(stock.connection, account) for name, account in accounts.items()}
    coming = {
        name: schedules.for_account(account.settings.schedules).next_passes_of_new(now, 2)
        for name, account in accounts.items()
    }
    rules = {name: rules_of(account.settings, has_stock_list=has_list) for name, account in accounts.items()}
    found: list[Outlook] = []
    for (name, _), group in groupby(waiting_lines(stock, sorted(accounts)), lambda line: (line.account, line.order_id)):
        order = _Order(accounts[name].settings, rules[name], has_list, list(group))
        request_of = order.requests_by_item()
        for line in order.lines:
            step, answered_from = no_passes[name], None
            if not step:
                step, answered_from = _next_step(line, request_of.get(line.item_id), order, now)
            limit = order.settings.acceptance_deadline
            deadline = None if limit is None else line.waits_since + limit
            warned_from = None if limit is None or deadline is None else deadline - limit / 4
            found.append(Outlook(line, deadline, warned_from, answered_from, step, *coming[name]))
    return sorted(found, key=lambda each: (each.deadline is None, each.deadline or each.line.waits_since))


def _why_no_pass(connection: Connection, account: SellerAccount) -> str:
    """Why no pass of `new` is going to answer any line of an account; empty if passes do."""
    if not current_authority(connection).is_live(account.name):
        return "V1 answers it until V2 is live"
    if not account.has_on(SyncType.NEW):
        return "the sync `new` is switched off in the account's file, so that no pass answers it"
    pause = pause_of(connection, account, SyncType.NEW)
    return "" if pause is None else f"no pass answers it: {pause}"


def next_passes(found: Sequence[Outlook]) -> dict[datetime, list[str]]:
    """When the next passes of `new` come that can answer these lines, in time order, and of which accounts."""
    coming: dict[datetime, list[str]] = {}
    for at, account in sorted({(each.next_pass, each.line.account) for each in found}):
        coming.setdefault(at, []).append(account)
    return coming


def runs_out_unanswered(outlook: Outlook, now: datetime) -> bool:
    """Whether a pass could answer the line now, and its deadline comes before the next pass does."""
    is_answerable = outlook.answered_from is not None and outlook.answered_from <= now
    is_in_time = outlook.deadline is not None and outlook.deadline > now
    return is_answerable and is_in_time and outlook.runs_out_before_next_pass


class _Order(NamedTuple):
    """The waiting lines of an order, and what decides about them."""

    settings: AccountSettings
    rules: Rules
    has_stock_list: bool
    lines: Sequence[WaitingLine]

    def requests_by_item(self) -> dict[str, PlannedRequest]:
        """The request that passes are going to send about each item; none for one that they don't answer."""
        if not self.settings.accept_orderlines:
            return {}
        requests = planned_requests(self.lines, self.rules)
        return {line.item_id: request for request in requests for line in (*request.accepted, *request.refused)}

    def has_given_up_with(self, line: WaitingLine) -> bool:
        """Whether a line that is accepted with this one only is given up."""
        unit = self.rules.acceptance_unit
        return unit is not None and any(
            other.is_given_up and other.target(unit) == line.target(unit) for other in self.lines
        )


def _next_step(
    line: WaitingLine, request: PlannedRequest | None, order: _Order, now: datetime
) -> tuple[str, datetime | None]:
    """What happens next, in words, and from when on; None if no pass answers the line as things are now."""
    if request is None or request.is_given_up:
        return _why_unanswered(line, order), None
    if request.due is None:
        return "the next pass accepts it", now
    start = f"the first pass from {request.due.astimezone(UTC):%Y-%m-%d %H:%M} UTC on"
    if line in request.refused:
        return f"{start} refuses it, if it is still short", request.due
    return f"{start} accepts it and refuses the others of its order, if they are still short", request.due


def _why_unanswered(line: WaitingLine, order: _Order) -> str:
    """Why no pass answers a line as things are now."""
    marketplace = find_marketplace(order.settings.marketplace)
    if not order.settings.accept_orderlines:
        return "the account does not accept lines: a person has to answer it in the back office"
    if line.is_rejected:
        return "the newest version of its order is rejected: see `orders-sync rejected`"
    if order.rules.acceptance_unit is None:
        return f"{marketplace.title} has no acceptance: a person has to answer it in the back office"
    if line.is_given_up:
        return f"sent {MAX_REQUESTS} times in vain: a person has to answer it in the back office"
    if order.has_given_up_with(line):
        return (
            f"is accepted with a line that was sent {MAX_REQUESTS} times in vain: a person has to answer both in the "
            "back office"
        )
    waits = _waits(line, order.rules.acceptance_unit)
    if not isinstance(order.settings.when_short, RefuseAfter):
        return waits
    if not order.has_stock_list:
        return "waits: no stock list was imported, so it is not refused"
    if order.rules.refusal_unit is None:
        return f"{waits}; {marketplace.title} has no refusal"
    if line.held_back is not None:
        return f"{waits}; held back from refusal: {line.held_back}"
    return waits + _why_not_refused(line, order.lines, order.rules.refusal_unit)


def _why_not_refused(line: WaitingLine, lines: Sequence[WaitingLine], unit: AcceptanceUnit) -> str:
    """What keeps a refusal from being sent, where the contract has none for a part of its lines; empty: nothing."""
    with_it = [other for other in lines if other.target(unit) == line.target(unit)]
    if unit == "order" or len({other.is_short for other in with_it}) == 1:
        return ""
    if line.is_short:
        return "; can't be refused without the other line of its SKU, which has stock"
    return "; the others of its SKU can't be refused without it"


def _waits(line: WaitingLine, unit: AcceptanceUnit) -> str:
    if not line.is_short:
        return f"waits for the stock of the others of its {'order' if unit == 'order' else 'SKU'}"
    if line.short_since is None:
        return "has no lock that waits for stock, e.g. since a person released it: see `orders-sync stock explain`"
    return f"waits for stock: {line.why_short}"
