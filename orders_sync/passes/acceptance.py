"""Acceptance and refusal of orderlines that wait for the merchant: the only writes to a marketplace.

They follow the commit and never precede it. Every request is stored as a row before it is sent, and its answer is
stored in that row. A line is decided only while it still waits: as the pass itself has just seen, or, if an earlier
request was refused or its answer was lost, as the order shows when it is fetched anew. A request that the
marketplace certainly did not process is `failed`, and counts as none.

Where stock decides, the locks are looked at again in the transaction that stores the request, while nobody else changes
stock: pieces may have been taken back, or have come, since the pass made its list. Nothing can hold them while the
request is under way; if they are taken back in that time, the pass reports it.

A line is refused only where the account asks for it (`when_short`), and only if it is still short after all others
were accepted.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

from orders_sync.config.acceptance import RefuseAfter, in_hours
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, AcceptanceUnit, RawRecord
from orders_sync.marketplaces.kit.errors import (
    OF_ONE_RECORD,
    AnswerLostError,
    MarketplaceError,
    MarketplaceUnavailableError,
    RequestRefusedError,
)
from orders_sync.model.pass_summary import PassSummary
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
from orders_sync.passes.waiting_lines import WaitingLine, waiting_lines
from orders_sync.stock.apply_events import has_news, lock_orders
from orders_sync.stock.connection import StockConnection
from orders_sync.sync.merge_pages import merge_batch, open_merger
from orders_sync.sync.put_off import fetch_order
from orders_sync.sync.running_pass import RunningPass

log = logging.getLogger("orders_sync.sync")

MAX_REQUESTS = 5
"""How many requests that are not `failed` are sent for the same lines, to accept or to refuse them. After that a person
has to decide about them; `orders-sync doctor` counts such lines."""
_WORDS: dict[Decision, tuple[str, str]] = {"accept": ("acceptance", "accepted"), "refuse": ("refusal", "refused")}

_PENDING_ORDERS = "SELECT order_id FROM orders WHERE account = %s AND status = 'pending'"


class Rules(NamedTuple):
    """What a pass may decide."""

    when_short: Literal["wait", "accept"] | RefuseAfter
    """What becomes of lines whose stock can't be locked."""
    refusal_unit: AcceptanceUnit | None
    """What one refusal is about; None if the marketplace has none."""
    after_refusal: str | None
    """What a person has to do after a refusal; None: nothing."""
    oversell: frozenset[str]
    """The accounts that may lock stock below zero."""


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


_Decide = Callable[[AcceptanceTarget, Sequence[WaitingLine]], DecidedLines | None]
"""What is to be requested about the lines of a target as they are now; None: nothing."""


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


def decide_lines(pass_: RunningPass, order_ids: Sequence[str], rules: Rules) -> Iterator[AcceptanceOutcome]:
    """Accepts the lines of these orders that wait, then refuses those for which the rules say so.

    Each step of the iterator sends one request at most. A line that is refused does not stop the others. Call this with
    the authority to act outside. Afterwards, hand the outcomes to `store_decided_orders`.

    Raises MarketplaceError if the marketplace answers a request with anything but an acceptance or a refusal.
    """
    if rules.when_short != "accept":
        # All at once, so that the oldest order gets its pieces first.
        lock_orders(StockConnection(pass_.connection), pass_.lane.account, order_ids, rules.oversell)
    acceptance = pass_.adapter.acceptance_unit
    if acceptance is not None:
        yield from _decide_each(pass_, order_ids, acceptance, rules, _acceptance(rules))
    if isinstance(rules.when_short, RefuseAfter) and rules.refusal_unit is not None:
        yield from _decide_each(
            pass_, order_ids, rules.refusal_unit, rules, _refusal(pass_, rules.refusal_unit, rules.when_short)
        )


def store_decided_orders(pass_: RunningPass, outcomes: Sequence[AcceptanceOutcome]) -> None:
    """Stores the orders as they are after the requests: from the answers, or fetched where these lack them."""
    records = [outcome.order for outcome in outcomes if outcome.order is not None]
    records += _orders_missing_in_answers(pass_, outcomes)
    if records:
        with open_merger(pass_) as merger:
            merge_batch(pass_, merger, records)


def _acceptance(rules: Rules) -> _Decide:
    def decide(target: AcceptanceTarget, lines: Sequence[WaitingLine]) -> DecidedLines | None:
        if rules.when_short != "accept" and any(line.is_short for line in lines):
            return None
        return DecidedLines(target, [line.item_id for line in lines])

    return decide


def _refusal(pass_: RunningPass, unit: AcceptanceUnit, when_short: RefuseAfter) -> _Decide:
    """Refuses the lines whose time has come, and accepts the others with the same request where it must decide all."""
    after = when_short.refuse_after

    def decide(target: AcceptanceTarget, lines: Sequence[WaitingLine]) -> DecidedLines | None:
        now = pass_.adapter.now()
        due = [line for line in lines if (moment := line.refused_from(after)) is not None and moment <= now]
        others = [line for line in lines if line not in due]
        if not due or any(line.is_short for line in others) or (others and unit != "order"):
            return None
        reason = f"still short {in_hours(after):g} h after the payment: " + "; ".join(
            sorted({f"SKU {line.sku}: {line.why_short}" for line in due})
        )
        return DecidedLines(target, [line.item_id for line in others], [line.item_id for line in due], reason)

    return decide


def _decide_each(
    pass_: RunningPass, order_ids: Sequence[str], unit: AcceptanceUnit, rules: Rules, decide: _Decide
) -> Iterator[AcceptanceOutcome]:
    for target, lines in _targets(pass_, order_ids, unit).items():
        if decide(target, lines) is not None:
            yield _decide_one(pass_, target, unit, rules, decide)


def _targets(
    pass_: RunningPass, order_ids: Sequence[str], unit: AcceptanceUnit
) -> dict[AcceptanceTarget, list[WaitingLine]]:
    """The lines that wait, by what one request is about. Orders whose newest version is rejected are left out."""

    def target(line: WaitingLine) -> AcceptanceTarget:
        return AcceptanceTarget(
            line.order_id, line.sku if unit != "order" else "", line.item_id if unit == "item" else ""
        )

    lines = waiting_lines(StockConnection(pass_.connection), [pass_.lane.account], order_ids)
    usable = [line for line in lines if not line.is_rejected]
    return {key: list(group) for key, group in groupby(usable, target)}


def _decide_one(
    pass_: RunningPass, target: AcceptanceTarget, unit: AcceptanceUnit, rules: Rules, decide: _Decide
) -> AcceptanceOutcome:
    """One request, unless the lines left the waiting state, their stock changed, or too many requests were sent."""
    connection, account = pass_.connection, pass_.lane.account
    earlier = earlier_requests(connection, account, target)
    if earlier and (outcome := _after_earlier(pass_, target, unit, earlier)) is not None:
        return outcome
    stock = StockConnection(connection)
    with connection.transaction() if rules.when_short == "accept" else stock.changing():
        if rules.when_short != "accept" and has_news(stock, account, target.order_id):
            lock_orders(stock, account, [target.order_id], rules.oversell)
        lines = _targets(pass_, [target.order_id], unit).get(target)
        decided = decide(target, lines) if lines else None
        if decided is None:
            return AcceptanceOutcome(target, "changed" if lines else "left")
        if sum(request.state != "left" for request in earlier) >= MAX_REQUESTS:
            return _given_up(decided)
        acceptance_id = store_request(connection, account, decided)
    outcome = _send(pass_, decided, acceptance_id)
    if outcome.state == "done" and rules.after_refusal is not None:
        return replace(outcome, problem=f"{target}: refused; {rules.after_refusal}")
    if outcome.state in ("accepted", "done", "lost") and rules.when_short != "accept" and decided.accepted:
        lines = _targets(pass_, [target.order_id], unit).get(target, [])
        if any(line.is_short and line.item_id in decided.accepted for line in lines):
            lost = f"{target}: its pieces were taken back while its acceptance was under way; the lines are short now"
            outcome = replace(outcome, problem="; ".join(filter(None, [outcome.problem, lost])))
    return outcome


def _given_up(decided: DecidedLines) -> AcceptanceOutcome:
    by_hand = "accept it" if decided.decision == "accept" else "accept or refuse it"
    problem = (
        f"{decided.target}: still waits after {MAX_REQUESTS} requests, so no more are sent; "
        f"{by_hand} by hand in the marketplace's back office"
    )
    return AcceptanceOutcome(decided.target, "given up", problem=problem)


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
    pass_: RunningPass, target: AcceptanceTarget, unit: AcceptanceUnit, earlier: Sequence[EarlierRequest]
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
    if order is None or target not in _targets(pass_, [target.order_id], unit):
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
            pass_.add(PassSummary(problems=[f"order {order_id}: decided, but could not be fetched anew: {error}"]))
            continue
        fetched += [order] if order is not None else []
    return fetched
