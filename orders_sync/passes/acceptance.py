"""Acceptance and refusal of orderlines that wait for the merchant: the only writes to a marketplace.

They follow the commit and never precede it. Every request is stored as a row before it is sent, and its answer is
stored in that row. A line is decided only while it still waits: as the pass itself has just seen, or, if an earlier
request was refused or its answer was lost, as the order shows when it is fetched anew. A request that the
marketplace certainly did not process is `failed`, and counts as none.

Where stock decides, the locks are looked at again in the transaction that stores the request, while nobody else changes
stock: pieces may have been taken back, or have come, since the pass made its list. Nothing can hold them while the
request is under way; if they are taken back in that time, the pass reports it.

What is requested, and from when on, is the rule of `acceptance_plan`, which the acceptance clock shares. A line is
refused only where the account's `when_short` says so, and only if it is still short after all others were accepted.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from orders_sync.config.acceptance import RefuseAfter, in_hours
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, RawRecord
from orders_sync.marketplaces.kit.errors import (
    OF_ONE_RECORD,
    AnswerLostError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.model.pass_summary import PassSummary
from orders_sync.model.shown_ids import shown_id
from orders_sync.passes.acceptance_plan import PlannedRequest, Rules, planned_requests
from orders_sync.passes.acceptance_requests import (
    DecidedLines,
    Decision,
    EarlierRequest,
    RequestState,
    earlier_requests,
    settle_earlier,
    store_answer,
    store_request,
    unanswered_orders,
)
from orders_sync.passes.waiting_lines import MAX_REQUESTS, WaitingLine, waiting_lines
from orders_sync.stock.apply_events import has_news, lock_orders
from orders_sync.stock.connection import StockConnection
from orders_sync.sync.merge_pages import merge_batch, open_merger
from orders_sync.sync.put_off import fetch_order
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

_WORDS: dict[Decision, tuple[str, str]] = {"accept": ("acceptance", "accepted"), "refuse": ("refusal", "refused")}

_PENDING_ORDERS = "SELECT order_id FROM orders WHERE account = %s AND status = 'pending'"


@dataclass(frozen=True)
class AcceptanceOutcome:
    """What became of the lines of one target."""

    target: AcceptanceTarget
    state: RequestState | Literal["left", "changed", "given up"]
    """`refused` by the marketplace; `failed` certainly not done; `lost` without answer; `left` the waiting state since
    an earlier request, or since the pass listed it; `changed` in stock since then, or not to be decided; `given up`
    after MAX_REQUESTS."""
    order: RawRecord | None = None
    """The order as it is now, if the marketplace answered with it."""
    problem: str | None = None
    """What went wrong, in one line."""

    def summary(self) -> PassSummary:
        """What the request adds to the summary of its pass."""
        return PassSummary(
            accepted=int(self.state == "accepted"),
            refusals=int(self.state == "done"),
            refused=int(self.state == "refused"),
            problems=[] if self.problem is None else [self.problem],
        )


def orders_to_accept(pass_: RunningPass, waiting: Sequence[str]) -> list[str]:
    """The ids of the orders that wait, and of those with a request whose answer was lost.

    If such a request was done, the order's lines no longer wait, and it is not among those that wait. `waiting`: the
    orders that were listed because they wait. Where the sync needs no such list, they are those that are stored.
    """
    account = pass_.lane.account
    found = unanswered_orders(pass_.connection, account)
    if "waiting" not in pass_.adapter.new_order_listings:
        found += [order_id for (order_id,) in pass_.connection.execute(_PENDING_ORDERS, [account])]
    return sorted({*waiting, *found})


def decide_lines(
    pass_: RunningPass, order_ids: Sequence[str], rules: Rules, oversell: frozenset[str]
) -> Iterator[AcceptanceOutcome]:
    """Accepts the lines of these orders that wait, then refuses those for which the rules say so.

    At last it accepts what waited for lines that it has refused. Each step of the iterator sends one request at most. A
    line that is refused does not stop the others. Call this with the authority to act outside. Afterwards, hand the
    outcomes to `store_decided_orders`. `oversell`: the accounts that may lock stock below zero.

    Raises MarketplaceError if the marketplace answers a request with anything but an acceptance or a refusal.
    """
    if rules.when_short != "accept":
        # All at once, so that the oldest order gets its pieces first.
        lock_orders(StockConnection(pass_.connection), pass_.lane.account, order_ids, oversell)
    planned = _planned(pass_, order_ids, rules)
    for request in planned:
        if request.due is None:
            yield _decide_one(pass_, request, rules, oversell)
    still_waiting: set[str] = set()
    for request in planned:
        if request.refused and request.is_due(pass_.adapter.now()):
            outcome = _decide_one(pass_, request, rules, oversell)
            if outcome.state not in ("done", "left"):
                still_waiting.add(request.target.order_id)
            yield outcome
    for request in planned:
        due = request.follows_refusals and request.is_due(pass_.adapter.now())
        if due and request.target.order_id not in still_waiting:
            yield _decide_one(pass_, request, rules, oversell)


def store_decided_orders(pass_: RunningPass, outcomes: Sequence[AcceptanceOutcome]) -> None:
    """Stores the orders as they are after the requests: from the answers, or fetched where these lack them."""
    records = [outcome.order for outcome in outcomes if outcome.order is not None]
    records += _orders_missing_in_answers(pass_, outcomes)
    if records:
        with open_merger(pass_) as merger:
            merge_batch(pass_, merger, records)


def _planned(pass_: RunningPass, order_ids: Sequence[str], rules: Rules) -> list[PlannedRequest]:
    """What is to be requested about the lines of these orders, by order."""
    lines = waiting_lines(StockConnection(pass_.connection), [pass_.lane.account], order_ids)
    orders = groupby(lines, lambda line: line.order_id)
    return [request for _, group in orders for request in planned_requests(list(group), rules)]


def _decide_one(
    pass_: RunningPass, request: PlannedRequest, rules: Rules, oversell: frozenset[str]
) -> AcceptanceOutcome:
    """One request, unless the lines left the waiting state, their stock changed, or too many requests were sent."""
    connection, account, target = pass_.connection, pass_.lane.account, request.target
    earlier = earlier_requests(connection, account, target)
    if earlier and (outcome := _after_earlier(pass_, target, earlier)) is not None:
        return outcome
    stock = StockConnection(connection)
    with connection.transaction() if rules.when_short == "accept" else stock.changing():
        if rules.when_short != "accept" and has_news(stock, account, target.order_id):
            lock_orders(stock, account, [target.order_id], oversell)
        current = _still_planned(pass_, request, rules)
        if current is None:
            return AcceptanceOutcome(target, "changed" if _lines_of(pass_, target) else "left")
        if current.is_given_up:
            return _given_up(current)
        decided = _decided(current, rules)
        acceptance_id = store_request(connection, account, decided)
    outcome = _send(pass_, decided, acceptance_id)
    if outcome.state == "done" and rules.after_refusal is not None:
        return replace(outcome, problem=f"{target}: refused; {rules.after_refusal}")
    may_be_accepted = outcome.state in ("accepted", "done", "lost") and rules.when_short != "accept"
    if may_be_accepted and any(line.is_short and line.item_id in decided.accepted for line in _lines_of(pass_, target)):
        lost = f"{target}: its pieces were taken back while its acceptance was under way; the lines are short now"
        outcome = replace(outcome, problem="; ".join(filter(None, [outcome.problem, lost])))
    return outcome


def _still_planned(pass_: RunningPass, request: PlannedRequest, rules: Rules) -> PlannedRequest | None:
    """The request as the lines are now; None if it is no longer due, or must wait for refusals."""
    for current in _planned(pass_, [request.target.order_id], rules):
        is_same = (current.target, current.decision) == (request.target, request.decision)
        if is_same and not current.follows_refusals and current.is_due(pass_.adapter.now()):
            return current
    return None


def _lines_of(pass_: RunningPass, target: AcceptanceTarget) -> list[WaitingLine]:
    """The lines of a target that wait; none of an order whose newest version is rejected."""
    lines = waiting_lines(StockConnection(pass_.connection), [pass_.lane.account], [target.order_id])
    return [line for line in lines if not line.is_rejected and line.is_of(target)]


def _decided(request: PlannedRequest, rules: Rules) -> DecidedLines:
    accepted, refused = ([line.item_id for line in lines] for lines in (request.accepted, request.refused))
    if not isinstance(rules.when_short, RefuseAfter) or not refused:
        return DecidedLines(request.target, accepted)
    reason = f"still short {in_hours(rules.when_short.refuse_after):g} h after the payment: " + "; ".join(
        sorted({f"SKU {line.sku}: {line.why_short}" for line in request.refused})
    )
    return DecidedLines(request.target, accepted, refused, reason)


def _given_up(request: PlannedRequest) -> AcceptanceOutcome:
    by_hand = "accept it" if request.decision == "accept" else "accept or refuse it"
    problem = (
        f"{request.target}: still waits after {MAX_REQUESTS} requests, so no more are sent; "
        f"{by_hand} by hand in the marketplace's back office"
    )
    return AcceptanceOutcome(request.target, "given up", problem=problem)


def _send(pass_: RunningPass, decided: DecidedLines, acceptance_id: int) -> AcceptanceOutcome:
    """Sends a request that is stored, and stores its answer."""
    connection, (target, accepted, refused, _) = pass_.connection, decided
    noun, participle = _WORDS[decided.decision]
    try:
        adapter = pass_.adapter
        answer = adapter.refuse(target, refused, accepted) if refused else adapter.accept(target, accepted)
    except AnswerLostError as error:
        store_answer(connection, acceptance_id, "lost", None, str(error))
        return AcceptanceOutcome(target, "lost", problem=f"{target}: {noun} without answer: {error}")
    except RequestRefusedError as error:
        store_answer(connection, acceptance_id, "refused", error.status, str(error))
        return AcceptanceOutcome(target, "refused", problem=f"{target}: {noun} refused: {error}")
    except MarketplaceUnavailableError as error:
        # Certainly not done (429, or no connection at all): the next pass sends it as if this one had not been.
        store_answer(connection, acceptance_id, "failed", None, str(error))
        return AcceptanceOutcome(target, "failed", problem=f"{target}: not {participle}: {error}")
    except MarketplaceError as error:
        store_answer(connection, acceptance_id, "lost", None, str(error))
        raise
    state: RequestState = "done" if refused else "accepted"
    store_answer(connection, acceptance_id, state, answer.status, state)
    log.info("%s: %s of %s %s", pass_.lane, noun, target, state)
    return AcceptanceOutcome(target, state, answer.order)


def _after_earlier(
    pass_: RunningPass, target: AcceptanceTarget, earlier: Sequence[EarlierRequest]
) -> AcceptanceOutcome | None:
    """Fetches and stores the order anew, since earlier requests may have been done; None: it still waits."""
    try:
        problem = None
        order = fetch_order(pass_.adapter, target.order_id)
        if order is not None:
            with open_merger(pass_) as merger:
                problem = next((found.one_line() for found in merge_batch(pass_, merger, [order]).rejected), None)
    except OF_ONE_RECORD as error:
        if error.concerns_all_calls:
            raise
        order, problem = None, str(error)
    if problem is not None:
        problem = f"{target}: not accepted, since the order could not be read anew: {problem}"
        return AcceptanceOutcome(target, "failed", problem=problem)
    if order is None or not _lines_of(pass_, target):
        settle_earlier(pass_.connection, pass_.lane.account, earlier)
        return AcceptanceOutcome(target, "left")
    return None


def _orders_missing_in_answers(pass_: RunningPass, outcomes: Sequence[AcceptanceOutcome]) -> list[RawRecord]:
    """Orders whose decision was not answered with the order: fetched, so that their new status is stored now."""
    last_decided = {outcome.target.order_id: outcome for outcome in outcomes if outcome.state in ("accepted", "done")}
    fetched: list[RawRecord] = []
    for order_id in (order_id for order_id, last in last_decided.items() if last.order is None):
        try:
            order = fetch_order(pass_.adapter, order_id)
        except OF_ONE_RECORD as error:
            # It is decided: `modified` will bring its new status.
            pass_.add(
                PassSummary(problems=[f"order {shown_id(order_id)}: decided, but could not be fetched anew: {error}"])
            )
            continue
        fetched += [order] if order is not None else []
    return fetched
