"""The pages under /operations: start page, waiting lines, documents of an order."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from orders_sync.acts.by import By
from orders_sync.acts.manual_acts import Act, On, note_act
from orders_sync.config.pages import METRICS_PAGE, START_PAGE, WAITING_PAGE
from orders_sync.config.schedules import load_schedules
from orders_sync.database.engine import Connection
from orders_sync.documents.listing import (
    accounts_with_order,
    file_name,
    kinds_that_need_credential,
    listed_documents,
    named_files,
)
from orders_sync.documents.printing import printed
from orders_sync.documents.store import StoredDocument, stored_documents
from orders_sync.health.metrics import CONTENT_TYPE, metrics_text
from orders_sync.lanes.activity import ActivityKind, activity
from orders_sync.lanes.history import lane_states
from orders_sync.lanes.pauses import pause_of, paused_accounts
from orders_sync.marketplaces.kit.accounts import account_names, lanes_on, load_accounts
from orders_sync.model.errors import UserFacingError
from orders_sync.model.texts import InputError
from orders_sync.passes.acceptance_clock import next_passes, outlooks
from orders_sync.passes.waiting_lines import count_waiting_lines, hold_back
from orders_sync.stock.connection import stock_connection
from orders_sync.stock.queries import short_locks
from orders_sync.stock.stored_available import store_available
from orders_sync.subscriptions.deliveries import in_trouble
from orders_sync.sync.rejected_records import rejected_count
from orders_sync.web.pages.connections import APPLICATION, PAGE_SECONDS, page_connection, page_stock_reader
from orders_sync.web.pages.contents import document_answer, pdf_answer
from orders_sync.web.pages.frame import Frame, name_of_user, text_of
from orders_sync.web.pages.rendering import FOLDER, NOT_STORED, url
from orders_sync.web.users import user_of

READERS_SEE_NO_DOCUMENT = "Documents have buyers' names and addresses. You may see everything but that."


class OperationsPages:
    """The pages; all of them show the present state of the orders database."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages, without those of the login."""
        return [
            Route(START_PAGE, self.start),
            Route(WAITING_PAGE, self.waiting),
            Route(f"{WAITING_PAGE}/hold", self.hold, methods=["POST"]),
            Route(f"{START_PAGE}/documents", self.documents),
            Route(f"{START_PAGE}/documents/content", self.document_content),
            Route(f"{START_PAGE}/documents/print", self.printed_documents),
            Route(f"{START_PAGE}/health", health),
            Route(METRICS_PAGE, metrics),
            Route(f"{START_PAGE}/static/operations.css", style_sheet),
        ]

    def start(self, request: Request) -> Response:
        """What there is to do, and where."""
        accounts, problems = load_accounts()
        now = datetime.now(UTC)
        with page_stock_reader() as stock:
            connection = stock.connection
            waiting, short = count_waiting_lines(connection, [*accounts, *problems]), short_locks(stock)
            lanes = [
                (
                    state.lane,
                    activity(state, now, pause_of(connection, accounts[state.lane.account], state.lane.sync_type)),
                )
                for state in lane_states(connection, lanes_on(accounts))
            ]
            pauses = paused_accounts(connection).values()
            rejected, troubled = rejected_count(connection), in_trouble(connection)
        quiet = (ActivityKind.IDLE, ActivityKind.PAUSED)
        at_work = [(lane, doing) for lane, doing in lanes if doing.kind not in quiet]
        return self._frame.page(
            request, "start.html", waiting=waiting, at_work=at_work, pauses=pauses, rejected=rejected, short=short,
            in_trouble=troubled,
        )  # fmt: skip

    def waiting(self, request: Request) -> Response:
        """The waiting orderlines, those that run out first come first."""
        usable, unusable = load_accounts()
        account = request.query_params.get("account")
        if account is not None and account not in usable:
            return self._frame.page(request, "message.html", 404, title="No such account", text=_no_account(account))
        now, schedules = datetime.now(UTC), load_schedules()
        with page_stock_reader() as stock:
            found = (
                outlooks(stock, usable, now, schedules, unusable)
                if account is None
                else outlooks(stock, {account: usable[account]}, now, schedules)
            )
        return self._frame.page(
            request, "waiting.html", found=found, now=now, next_passes=next_passes(found), account=account,
            unusable=sorted(unusable), done=request.query_params.get("done"),
        )  # fmt: skip

    async def hold(self, request: Request) -> Response:
        """Holds an order back from refusal, or undoes that; on record with the reason."""

        async def done(form: Mapping[str, str], by: By) -> str:
            account, order_id, undo = text_of(form, "account"), text_of(form, "order"), form.get("undo") == "yes"
            if not await run_in_threadpool(_hold_back, account, order_id, by, undo=undo):
                raise InputError(f"there is no order {order_id} in the account {account}")
            return url(WAITING_PAGE, done="undone" if undo else "held")

        return await self._frame.form_answer(request, done)

    def documents(self, request: Request) -> Response:
        """The documents of an order; of several accounts with the same id, the one to choose."""
        order_id, account = text_of(request.query_params, "order"), request.query_params.get("account")
        with page_connection() as connection:
            accounts = accounts_with_order(connection, order_id)
            name = account if account is not None else accounts[0] if len(accounts) == 1 else None
            if name is not None and name in accounts:
                return self._frame.page(
                    request, "documents.html", order_id=order_id, account=name,
                    found=listed_documents(connection, name, [order_id]), locked=kinds_that_need_credential(name),
                    now=datetime.now(UTC),
                )  # fmt: skip
        status = 200 if not order_id or (accounts and account is None) else 404
        return self._frame.page(
            request, "choose_order.html", status, order_id=order_id, account=account, accounts=accounts
        )

    def document_content(self, request: Request) -> Response:
        """The stored content of one document, as the marketplace made it."""
        if user_of(request.scope).reads_only:
            return self._frame.message(request, 403, "Not allowed", READERS_SEE_NO_DOCUMENT)
        requested = request.query_params.get("kind"), request.query_params.get("key")
        with _connection_and_order(request) as (connection, account, order_id):
            found = stored_documents(connection, account, order_id)
            _note_reading(connection, request, found)
        for name, document in named_files(found):
            if (str(document.kind), document.document_key) == requested:
                return document_answer(document, name)
        return self._frame.page(request, "message.html", 404, title="Not stored", text="This document is not stored.")

    def printed_documents(self, request: Request) -> Response:
        """The stored documents of an order as one PDF; those that can't be part of it are named first."""
        if user_of(request.scope).reads_only:
            return self._frame.message(request, 403, "Not allowed", READERS_SEE_NO_DOCUMENT)
        with _connection_and_order(request) as (connection, account, order_id):
            found = stored_documents(connection, account, order_id)
            _note_reading(connection, request, found)
        made = printed(found)  # may take long, and needs no connection
        if made.unreadable and request.query_params.get("rest") != "yes":
            return self._frame.page(
                request, "unreadable.html", order_id=order_id, account=account, has_rest=made.pdf is not None,
                unreadable=[(document.kind, document.document_key, why) for document, why in made.unreadable],
            )  # fmt: skip
        if made.pdf is not None:
            return pdf_answer(made.pdf, f"{file_name(order_id)}.pdf")
        text = "No document of this order is stored that can be printed as a PDF."
        return self._frame.page(request, "message.html", 404, title="Nothing to print", text=text)

    def problem(self, request: Request, error: Exception) -> Response:
        """The answer to a request that failed, with what the user can do about it."""
        text = str(error) if isinstance(error, UserFacingError) else "The orders database has ended the connection."
        if isinstance(error, psycopg.errors.QueryCanceled):
            text = (
                f"The orders database took longer than {PAGE_SECONDS} s. Search by an id, or within fewer days. "
                "If it is no search, look at what else the database does: `orders-sync doctor`."
            )
        return self._frame.page(request, "message.html", 503, title="Not available", text=text)

    def missing(self, request: Request, _: Exception) -> Response:
        """The answer to a path that is none of ours."""
        return self._frame.page(request, "message.html", 404, title="Not found", text="There is no such page.")


@contextmanager
def _connection_and_order(request: Request) -> Generator[tuple[Connection, str, str]]:
    with page_connection() as connection:
        yield connection, text_of(request.query_params, "account"), text_of(request.query_params, "order")


def _note_reading(connection: Connection, request: Request, found: Sequence[StoredDocument]) -> None:
    """Notes that somebody reads documents of an order, if their content is stored."""
    if any(document.content for document in found):
        on = On(found[0].account, found[0].order_id)
        note_act(connection, By(name_of_user(request), "", f"page {START_PAGE}/documents"), Act.READ_DOCUMENTS, on)


def _hold_back(account: str, order_id: str, by: By, *, undo: bool) -> bool:
    with stock_connection(APPLICATION) as stock:
        stored = hold_back(stock, account, order_id, by, holds=not undo)
        store_available(stock, account_names())
    return stored


def _no_account(account: str) -> str:
    return f"There is no account {account} whose file can be used."


async def health(_: Request) -> Response:
    """Says that the process answers; for supervisors, without a login."""
    return PlainTextResponse("ok\n", headers=NOT_STORED)


def metrics(_: Request) -> Response:
    """Figures for Prometheus; behind the login, where there is one."""
    with page_stock_reader() as stock:
        return Response(metrics_text(stock), media_type=CONTENT_TYPE, headers=NOT_STORED)


async def style_sheet(_: Request) -> Response:
    """The one style sheet."""
    return FileResponse(FOLDER / "static" / "operations.css", media_type="text/css")


Handlers = dict[type[Exception] | int, Callable[[Request, Exception], Response]]


def handlers(pages: OperationsPages) -> Handlers:
    """What answers where a page fails."""
    return {UserFacingError: pages.problem, psycopg.OperationalError: pages.problem, 404: pages.missing}
