"""What passes request about the waiting lines of an order, and when: the rule that the pass and the clock share."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from orders_sync.config.acceptance import RefuseAfter, when_short_in_force
from orders_sync.config.account import AccountSettings
from orders_sync.marketplaces.kit.adapter import AcceptanceTarget, AcceptanceUnit
from orders_sync.marketplaces.kit.registry import find_marketplace
from orders_sync.passes.acceptance_requests import Decision
from orders_sync.passes.waiting_lines import WaitingLine


class Rules(NamedTuple):
    """What the passes of an account may decide."""

    when_short: Literal["wait", "accept"] | RefuseAfter
    """What becomes of lines whose stock can't be locked."""
    acceptance_unit: AcceptanceUnit | None
    """What one request accepts; None: the marketplace has no acceptance, and nothing is decided."""
    refusal_unit: AcceptanceUnit | None
    """What one refusal is about; None if the marketplace has none."""
    after_refusal: str | None
    """What a person has to do after a refusal; None: nothing."""


class PlannedRequest(NamedTuple):
    """A request about lines of an order, which a pass sends if they stay as they are."""

    target: AcceptanceTarget
    accepted: Sequence[WaitingLine]
    refused: Sequence[WaitingLine]
    due: datetime | None
    """From when on a pass sends it; None: at once."""

    @property
    def decision(self) -> Decision:
        """What the request is about."""
        return "refuse" if self.refused else "accept"

    @property
    def follows_refusals(self) -> bool:
        """Whether it accepts what waits for others: a pass sends it once these no longer wait."""
        return not self.refused and self.due is not None

    @property
    def is_given_up(self) -> bool:
        """Whether it is not sent, since so many requests about one of its lines were in vain."""
        return any(line.is_given_up for line in (*self.accepted, *self.refused))

    def is_due(self, now: datetime) -> bool:
        """Whether a pass sends it at this moment."""
        return self.due is None or self.due <= now


def rules_of(settings: AccountSettings, *, has_stock_list: bool) -> Rules:
    """What counts for an account with these settings. `has_stock_list`: whether a stock list was ever imported."""
    marketplace = find_marketplace(settings.marketplace)
    return Rules(
        when_short_in_force(settings.when_short, has_stock_list=has_stock_list),
        marketplace.acceptance_unit(settings),
        marketplace.refusal_unit,
        marketplace.after_refusal,
    )


def planned_requests(lines: Sequence[WaitingLine], rules: Rules) -> list[PlannedRequest]:
    """What passes request about the lines of one order as they are now: acceptances, refusals, what these free.

    `lines`: all lines of the order that wait, as `waiting_lines` sorts them. Each is in one request at most. None is
    about a line whose order's newest version is rejected.
    """
    usable = [line for line in lines if not line.is_rejected]
    if rules.acceptance_unit is None:
        return []
    accepting = _by_target(usable, rules.acceptance_unit)
    ready = {
        target: group
        for target, group in accepting.items()
        if rules.when_short == "accept" or not any(line.is_short for line in group)
    }
    acceptances = [PlannedRequest(target, group, (), None) for target, group in ready.items()]
    if not isinstance(rules.when_short, RefuseAfter) or rules.refusal_unit is None:
        return acceptances
    accepted = [line for group in ready.values() for line in group]
    refusals = [
        PlannedRequest(target, [line for line in group if not line.is_short and line not in accepted], short, moment)
        for target, group in _by_target(usable, rules.refusal_unit).items()
        if (short := [line for line in group if line.is_short])
        and (moment := _refusal_moment(group, rules.refusal_unit, rules.when_short.refuse_after)) is not None
    ]
    blocked = {target: group for target, group in accepting.items() if target not in ready}
    freed = [_freed(target, group, refusals) for target, group in blocked.items()]
    return [*acceptances, *refusals, *(request for request in freed if request is not None)]


def _by_target(lines: Sequence[WaitingLine], unit: AcceptanceUnit) -> dict[AcceptanceTarget, list[WaitingLine]]:
    return {target: list(group) for target, group in groupby(lines, lambda line: line.target(unit))}


def _refusal_moment(lines: Sequence[WaitingLine], unit: AcceptanceUnit, refuse_after: timedelta) -> datetime | None:
    """From when on one request refuses those of these lines that are short, if they still are; None: no pass does.

    `lines`: all waiting lines of its target, of which at least one is short. A request about an order accepts those
    with stock; any other refuses all lines of its target, so that it is not sent while one of them has stock.
    """
    short = [line for line in lines if line.is_short]
    moments = [moment for line in short if (moment := line.refused_from(refuse_after)) is not None]
    if len(moments) < len(short) or (len(short) < len(lines) and unit != "order"):
        return None
    return max(moments)


def _freed(
    target: AcceptanceTarget, lines: Sequence[WaitingLine], refusals: Sequence[PlannedRequest]
) -> PlannedRequest | None:
    """The acceptance of what is left of a target once others of its lines are refused; None: nothing is, or can be."""
    freeing = [
        refusal for refusal in refusals if not refusal.is_given_up and any(line in refusal.refused for line in lines)
    ]
    left = [line for line in lines if not any(line in (*each.refused, *each.accepted) for each in freeing)]
    moments = [refusal.due for refusal in freeing if refusal.due is not None]
    if not left or not moments or any(line.is_short for line in left):
        return None
    return PlannedRequest(target, left, (), max(moments))
