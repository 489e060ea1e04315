"""The ASGI application of the web process: the guard, the login, and behind them Dagster's app and our pages."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orders_sync.config.pages import START_PAGE
from orders_sync.web.guard import Guard
from orders_sync.web.launches import Launcher
from orders_sync.web.limits import DisconnectsAreQuiet
from orders_sync.web.login import LOGIN_PATH, LOGOUT_PATH, Login, LoginPages
from orders_sync.web.pages.frame import Frame
from orders_sync.web.pages.lanes import LanePages
from orders_sync.web.pages.operations import OperationsPages, handlers
from orders_sync.web.pages.orders import OrderPages
from orders_sync.web.pages.rejected import RejectedPages
from orders_sync.web.pages.stock import StockPages
from orders_sync.web.pages.subscriptions import SubscriptionPages
from orders_sync.web.sessions import Attempts, Sessions
from orders_sync.web.settings import WebSettings
from orders_sync.web.users import ProxyUsers


def web_app(dagster: ASGIApp, settings: WebSettings) -> ASGIApp:
    """Everything that the web process serves. `dagster`: Dagster's own web app."""
    sessions = Sessions(settings.port)
    frame, launcher = Frame(sessions, has_login=settings.password is not None), Launcher(dagster)
    pages = OperationsPages(frame)
    others = (
        OrderPages(frame, launcher), LanePages(frame, launcher), RejectedPages(frame, launcher), StockPages(frame),
        SubscriptionPages(frame),
    )  # fmt: skip
    routes: list[BaseRoute] = [*pages.routes(), *(route for each in others for route in each.routes())]
    scrapers = None
    if settings.password is not None:
        scrapers = Attempts(settings.password, settings.reader_password)
        login = LoginPages(sessions, Attempts(settings.password, settings.reader_password))
        routes += [
            Route(LOGIN_PATH, login.login, methods=["GET", "POST"]),
            Route(LOGOUT_PATH, login.logout, methods=["POST"]),
        ]
    app: ASGIApp = _SideBySide(Starlette(routes=routes, exception_handlers=handlers(pages)), dagster)
    proxy = None
    if settings.proxy_password is not None:
        proxy = ProxyUsers(settings.proxy_password, settings.editors)
    app = Login(app, None if settings.password is None else sessions, proxy, scrapers)
    return DisconnectsAreQuiet(Guard(app, settings.allowed_hosts))


class _SideBySide:
    """Our pages under /operations, Dagster's app everywhere else."""

    def __init__(self, operations: ASGIApp, dagster: ASGIApp) -> None:
        self._operations = operations
        self._dagster = dagster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_ours = scope["type"] == "http" and (path == START_PAGE or path.startswith(f"{START_PAGE}/"))
        await (self._operations if is_ours else self._dagster)(scope, receive, send)
