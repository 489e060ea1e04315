"""The pages that find orders, and show the whole history of one."""

from collections.abc import Mapping
from datetime import date

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.pages import ORDER_PAGE, ORDERS_PAGE
from orders_sync.history.search import MAX_FOUND, RECENT, Query, find_orders
from orders_sync.history.timeline import facts_of, timeline
from orders_sync.lanes.history import accounts_with_lanes
from orders_sync.marketplaces.kit.accounts import account_names, find_account
from orders_sync.model.statuses import Status
from orders_sync.model.times import EARLIEST, LATEST
from orders_sync.subscriptions.deliveries import deliveries_of_order
from orders_sync.web.launches import Launch, Launcher
from orders_sync.web.pages.connections import page_connection, page_stock_reader
from orders_sync.web.pages.frame import Frame, name_of_user, text_of
from orders_sync.web.pages.rendering import url
from orders_sync.web.pages.texts import indented
from orders_sync.web.users import user_of

MAX_EVENTS = 50
"""So many events of an order are shown with their deliveries: the latest ones."""


class OrderPages:
    """The pages about orders."""

    def __init__(self, frame: Frame, launcher: Launcher) -> None:
        self._frame = frame
        self._launcher = launcher

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages."""
        return [
            Route(ORDERS_PAGE, self.search),
            Route(ORDER_PAGE, self.order),
            Route(f"{ORDER_PAGE}/record", self.record),
            Route(f"{ORDER_PAGE}/reread", self.reread, methods=["POST"]),
        ]

    def search(self, request: Request) -> Response:
        """The orders that are found; the only one by an id is opened at once."""
        given = {name: text_of(request.query_params, name) for name in ("text", "account", "status", "first", "last")}
        days = {name: _day(given[name]) for name in ("first", "last")}
        query = Query(given["text"], given["account"], given["status"], **days)
        wrong = _wrong_days(given, query)
        found = []
        with page_connection() as connection:
            names = sorted({*account_names(), *accounts_with_lanes(connection)})
            if not query.is_empty and not wrong:
                found = find_orders(connection, query, names)
        if len(found) == 1 and found[0].order_id == query.text:
            return RedirectResponse(url(ORDER_PAGE, account=found[0].account, order=found[0].order_id), 303)
        return self._frame.page(
            request, "orders.html", given=given, accounts=names, statuses=list(Status), found=found,
            is_searched=not query.is_empty, wrong=wrong, most=MAX_FOUND, recent_days=RECENT.days,
        )  # fmt: skip

    def order(self, request: Request) -> Response:
        """All that is known of an order."""
        account, order_id = (text_of(request.query_params, name) for name in ("account", "order"))
        if not (account and order_id):
            return RedirectResponse(ORDERS_PAGE, 303)
        with page_stock_reader() as stock:
            facts = facts_of(stock, account, order_id)
            entries = timeline(stock, account, order_id)
            deliveries = deliveries_of_order(stock.connection, account, order_id, MAX_EVENTS)
        if facts is None and not entries:
            text = f"There is no order {order_id} in the account {account}."
            return self._frame.page(request, "message.html", 404, title="No such order", text=text)
        order, items = facts if facts is not None else (None, [])
        return self._frame.page(
            request, "order.html", account=account, order_id=order_id, order=order, items=items, entries=entries,
            deliveries=deliveries, may_read_record=order is not None and not user_of(request.scope).reads_only,
        )  # fmt: skip

    async def reread(self, request: Request) -> Response:
        """Launches a run that fetches an order again and compares it value by value."""

        async def done(form: Mapping[str, str], by: By) -> str:
            account, order_id = text_of(form, "account"), text_of(form, "order")
            await run_in_threadpool(find_account, account)
            config = {"ops": {"reread_one_order": {"config": {"account": account, "order_id": order_id}}}}
            run = await self._launcher.launch(request, Launch("reread_order", config), by)
            return url(ORDER_PAGE, account=account, order=order_id, run=run)

        return await self._frame.form_answer(request, done)

    def record(self, request: Request) -> Response:
        """The marketplace's record of an order, which has buyer's data: not for those who only read. On record."""
        account, order_id = (text_of(request.query_params, name) for name in ("account", "order"))
        if user_of(request.scope).reads_only:
            text = "The record of an order has buyer's data. You may see everything but that."
            return self._frame.page(request, "message.html", 403, title="Not allowed", text=text)
        if not (account and order_id):
            return RedirectResponse(ORDERS_PAGE, 303)
        with page_connection() as connection:
            row = connection.execute(
                "SELECT raw::text FROM orders WHERE account = %s AND order_id = %s", [account, order_id]
            ).fetchone()
            if row is None:
                text = f"There is no order {order_id} in the account {account}."
                return self._frame.page(request, "message.html", 404, title="No such order", text=text)
            by = By(name_of_user(request), "", f"page {ORDER_PAGE}")
            note_act(connection, by, Act.READ_RECORD, On(account, order_id))
        return self._frame.page(request, "record.html", account=account, order_id=order_id, record=indented(row[0]))


def _wrong_days(given: Mapping[str, str], query: Query) -> str:
    """What is wrong with the days of a search; '' if nothing is."""
    if (given["first"] and query.first is None) or (given["last"] and query.last is None):
        return "A date is a day from 2000 to 2099, written like 2026-01-31."
    if query.first is not None and query.last is not None and query.first > query.last:
        return f"The first day, {query.first}, is after the last, {query.last}."
    return ""


def _day(text: str) -> date | None:
    """A day of the years that a record can have; None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if EARLIEST.year <= day.year < LATEST.year else None
