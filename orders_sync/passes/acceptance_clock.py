"""The acceptance clock: how long each waiting orderline may still wait, and what becomes of it until then."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from orders_sync.config.acceptance import RefuseAfter, in_hours, when_short_in_force
from orders_sync.config.account import SellerAccount
from orders_sync.lanes.authority import current_authority
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.passes.acceptance import MAX_REQUESTS
from orders_sync.passes.acceptance_requests import EarlierRequest, stuck_requests
from orders_sync.passes.waiting_lines import WaitingLine, waiting_lines
from orders_sync.stock.connection import StockConnection
from orders_sync.stock.queries import has_stock_list

PASS_LENGTH = timedelta(minutes=15)
"""How long a pass may take until it has answered a line: a deadline so soon after a tick counts as before it."""


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

    def hours_left(self, now: datetime) -> float | None:
        """The hours until the deadline, negative after it; None if none is set."""
        return None if self.deadline is None else in_hours(self.deadline - now)

    def runs_out_before(self, pass_at: datetime) -> bool:
        """Whether the deadline comes before a pass that starts at this moment could have answered the line."""
        return self.deadline is not None and self.deadline <= pass_at + PASS_LENGTH


UNUSABLE = "the account's file has an error, so that no pass answers it: run `orders-sync doctor`"
"""The next step of a line whose account can't be used."""


def outlooks(
    stock: StockConnection, accounts: Mapping[str, SellerAccount], now: datetime, unusable: Collection[str] = ()
) -> list[Outlook]:
    """The waiting lines of these accounts with what becomes of them, those that run out first.

    `unusable`: the names of accounts whose file has an error. Their lines come first: nothing is known of their time.
    """
    return [*_unanswerable(stock, unusable), *_outlooks(stock, accounts, now)]


def _unanswerable(stock: StockConnection, unusable: Collection[str]) -> list[Outlook]:
    lines = waiting_lines(stock, sorted(unusable)) if unusable else []
    return [Outlook(line, None, None, None, UNUSABLE) for line in lines]


def _outlooks(stock: StockConnection, accounts: Mapping[str, SellerAccount], now: datetime) -> list[Outlook]:
    lines = waiting_lines(stock, sorted(accounts))
    has_list = has_stock_list(stock)
    stuck = stuck_requests(stock.connection, sorted(accounts), MAX_REQUESTS)
    v2_accepts = current_authority(stock.connection).may_accept_orderlines
    by_order: dict[tuple[str, str], list[WaitingLine]] = {}
    for line in lines:
        by_order.setdefault((line.account, line.order_id), []).append(line)
    found: list[Outlook] = []
    for line in lines:
        settings = accounts[line.account].settings
        rules = _Rules(
            accounts[line.account], has_list, stuck.get(line.account, ()), by_order[line.account, line.order_id]
        )
        limit = settings.acceptance_deadline
        step, answered_from = _next_step(line, rules, now) if v2_accepts else ("V1 answers it until V2 is live", None)
        deadline = None if limit is None else line.waits_since + limit
        warned_from = None if limit is None or deadline is None else deadline - limit / 4
        found.append(Outlook(line, deadline, warned_from, answered_from, step))
    return sorted(found, key=lambda each: (each.deadline is None, each.deadline or each.line.waits_since))


def runs_out_unanswered(outlook: Outlook, now: datetime, next_pass: datetime) -> bool:
    """Whether a pass could answer the line now, and its deadline comes before the next pass does."""
    is_answerable = outlook.answered_from is not None and outlook.answered_from <= now
    is_in_time = outlook.deadline is not None and outlook.deadline > now
    return is_answerable and is_in_time and outlook.runs_out_before(next_pass)


class _Rules(NamedTuple):
    """What decides about a line, besides the line."""

    account: SellerAccount
    has_stock_list: bool
    stuck: Sequence[EarlierRequest]
    """The requests of the account that were sent MAX_REQUESTS times."""
    order: Sequence[WaitingLine]
    """All waiting lines of its order."""


def _next_step(line: WaitingLine, rules: _Rules, now: datetime) -> tuple[str, datetime | None]:
    settings = rules.account.settings
    if not settings.accept_orderlines:
        return "the account does not accept lines: a person has to answer it in the back office", None
    if line.is_rejected:
        return "the newest version of its order is rejected: see `orders-sync rejected`", None
    if any(request.covers(line.order_id, line.sku, line.item_id) for request in rules.stuck):
        return f"sent {MAX_REQUESTS} times in vain: a person has to answer it in the back office", None
    when_short = when_short_in_force(settings.when_short, has_stock_list=rules.has_stock_list)
    marketplace = find_marketplace(settings.marketplace)
    whole_orders = marketplace.accepts_whole_orders(settings)
    alone = marketplace.refusal_unit == "item" and not whole_orders
    together = [line] if alone else [other for other in rules.order if whole_orders or other.sku == line.sku]
    if when_short == "accept" or not any(other.is_short for other in together):
        return "the next pass accepts it", now
    if not isinstance(settings.when_short, RefuseAfter):
        return _waits(line), None
    after = settings.when_short.refuse_after
    if not isinstance(when_short, RefuseAfter):
        return "waits: no stock list was imported, so it is not refused", None
    if marketplace.refusal_unit is None:
        return f"{_waits(line)}; {marketplace.title} has no refusal", None
    return _refusal_step(line, together, after, decides_each=marketplace.refusal_unit != "sku")


def _refusal_step(
    line: WaitingLine, together: Sequence[WaitingLine], after: timedelta, *, decides_each: bool
) -> tuple[str, datetime | None]:
    if line.held_back is not None:
        return f"{_waits(line)}; held back from refusal: {line.held_back}", None
    same_sku = [other for other in together if other.sku == line.sku]
    if not decides_each and not all(other.is_short for other in same_sku):
        return f"{_waits(line)}; can't be refused without the other line of its SKU, which has stock", None
    moments = [other.refused_from(after) for other in together if other.is_short]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(moments):
        return _waits(line), None
    start = f"from {max(known).astimezone(UTC):%Y-%m-%d %H:%M} UTC on"
    if line.is_short:
        return f"the first pass {start} refuses it, if it is still short", max(known)
    return f"the first pass {start} accepts it and refuses the others of its order, if they are still short", max(known)


def _waits(line: WaitingLine) -> str:
    if not line.is_short:
        return "waits for the stock of the others of its order"
    if line.short_since is None:
        return "has no lock that waits for stock, e.g. since a person released it: see `orders-sync stock explain`"
    return f"waits for stock: {line.why_short}"
