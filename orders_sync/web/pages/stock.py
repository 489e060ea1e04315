"""The pages of stock: what is short, which orders are late, and who holds a SKU and why."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.config.bounds import PIECES
from orders_sync.config.pages import SKU_PAGE, STOCK_PAGE
from orders_sync.marketplaces.kit.accounts import account_names, overselling_accounts
from orders_sync.model.texts import InputError, shown
from orders_sync.reports.late_orders import late_orders
from orders_sync.stock.available import available_to_sell
from orders_sync.stock.by_hand import adjust
from orders_sync.stock.connection import stock_connection
from orders_sync.stock.explain import MAX_SHOWN, explain
from orders_sync.stock.queries import locks_by_state, shortages
from orders_sync.stock.stored_available import store_available
from orders_sync.web.pages.connections import APPLICATION, page_stock_reader
from orders_sync.web.pages.frame import Frame, text_of
from orders_sync.web.pages.rendering import url

MAX_LISTED = 100
"""So many short items and late orders are shown."""
MAX_ROWS = 1_000
"""The page of a SKU shows at most so many rows of each kind; the command line shows all."""
SOON = timedelta(hours=24)
"""Orders that are due within this time are shown with the late ones."""


class StockPages:
    """The pages of stock, and their form."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages."""
        return [
            Route(STOCK_PAGE, self.stock),
            Route(SKU_PAGE, self.sku),
            Route(f"{SKU_PAGE}/adjust", self.adjust, methods=["POST"]),
        ]

    def stock(self, request: Request) -> Response:
        """What needs a person: items without stock, and orders that are late or soon will be."""
        now = datetime.now(UTC)
        with page_stock_reader() as stock:
            short, states = shortages(stock, MAX_LISTED), locks_by_state(stock)
            late = late_orders(stock.connection, now + SOON, MAX_LISTED + 1)
        return self._frame.page(
            request, "stock.html", short=short, states=states, late=late[:MAX_LISTED], has_more=len(late) > MAX_LISTED,
            now=now, soon=int(SOON.total_seconds() // 3600),
        )  # fmt: skip

    def sku(self, request: Request) -> Response:
        """Who holds a SKU, what is available, and what has led to it."""
        sku, shows_all = text_of(request.query_params, "sku"), request.query_params.get("all") == "yes"
        if not sku:
            return RedirectResponse(STOCK_PAGE, 303)
        most = MAX_ROWS if shows_all else MAX_SHOWN
        with page_stock_reader() as stock:
            found = explain(stock, sku, most)
            available = available_to_sell(stock, account_names(), [level.sku for level in found.levels])
        if found.is_empty():
            return self._frame.message(request, 404, "No such SKU", f"There is no SKU, order or item named {sku}.")
        return self._frame.page(
            request, "sku.html", sku=sku, found=found, available=available, most=most, shows_all=shows_all,
            bounds=PIECES, done=request.query_params.get("done") == "yes",
        )  # fmt: skip

    async def adjust(self, request: Request) -> Response:
        """Adds pieces to those on hand of a SKU, or takes some away; on record with the reason."""

        async def done(form: Mapping[str, str], by: By) -> str:
            sku = text_of(form, "sku")
            await run_in_threadpool(_adjust, sku, text_of(form, "pieces"), by)
            return url(SKU_PAGE, sku=sku, done="yes")

        return await self._frame.form_answer(request, done)


def _adjust(sku: str, text: str, by: By) -> None:
    try:
        pieces = int(text)
    except ValueError:
        raise InputError(f"the pieces {shown(text)} are no whole number, e.g. 5 or -2") from None
    with stock_connection(APPLICATION) as stock:
        adjust(stock, sku, pieces, by, overselling_accounts())
        store_available(stock, account_names())
