"""The pages of subscriptions: who gets order events, how far each is, and what a person can do about it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.config.bounds import ROW_ID
from orders_sync.config.pages import STOCK_PAGE, SUBSCRIPTION_PAGE, SUBSCRIPTIONS_PAGE
from orders_sync.config.subscriptions import STOCK, SubscriptionSettings, load_subscriptions
from orders_sync.database.engine import Connection
from orders_sync.lanes.history import accounts_with_lanes
from orders_sync.marketplaces.kit.accounts import account_names
from orders_sync.model.texts import InputError, shown
from orders_sync.model.times import ALLOWED_PAST, why_out_of_range
from orders_sync.stock.queries import stock_position
from orders_sync.subscriptions import by_hand
from orders_sync.subscriptions.by_hand import Delivery
from orders_sync.subscriptions.deliveries import Position, State, position_of, positions
from orders_sync.subscriptions.matching import matching_text
from orders_sync.web.pages.connections import PAGE_SECONDS, page_connection, page_stock_reader
from orders_sync.web.pages.frame import Frame, text_of
from orders_sync.web.pages.rendering import url

MAX_SHOWN = 50
"""So many events of a list are shown at once."""
DoneToSubscription = Callable[[Connection, str, Mapping[str, str], By], int | None]
"""What a form does with a subscription: gets its name and the fields; returns how many events it is about, if several
may be."""
_HELD_UP = {
    State.PAUSED: "the subscription is paused",
    State.FILLING: "the subscription is being filled",
    State.RESTS: "the receiver rests",
}


class ShownSubscription(NamedTuple):
    """A subscription as the pages show it."""

    position: Position
    gets: str
    """Which events it gets."""
    consumer: str
    """''; where it has no file that can be used."""
    has_file: bool
    state: State
    is_late: bool
    """Whether an event waits for longer than its file allows."""


class SubscriptionPages:
    """The pages of subscriptions, and their forms."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages."""
        forms = {
            "pause": self.pause, "resume": self.resume, "skip": self.skip, "replay": self.replay, "remove": self.remove,
        }  # fmt: skip
        return [
            Route(SUBSCRIPTIONS_PAGE, self.subscriptions),
            Route(SUBSCRIPTION_PAGE, self.subscription),
            *(Route(f"{SUBSCRIPTION_PAGE}/{verb}", form, methods=["POST"]) for verb, form in forms.items()),
        ]

    def subscriptions(self, request: Request) -> Response:
        """All subscriptions, with that of the stock job, and the files that can't be used."""
        usable, problems = load_subscriptions()
        now = datetime.now(UTC)
        with page_stock_reader() as stock:
            of_stock, found = stock_position(stock), positions(stock.connection)
        known = {each.subscription for each in found}
        return self._frame.page(
            request, "subscriptions.html", of_stock=of_stock, problems=problems.values(),
            found=[_shown(each, usable, has_file=each.subscription in problems, now=now) for each in found],
            unknown=sorted(usable.keys() - known), is_removed=request.query_params.get("done") == "removed",
        )  # fmt: skip

    def subscription(self, request: Request) -> Response:
        """One subscription: what waits and why, what was given up, and forms."""
        query = request.query_params
        name = text_of(query, "name")
        if not name:
            return RedirectResponse(SUBSCRIPTIONS_PAGE, 303)
        if name == STOCK:
            return RedirectResponse(STOCK_PAGE, 303)
        usable, problems = load_subscriptions()
        now = datetime.now(UTC)
        after = {which: _number(query.get(f"{which}_after", "")) or 0 for which in ("waiting", "given_up")}
        with page_connection() as connection:
            position = position_of(connection, name)
            if position is None:
                return self._frame.message(request, 404, "No such subscription", _not_known(name, usable))
            lists = {
                which: by_hand.deliveries(
                    connection, name, given_up=which == "given_up", limit=MAX_SHOWN + 1, after=number
                )
                for which, number in after.items()
            }
            accounts = sorted({*account_names(), *accounts_with_lanes(connection)})
        return self._frame.page(
            request, "subscription.html", name=name, accounts=accounts, after=after, done=query.get("done"),
            count=_number(query.get("count", "")) or 0, problem=problems.get(name),
            each=_shown(position, usable, has_file=name in problems, now=now),
            waiting=[(one, _why(one, position.state(now), now)) for one in lists["waiting"][:MAX_SHOWN]],
            given_up=lists["given_up"][:MAX_SHOWN],
            has_more={which: len(listed) > MAX_SHOWN for which, listed in lists.items()},
        )  # fmt: skip

    async def pause(self, request: Request) -> Response:
        """Stops the delivery."""
        return await self._answer(request, "paused", _pause)

    async def resume(self, request: Request) -> Response:
        """Delivers again, also to a receiver that rests."""
        return await self._answer(request, "resumed", _resume)

    async def skip(self, request: Request) -> Response:
        """Ends an event that waits, without its delivery."""
        return await self._answer(request, "skipped", _skip)

    async def replay(self, request: Request) -> Response:
        """Delivers events again: those of an order, those since a time, or those that were given up."""
        return await self._answer(request, "replayed", _replay)

    async def remove(self, request: Request) -> Response:
        """Forgets a subscription without a file."""
        return await self._answer(request, "removed", _remove)

    async def _answer(self, request: Request, done: str, act: DoneToSubscription) -> Response:
        async def done_by(form: Mapping[str, str], by: By) -> str:
            name = text_of(form, "name")
            count = await run_in_threadpool(_do, act, name, form, by)
            if done == "removed":
                return url(SUBSCRIPTIONS_PAGE, done=done)
            return url(SUBSCRIPTION_PAGE, name=name, done=done, **({} if count is None else {"count": str(count)}))

        return await self._frame.form_answer(request, done_by)


def _shown(
    position: Position, usable: Mapping[str, SubscriptionSettings], *, has_file: bool, now: datetime
) -> ShownSubscription:
    """`has_file`: whether it has a file that can't be used."""
    settings = usable.get(position.subscription)
    return ShownSubscription(
        position, matching_text(position.kinds, position.accounts, position.statuses),
        settings.consumer if settings is not None else "", has_file or settings is not None, position.state(now),
        position.is_late(settings, now),
    )  # fmt: skip


def _not_known(name: str, usable: Mapping[str, SubscriptionSettings]) -> str:
    if name in usable:
        return f"The orders database does not know the subscription {name} yet; the sensor `subscriptions` tells it."
    return f"There is no subscription {name}."


def _why(delivery: Delivery, state: State, now: datetime) -> str:
    """Why an event waits."""
    if delivery.behind is not None:
        return f"it waits for the event {delivery.behind} of its order"
    due = f"{delivery.due_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    if delivery.is_claimed:
        return f"its consumer has it until {due}" if delivery.due_at > now else "its consumer took too long; due again"
    if state in _HELD_UP:
        return _HELD_UP[state]
    if delivery.due_at > now:
        return f"due again at {due}"
    return "due: its consumer has not asked for it"


def _do(act: DoneToSubscription, name: str, form: Mapping[str, str], by: By) -> int | None:
    try:
        with page_connection() as connection:
            return act(connection, name, form, by)
    except psycopg.errors.QueryCanceled:
        raise InputError(
            f"it takes longer than the {PAGE_SECONDS} s that a page has. `orders-sync subscriptions` does the same, "
            "and takes the time that it needs."
        ) from None


def _pause(connection: Connection, name: str, _: Mapping[str, str], by: By) -> None:
    by_hand.pause(connection, name, by)


def _resume(connection: Connection, name: str, _: Mapping[str, str], by: By) -> None:
    by_hand.resume(connection, name, by)


def _remove(connection: Connection, name: str, _: Mapping[str, str], by: By) -> int:
    return by_hand.remove(connection, name, by)


def _skip(connection: Connection, name: str, form: Mapping[str, str], by: By) -> None:
    event_id = _number(text_of(form, "event"))
    if event_id is None:
        raise InputError("the form does not say which event: open the page again")
    by_hand.skip(connection, name, event_id, by)


def _replay(connection: Connection, name: str, form: Mapping[str, str], by: By) -> int:
    which = form.get("which")
    if which == "order":
        account, order_id = text_of(form, "account"), text_of(form, "order")
        return by_hand.replay_order(connection, name, account, order_id, by)
    if which == "since":
        return by_hand.replay_since(connection, name, _past_time(text_of(form, "since")), by)
    if which == "given_up":
        return by_hand.replay_given_up(connection, name, by)
    raise InputError("the form does not say which events: open the page again")


def _past_time(text: str) -> datetime:
    """A time in UTC that is over. Raises InputError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{shown(text)} is no time; allowed is {ALLOWED_PAST}, e.g. 2026-01-31T14:00") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    problem = why_out_of_range(at, datetime.now(UTC))
    if problem is not None:
        raise InputError(f"{shown(text)} {problem}; allowed is {ALLOWED_PAST}")
    return at.astimezone(UTC)


def _number(text: str) -> int | None:
    """The number of an event, or of events; None if it is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) < len(str(ROW_ID.greatest))
    return int(text) if is_number else None
