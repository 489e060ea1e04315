"""The login of the web process: without a session, nothing is served but the login page and the style sheet."""

import logging
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.config.pages import START_PAGE
from orders_sync.web.guard import GRAPHQL_PATH, POLICY_VIOLATION
from orders_sync.web.pages.rendering import NOT_STORED, form_of, page
from orders_sync.web.sessions import Attempts, Sessions, reads_only

LOGIN_PATH = f"{START_PAGE}/login"
LOGOUT_PATH = f"{START_PAGE}/logout"
OPEN_PATHS = (LOGIN_PATH, f"{START_PAGE}/health", f"{START_PAGE}/static/operations.css")
"""What is served without a session."""

READS_ONLY = "orders_sync.reads_only"
"""Set in the scope of each request of a session that may change nothing."""

logger = logging.getLogger(__name__)


class LoginRequired:
    """ASGI middleware: without a session, pages lead to the login page, and everything else is refused."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] in ("http", "websocket")
        session = self._sessions.of(Headers(scope=scope)) if is_request else None
        if session is not None and reads_only(session):
            app = self._app if _only_reads(scope) else PlainTextResponse("Refused: this login only reads.\n", 403)
            await app({**scope, READS_ONLY: True}, receive, send)
        elif not is_request or session is not None or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "Log in first."})
        else:
            await _answer_without_session(Request(scope))(scope, receive, send)


def _only_reads(scope: Scope) -> bool:
    """Whether a request changes nothing. Of what comes to GraphQL, Dagster refuses what changes something."""
    return (
        scope["type"] == "websocket"
        or scope["method"] in ("GET", "HEAD")
        or scope["path"] in (GRAPHQL_PATH, LOGIN_PATH, LOGOUT_PATH)
    )


def _answer_without_session(request: Request) -> Response:
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not is_page:
        return PlainTextResponse(f"Log in first: {LOGIN_PATH}\n", status_code=401, headers=NOT_STORED)
    target = local_target(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    if request.headers.get("sec-fetch-site") == "cross-site":
        # The cookie does not come with a link of another site. It does with the next request of a page of ours.
        return page("same_site.html", target=target)
    return RedirectResponse(f"{LOGIN_PATH}?next={quote(target, safe='')}", 303, headers=NOT_STORED)


class LoginPages:
    """The endpoints that begin and end a session."""

    def __init__(self, sessions: Sessions, attempts: Attempts) -> None:
        self._sessions = sessions
        self._attempts = attempts

    async def login(self, request: Request) -> Response:
        """Shows the form (GET), or compares the password that it sends (POST)."""
        target = local_target(request.query_params.get("next", ""))
        if request.method != "POST":
            return page("login.html", target=target)
        # Read first: nothing may wait between the look at the limit and the comparison, or slow forms would pass it.
        password = (await form_of(request)).get("password", "")
        if seconds := self._attempts.seconds_to_wait():
            problem = f"Too many wrong passwords. Try again in {seconds} seconds."
            answer = page("login.html", 429, target=target, problem=problem)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        role = self._attempts.role(password)
        if role is None:
            logger.warning("A wrong password was entered on the login page.")
            return page("login.html", 403, target=target, problem="The password is wrong.")
        answer = RedirectResponse(target, 303, headers=NOT_STORED)
        # The origin is what the browser sees, also behind a proxy that ends TLS.
        is_https = request.headers.get("origin", "").startswith("https:")
        self._sessions.send(self._sessions.begin(role), answer, is_https=is_https)
        return answer

    async def logout(self, request: Request) -> Response:
        """Ends the session."""
        answer = RedirectResponse(LOGIN_PATH, 303, headers=NOT_STORED)
        self._sessions.end(self._sessions.of(request.headers), answer)
        return answer


def local_target(text: str) -> str:
    r"""A path of this server to go on to; for anything else the start page: `//host` and `/\host` are other servers."""
    is_path = text.startswith("/") and not text.startswith("//")
    return text if is_path and "\\" not in text and text.isprintable() else START_PAGE
