"""The login of the web process: without it, nothing is served but the login page and the style sheet.

A user logs in with a password, which begins a session, or at a proxy, which names the user with each request.
"""

import logging
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.config.pages import METRICS_PAGE, START_PAGE
from orders_sync.dagster_instance.attribution import acting_user
from orders_sync.web.guard import GRAPHQL_PATH, POLICY_VIOLATION
from orders_sync.web.pages.rendering import NOT_STORED, form_of, page
from orders_sync.web.sessions import READER, Attempts, Sessions, role_of
from orders_sync.web.users import ProxyUsers, User, basic_credentials, with_user

LOGIN_PATH = f"{START_PAGE}/login"
LOGOUT_PATH = f"{START_PAGE}/logout"
OPEN_PATHS = (LOGIN_PATH, f"{START_PAGE}/health", f"{START_PAGE}/static/operations.css")
"""What is served without a login."""
NO_PROXY = (
    "Log in first: open the address of the proxy. It sends the name of its user and the password of "
    "ORDERS_SYNC_UI_PROXY_PASSWORD_FILE by HTTP basic authentication.\n"
)

logger = logging.getLogger(__name__)


class Login:
    """ASGI middleware that says who sends a request. Pages without a login lead to the login page, and everything else
    is refused then.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions | None,
        proxy: ProxyUsers | None = None,
        scrapers: Attempts | None = None,
    ) -> None:
        """`sessions`: those that the login page begins; None: there is no such page. `proxy`: the users of a proxy.
        `scrapers`: the passwords with which a program gets the metrics, which can't fill in a form; they have a limit
        of their own, so that a scraper with a wrong one locks nobody out.

        Where there is no session and no proxy, nobody has to log in.
        """
        self._app = app
        self._sessions = sessions
        self._proxy = proxy
        self._scrapers = scrapers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        user = self._user(headers)
        if user is None and scope["path"] == METRICS_PAGE:
            user = self._scraper(headers)
        # For what Dagster stores without its request. Each request has a context of its own.
        acting_user.set(None if user is None else user.name)
        if user is not None:
            refused = user.reads_only and not _only_reads(scope)
            app = PlainTextResponse("Refused: this login only reads.\n", 403) if refused else self._app
            await app(with_user(scope, user), receive, send)
        elif scope["path"] in OPEN_PATHS and scope["type"] == "http":
            await self._app(with_user(scope, User()), receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "Log in first."})
        else:
            await self._answer_without_login(Request(scope))(scope, receive, send)

    def _user(self, headers: Headers) -> User | None:
        """Who has logged in; None: nobody has, and somebody must."""
        if self._sessions is None and self._proxy is None:
            return User()
        named = self._proxy and self._proxy.of(headers)
        if named:
            return named
        session = self._sessions and self._sessions.of(headers)
        role = session and role_of(session)
        return User(reads_only=role == READER) if role else None

    def _scraper(self, headers: Headers) -> User | None:
        """The program that sends a password by HTTP basic authentication, whatever its name."""
        found = basic_credentials(headers)
        if found is None or self._scrapers is None or self._scrapers.seconds_to_wait():
            return None
        return User(reads_only=True) if self._scrapers.role(found[1].decode(errors="replace")) else None

    def _answer_without_login(self, request: Request) -> Response:
        if self._sessions is None:
            return PlainTextResponse(NO_PROXY, status_code=401, headers=NOT_STORED)
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not is_page:
            return PlainTextResponse(f"Log in first: {LOGIN_PATH}\n", status_code=401, headers=NOT_STORED)
        target = local_target(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
        if request.headers.get("sec-fetch-site") == "cross-site":
            # The cookie does not come with a link of another site. It does with the next request of a page of ours.
            return page("same_site.html", target=target)
        return RedirectResponse(f"{LOGIN_PATH}?next={quote(target, safe='')}", 303, headers=NOT_STORED)


def _only_reads(scope: Scope) -> bool:
    """Whether a request changes nothing. Of what comes to GraphQL, Dagster refuses what changes something."""
    return (
        scope["type"] == "websocket"
        or scope["method"] in ("GET", "HEAD")
        or scope["path"] in (GRAPHQL_PATH, LOGIN_PATH, LOGOUT_PATH)
    )


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
